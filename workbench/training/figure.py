"""Curves drawn by matplotlib, in a process of its own, for no face loads it.

``python -m workbench.training.figure VALUES.csv PICTURE.png [--log]``. The columns of the
values are run, place, value, smoothed.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Draw; returns the exit code."""
    values, target = Path(argv[0]), Path(argv[1])
    try:
        import matplotlib as mpl
    except ImportError as error:
        sys.stderr.write(f"matplotlib is not installed: {error}\n")
        return 1
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with values.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    names = dict.fromkeys(row[0] for row in rows)
    for number, name in enumerate(names):
        own = [[float(cell) for cell in row[1:]] for row in rows if row[0] == name]
        x, y, smoothed = zip(*own, strict=True)
        colour = f"C{number % 10}"
        axes.plot(x, y, color=colour, alpha=0.3, linewidth=0.7)
        axes.plot(x, smoothed, color=colour, linewidth=1.5, label=name)
    axes.set_xlabel(header[1])
    axes.set_ylabel(header[2])
    if "--log" in argv:
        axes.set_yscale("log")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    figure.savefig(target, dpi=150)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Curves to a file: values as CSV, the picture as SVG or text, a figure as PNG."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.tui.screens.picker import Item, Picker

if TYPE_CHECKING:
    from workbench.tui.charting import Chart
    from workbench.tui.rows import Row

_KINDS = {
    "csv": "the values of every run: place, value, smoothed value",
    "svg": "the picture as it stands here",
    "txt": "the same as text",
    "png": "a figure for a report, drawn by matplotlib",
}


def formats() -> Picker:
    """What can be written."""
    return Picker("Export", [Item(kind, kind, words) for kind, words in _KINDS.items()])


def write(kind: str, chart: Chart, rows: list[Row], *, dark: bool) -> Path:
    """Write a file into the current folder; returns it.

    Raises:
        WorkbenchError: It cannot be written.
    """
    name = chart.names[0] if len(chart.names) == 1 else f"{len(chart.names)}-runs"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path(f"{name}-{chart.view.metric}-{stamp}.{kind}")
    try:
        match kind:
            case "csv":
                _write_new(path, _csv(chart))
            case "txt":
                _write_new(path, _text(rows))
            case "svg":
                _write_new(path, _svg(rows, dark=dark))
            case _:
                _png(chart, path)
    except OSError as error:
        raise WorkbenchError(
            "the file cannot be written", where=str(path), why=error.strerror or str(error)
        ) from None
    return path


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _csv(chart: Chart) -> str:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", chart.view.by, chart.view.metric, "smoothed"])
    for name in chart.names:
        for row in zip(*chart.curve(name, chart.view.metric), strict=True):
            writer.writerow([name, *(repr(float(value)) for value in row)])
    return out.getvalue()


def _text(rows: list[Row]) -> str:
    return "".join("".join(text for text, _ in row).rstrip() + "\n" for row in rows)


def _svg(rows: list[Row], *, dark: bool) -> str:
    import io

    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI, SVG_EXPORT_THEME
    from rich.text import Text

    from workbench.tui import look

    styles = look.styles(look.DARK if dark else look.LIGHT)
    width = max((sum(len(text) for text, _ in row) for row in rows), default=1)
    console = Console(width=width, file=io.StringIO(), record=True, color_system="truecolor")
    for row in rows:
        line = Text(no_wrap=True)
        for text, name in row:
            line.append(text, styles.get(name.partition("@")[0].rstrip("!~"), styles[""]))
        console.print(line)
    return console.export_svg(title="", theme=DIMMED_MONOKAI if dark else SVG_EXPORT_THEME)


def _png(chart: Chart, path: Path) -> None:
    """The figure, drawn by a process of its own: this one never loads matplotlib.

    Raises:
        WorkbenchError: matplotlib is not there, or did not draw.
    """
    import subprocess
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.csv"
        values.write_text(_csv(chart), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "workbench.training.figure", str(values), str(path)]
        if chart.view.y_log:
            command.append("--log")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise WorkbenchError(
            "the figure cannot be drawn",
            why=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else None,
            fix="pip install matplotlib, or export svg",
        )

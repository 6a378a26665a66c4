"""CPU time until the commands are there: `ava --help` to its end, `ava-tui` to its first paint.

    python tests/benchmarks/bench_startup.py [--rounds N] [--json]

Each round runs every program once, in a terminal of its own, so that a busy machine is unfair to
all of them alike. CPU time (user and system, children included) is what the kernel has charged the
process when it has ended; a screen is ended by SIGKILL at the moment its first words arrive.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.tui.terminal import AVA_TUI, Terminal

TRIVIAL = """
from textual.app import App
from textual.widgets import Label
class Trivial(App):
    def compose(self):
        yield Label("READY")
Trivial().run()
"""
# Name, command, the words that are the first paint (None: until it ends), budget in milliseconds.
PROGRAMS: tuple[tuple[str, list[str], bytes | None, int | None], ...] = (
    ("python -c pass", [sys.executable, "-c", "pass"], None, None),
    ("ava --help", [sys.executable, "-m", "workbench.cli", "--help"], None, 100),
    ("ava-tui --help", [*AVA_TUI, "--help"], None, 100),
    ("trivial Textual app", [sys.executable, "-c", TRIVIAL], b"READY", None),
    ("ava-tui, first paint", AVA_TUI, b"RECIPES", 400),
    ("ava-tui, recipes there", AVA_TUI, b"tiny_cpu", 400),
)


def cpu_ms(argv: list[str], words: bytes | None, cwd: Path) -> float:
    """CPU milliseconds of one run."""
    with Terminal(argv, columns=120, rows=40, cwd=cwd) as terminal:
        if words is not None:
            terminal.see(words)
            os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait()
        return terminal.cpu_seconds * 1000


def main() -> None:
    """Measure and print, and say which budget the fastest of the rounds exceeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured: dict[str, list[float]] = {name: [] for name, *_ in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds + 1):
            for name, argv, words, _ in PROGRAMS:
                measured[name].append(cpu_ms(argv, words, Path(folder)))
    results = {
        name: {
            "min_ms": round(min(times[1:])),  # the first round warms the disk cache
            "median_ms": round(statistics.median(times[1:])),
            "budget_ms": budget,
        }
        for (name, _, _, budget), times in zip(PROGRAMS, measured.values(), strict=True)
    }
    over = [name for name, r in results.items() if r["budget_ms"] and r["min_ms"] > r["budget_ms"]]
    if options.json:
        print(json.dumps(results))
        return
    print(
        f"CPU milliseconds, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}; Python"
        f" {platform.python_version()}, textual {version('textual')}, rich {version('rich')}"
    )
    print(f"{'':<24}{'min':>6}{'median':>8}{'budget':>8}")
    for name, row in results.items():
        print(f"{name:<24}{row['min_ms']:>6}{row['median_ms']:>8}{row['budget_ms'] or '':>8}")
    for name in over:
        print(f"over its budget: {name}")


if __name__ == "__main__":
    main()

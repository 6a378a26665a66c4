"""What `ava-tui` costs: first paint, a key in Build, a frame of curves, a long run, a live one.

    python tests/benchmarks/bench_tui.py [--points N] [--rounds N] [--peers] [--json]

Everything is CPU time (user and system) in milliseconds, the least and the median of the rounds, so
that a busy machine is unfair to all alike; the load is printed. With --peers the same is asked of
textual-plot, textual-plotext, posting and harlequin, which are installed into a folder that is
thrown away afterwards, or said to be missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from tests.tui import rundirs
from tests.tui.terminal import AVA_TUI, ROOT, Terminal
from workbench.draft import Draft
from workbench.plan import plan_from
from workbench.runs.braille import Line, draw
from workbench.runs.directory import RunDir, create_run
from workbench.runs.writer import EventWriter, MetricWriter
from workbench.tui.app import AvaTui
from workbench.tui.charting import Chart
from workbench.tui.form import FormLine
from workbench.tui.screens.build import Build

COLUMNS, ROWS = 120, 40
KEYS = (40, 571, 3_000)
LIVE_SECONDS, QUIET_SECONDS = 10.0, 5.0
PLOTS = {
    "textual-plot": """
from textual_plot import PlotWidget, HiResMode
class Peer(App):
    def compose(self): yield PlotWidget()
    def frame(self):
        plot = self.query_one(PlotWidget); plot.clear()
        plot.plot(x, y, hires_mode=HiResMode.BRAILLE); plot.refresh()
""",
    "textual-plotext": """
from textual_plotext import PlotextPlot
class Peer(App):
    def compose(self): yield PlotextPlot()
    def frame(self):
        widget = self.query_one(PlotextPlot); widget.plt.clear_data()
        widget.plt.plot(xs, ys, marker="braille"); widget.refresh()
""",
}
_DRIVE = """
import asyncio, sys, time, numpy as np
from textual.app import App
size = int(sys.argv[1]); x = np.arange(size, dtype=float)
y = 2 + np.exp(-x / size) + np.random.default_rng(0).normal(0, .05, size)
xs, ys = x.tolist(), y.tolist()
{peer}
async def main():
    app = Peer()
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(int(sys.argv[2])):
            since = time.process_time(); app.frame(); await pilot.pause()
            print((time.process_time() - since) * 1000)
asyncio.run(main())
"""
APPS = {"posting": (["posting"], b"GET"), "harlequin": (["harlequin", "-P", "None"], b"Run Query")}


class Result(NamedTuple):
    """A line of the table; times in milliseconds unless the name says otherwise."""

    name: str
    least: float
    median: float
    goal: float | None = None


def cpu_ms(act: Callable[[], object], rounds: int) -> list[float]:
    """CPU milliseconds of each round, after one that is not counted."""
    times = []
    for _ in range(rounds + 1):
        since = time.process_time()
        act()
        times.append((time.process_time() - since) * 1000)
    return times[1:]


def result(name: str, times: list[float], goal: float | None = None) -> Result:
    """The least and the median."""
    return Result(name, min(times), statistics.median(times), goal)


# ------------------------------------------------------------------ in a terminal


def first_paint(argv: list[str], words: bytes, folder: Path, rounds: int) -> list[float]:
    """CPU until the words arrive; the first start warms the disk cache."""
    times = []
    for _ in range(rounds + 1):
        with Terminal(argv, columns=COLUMNS, rows=ROWS, cwd=folder) as terminal:
            terminal.see(words)
            os.kill(terminal.pid, signal.SIGKILL)
            terminal.wait()
            times.append(terminal.cpu_seconds * 1000)
    return times[1:]


def charged(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(folder: Path) -> list[Result]:
    """Bytes and share of a core with a finished run on the screen."""
    rundirs.finish(rundirs.make_run(folder / "runs", "done"))
    with Terminal(AVA_TUI, columns=COLUMNS, rows=ROWS, cwd=folder) as terminal:
        terminal.see(b"tiny_cpu", b"done")
        terminal.quiet(2.0)
        sent, before = len(terminal.output), charged(terminal.pid)
        terminal.listen(QUIET_SECONDS)
        share = (charged(terminal.pid) - before) / QUIET_SECONDS * 100
        bytes_sent = float(len(terminal.output) - sent)
    return [
        Result("idle: bytes per 5 s", bytes_sent, bytes_sent, 0),
        Result("idle: % of a core", share, share, 0.5),
    ]


def live(folder: Path, steps: int) -> Result:
    """Share of a core with the curves of a run that writes ten rows a second."""
    run = long_run(folder / "runs", steps)
    lock = rundirs.hold(run)
    metrics = MetricWriter(run.metrics_path(1))
    try:
        with Terminal(AVA_TUI, columns=COLUMNS, rows=ROWS, cwd=folder) as terminal:
            terminal.see(b"tiny_cpu", b"live")
            terminal.send(b"w")
            terminal.see(b"each step")
            terminal.send(b"v")
            terminal.see(b"nats per token")
            before, end, step = charged(terminal.pid), time.monotonic() + LIVE_SECONDS, steps
            while time.monotonic() < end:
                step += 1
                metrics.write(row(step))
                terminal.listen(0.1)
            share = (charged(terminal.pid) - before) / LIVE_SECONDS * 100
    finally:
        metrics.close()
        os.close(lock)
    return Result(f"live, 10 rows a second after {steps:,}: % of a core", share, share, 10)


# ------------------------------------------------------------------ in this process


async def keystrokes(count: int, rounds: int) -> list[float]:
    """A digit typed into batch_size and taken back: validation, findings, estimate, frame."""
    times = []
    app = AvaTui("runs")
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        screen = Build(Draft(plan_from("tiny_cpu")))
        await app.push_screen(screen)
        await pilot.pause()
        screen.building.all_keys = True
        lines = screen.building.lines()
        paths = [line for line in lines if line.is_key]
        if count > len(paths):  # the same keys over again, under names of their own
            paths += [
                FormLine(f"{paths[number % len(paths)].path}#{number}", is_key=True)
                for number in range(count - len(paths))
            ]
            _key, _shown = screen.form._key_of, screen.form._show
            screen.form._key_of = lambda path: _key(path.partition("#")[0])
            screen.form._show = lambda path: _shown(path.partition("#")[0])
        chosen = next(line for line in paths if line.path == "training.batch_size")
        shown = [*paths[: count - 1], chosen] if chosen not in paths[:count] else paths[:count]
        screen.building.lines = lambda: shown  # type: ignore[method-assign]
        screen.form.set_lines(shown)
        screen.form.choose("training.batch_size")
        await pilot.press("enter")
        for _ in range(rounds + 3):
            for key in ("6", "backspace"):
                since = time.process_time()
                await pilot.press(key)
                times.append((time.process_time() - since) * 1000)
    return times[6:]


def long_run(runs: Path, steps: int) -> RunDir:
    """A run with so many steps."""
    run = create_run(
        runs, "live-long", config={"training": {"max_steps": 2 * steps}}, origins={},
        config_yaml="", meta={"recipe": "tiny_cpu"},
    )  # fmt: skip
    run.attempt_dir(1).mkdir(parents=True)
    metrics = MetricWriter(run.metrics_path(1), backlog=2 * steps)
    for step in range(1, steps + 1):
        metrics.write(row(step))
    metrics.close()
    EventWriter(run.attempt_events_path(1)).write("ready", max_steps=2 * steps, start_step=0)
    return run


def row(step: int) -> dict[str, Any]:
    """What a step tells."""
    loss = 2 + 3 * math.exp(-step / 1e5) + (step * 7919 % 97) / 500
    return {"step": step, "t": 1e9 + step / 10, "loss": loss, "lr": 1e-3, "tokens": step * 2048}


def frames(points: int, rounds: int) -> list[Result]:
    """A frame of one curve and of eight, each with all of its points."""
    noise = np.random.default_rng(0)
    x = np.arange(points, dtype=np.float64)
    curves = [
        Line(x, 2 + np.exp(-x / points) + noise.normal(0, 0.05, points), f"run:{number}")
        for number in range(8)
    ]
    return [
        result(f"frame, {count} × {points:,} points", cpu_ms(
            lambda count=count: draw(curves[:count], COLUMNS, ROWS - 4), rounds  # type: ignore[misc]
        ), goal)
        for count, goal in ((1, 8), (8, 25))
    ]  # fmt: skip


def openings(folder: Path, steps: int) -> list[Result]:
    """Reading a long run and smoothing it, without and with the columnar cache."""
    run = long_run(folder / "runs", steps)

    def read() -> None:
        chart = Chart(folder / "runs", [run.name])
        while chart.poll():
            pass
        chart.curve(run.name, "loss")

    shutil.rmtree(run.cache_path, ignore_errors=True)
    since = time.process_time()
    read()
    first = (time.process_time() - since) * 1000
    return [
        Result(f"open {steps:,} steps, first time", first, first),
        result(f"open {steps:,} steps, with cache", cpu_ms(read, 3), 300),
    ]


_LESSON = """
import asyncio, sys, time
from workbench.tui.app import AvaTui
async def main():
    app = AvaTui("runs", workspace="mine")
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        if sys.argv[2] == "list":
            await pilot.press("f2")
            await pilot.pause(1.0)
            await app.workers.wait_for_complete()
        await pilot.pause(1.0)
        await app.workers.wait_for_complete()  # which recipes fit is reckoned after the start
        since = time.process_time()
        app.places.lesson(sys.argv[1])
        while not (app.screen.query("#sheet") and app.screen.sheet.rows):
            await asyncio.sleep(0)
        await pilot.pause()
        print((time.process_time() - since) * 1000)
asyncio.run(main())
"""


def lesson(folder: Path, rounds: int) -> list[Result]:
    """From the key to the first section of the longest lesson, each time in a fresh process.

    From the list of lessons, as one gets there; and by its name, with all that has to be imported.
    """
    path = max((ROOT / "lessons").glob("[0-9]*.md"), key=lambda each: each.stat().st_size)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
    found = []
    for way, words in (("list", "from the list"), ("name", "by its name, all imports")):
        command = [sys.executable, "-c", _LESSON, path.stem, way]
        times = [
            float(subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True,
                                 check=True).stdout)
            for _ in range(rounds)
        ]  # fmt: skip
        name = f"open a lesson of {path.stat().st_size / 1e3:.0f} kB, {words}"
        found.append(result(name, times, 250))
    return found


# ------------------------------------------------------------------ the others


def peers(points: int, folder: Path, rounds: int) -> list[Result | str]:
    """Frames of two plot widgets, and the first paint of two applications."""
    found: list[Result | str] = []
    for name, source in PLOTS.items():
        target = folder / name
        if why := _install(target, name):
            found.append(f"{name}: {why}")
            continue
        code = _DRIVE.format(peer=source)
        command = [sys.executable, "-c", code, str(points), "2"]
        try:
            ran = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": str(target)}, capture_output=True,
                text=True, timeout=180, check=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(error.stderr or "").strip().splitlines() or [type(error).__name__]
            found.append(f"{name}: did not run: {said[-1][:80]}")
            continue
        times = [float(line) for line in ran.stdout.split()]
        found.append(result(f"{name}: frame, 1 × {points:,}", times[1:]))
    for name, (argv, words) in APPS.items():
        target = folder / name
        if why := _install(target, name):
            found.append(f"{name}: {why}")
            continue
        python = ["env", f"PYTHONPATH={target}", f"HOME={folder}", sys.executable]
        try:
            times = first_paint([*python, str(target / "bin" / argv[0]), *argv[1:]], words,
                                folder, rounds)  # fmt: skip
        except AssertionError as error:
            found.append(f"{name}: no first paint: {str(error)[-80:]}")
            continue
        found.append(result(f"{name}: first paint", times))
    return found


def _install(target: Path, name: str) -> str:
    """Why it could not be installed; empty when it was."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), name]
    if shutil.which("uv"):
        pip = ["uv", "pip", "install", "-q", "--python", sys.executable, *pip[5:]]
    try:
        ran = subprocess.run(pip, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "cannot be installed here: took too long"
    said = ran.stderr.strip().splitlines()
    return f"cannot be installed here: {said[-1][:90] if said else '?'}" if ran.returncode else ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="measure others too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds
    found: list[Result | str] = []

    def add(*results: Result | str) -> None:
        found.extend(results)
        if not options.json:
            for each in results:
                print(each if isinstance(each, str) else _line(each), flush=True)

    if not options.json:
        print(f"CPU milliseconds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; Python"
              f" {platform.python_version()}, textual {version('textual')}")  # fmt: skip
        print(f"{'':<52}{'least':>9}{'median':>9}{'goal':>7}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("empty", "idle", "long", "live", "peers"):
            (folder / name).mkdir()
        times = first_paint(AVA_TUI, b"tiny_cpu", folder / "empty", rounds)
        add(result("ava-tui: first paint", times, 400))
        add(*lesson(folder / "empty", rounds))
        for count in KEYS:
            times = asyncio.run(keystrokes(count, 4 * rounds))
            add(result(f"a key in Build with {count:,} keys", times, 15))
        add(*frames(options.points, rounds))
        add(*openings(folder / "long", options.points))
        add(live(folder / "live", min(options.points, 100_000)))
        add(*idle(folder / "idle"))
        if options.peers:
            add(*peers(options.points, folder / "peers", min(rounds, 3)))
    if options.json:
        print(json.dumps([e if isinstance(e, str) else e._asdict() for e in found]))
        return
    for each in found:
        if isinstance(each, Result) and each.goal is not None and each.least > each.goal:
            print(f"misses its goal: {each.name}")


def _line(each: Result) -> str:
    goal = "" if each.goal is None else f"{each.goal:g}"
    return f"{each.name:<52}{each.least:>9.1f}{each.median:>9.1f}{goal:>7}"


if __name__ == "__main__":
    main()

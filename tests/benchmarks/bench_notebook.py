"""What the panel costs in JupyterLab: to open, per update of a live curve, and at 1e5 points.

    python tests/benchmarks/bench_notebook.py [--seconds N] [--points N] [--json]

A real JupyterLab in a real Chromium. A row every 20 ms is written to a run that somebody holds, as
a trainer does; the page says when it painted the newest. Beside it, in the same kernel and page, a
peer as notebooks usually draw a live curve: a matplotlib PNG in an ipywidgets Image, ten times a
second. CPU is that of the kernel; bytes are those of the page's WebSockets. The load is printed: a
busy machine lengthens times, not bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from playwright.async_api import CDPSession, Page

from tests.browser import driving
from tests.browser.lab_process import LabProcess
from tests.browser.notebook_page import NotebookPage, write_notebook
from tests.browser.panel_page import Panel
from tests.tui import rundirs
from workbench.runs.directory import RunDir
from workbench.runs.writer import MetricWriter

PANEL = """\
from workbench.notebook import Workbench
panel = Workbench("lesson", runs_dir="runs")
panel"""
PEER = """\
import io, threading, time
import ipywidgets
from matplotlib.figure import Figure
picture, going, drawn = ipywidgets.Image(format="png"), threading.Event(), [0]
figure = Figure(figsize=(7, 3), dpi=100)
axes = figure.subplots()
losses = [5.5 - 3.5 * n / (n + 300) for n in range(2000)]
def draw():
    while not going.wait(max(0.0, drawn[0] * 0.1 + begun - time.monotonic())):
        losses.append(losses[-1])
        axes.clear()
        axes.plot(losses)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        picture.value = file.getvalue()
        drawn[0] += 1
picture"""
FRAMES = """seconds => new Promise(done => {
  const gaps = [];
  let before = performance.now();
  const end = before + seconds * 1000;
  const frame = now => {
    gaps.push(now - before);
    before = now;
    if (now < end) requestAnimationFrame(frame); else done(gaps.slice(1));
  };
  requestAnimationFrame(frame);
})"""


def quantile(values: list[float], share: float) -> float:
    """The value below which a share of them lies; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


class Wire:
    """Counts the bytes and messages that the page's WebSockets receive."""

    def __init__(self) -> None:
        self.bytes = 0

    async def on(self, page: Page) -> CDPSession:
        """Begin to count."""
        session = await page.context.new_cdp_session(page)
        session.on("Network.webSocketFrameReceived", self._count)
        await session.send("Network.enable")
        return session

    def _count(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        text = frame["payloadData"]
        self.bytes += len(text) if frame["opcode"] == 1 else len(text) * 3 // 4  # base64


def long_run(folder: Path, points: int) -> RunDir:
    """A run that is alive and has done some steps."""
    run = rundirs.make_run(folder, "bench", steps=0)
    writer = MetricWriter(run.metrics_path(1))
    for step in range(1, points + 1):
        loss = 2 + 3.5 * 300 / (step + 300) + 0.3 * math.sin(step * 12.9898)
        writer.write({"step": step, "t": time.time(), "loss": loss, "lr": 1e-3})
    writer.close()
    return run


async def feed(run: RunDir, first: int, seconds: float) -> int:
    """Write a row every 20 ms; returns the number of the last."""
    writer = MetricWriter(run.metrics_path(1))
    begun, count = time.monotonic(), 0
    while (now := time.monotonic() - begun) < seconds:
        while count * 0.02 <= now:
            count += 1
            writer.write({"step": first + count, "loss": 2 + 0.1 * math.sin(count), "lr": 1e-3})
        await asyncio.sleep(0.005)
    writer.close()
    return first + count


def cpu(kernel: psutil.Process) -> float:
    """Seconds of CPU that the kernel has used."""
    times = kernel.cpu_times()
    return float(times.user + times.system)


async def measure(page: Page, lab: LabProcess, points: int, seconds: float) -> dict[str, float]:
    """The panel at a number of points."""
    (lab.workspace / "runs").mkdir(exist_ok=True)
    run = long_run(lab.workspace / f"runs-{points}", points)
    held = rundirs.hold(run)
    wire = Wire()
    session = await wire.on(page)
    source = PANEL.replace('"runs"', f'"runs-{points}"')
    path = write_notebook(lab, f"bench-{points}.ipynb", panel=source, peer=PEER)
    notebook = await NotebookPage(page, lab, path).open()
    await notebook.execute("import workbench.notebook.widgets, ipywidgets, matplotlib.figure")
    kernel = psutil.Process(int(await notebook.execute("import os; print(os.getpid())")))
    at_first, begun = wire.bytes, time.perf_counter()
    running = asyncio.create_task(notebook.run("panel"))
    panel = Panel(notebook)
    await panel.ready()
    await page.locator(f"[data-ava=chart][data-n='{points}'] canvas").wait_for()
    opened = time.perf_counter() - begun
    found = {"open_ms": opened * 1e3, "open_kib": (wire.bytes - at_first) / 1024}
    await running

    spent, received = cpu(kernel), wire.bytes
    gaps = asyncio.create_task(page.evaluate(FRAMES, seconds))
    last = await feed(run, points, seconds)
    frames = await gaps
    await panel.more(than=last - 1)
    updates = seconds * 10  # it looks ten times a second
    lags = json.loads(await panel.chart.get_attribute("data-lags") or "[]")
    found |= {
        "paint_p50_ms": quantile(lags, 0.5) * 1e3,
        "paint_p95_ms": quantile(lags, 0.95) * 1e3,
        "kib_per_update": (wire.bytes - received) / 1024 / updates,
        "cpu_ms_per_update": (cpu(kernel) - spent) * 1e3 / updates,
        "frame_p50_ms": statistics.median(frames),
        "frame_p95_ms": quantile(frames, 0.95),
        "points_drawn": float(await panel.chart.get_attribute("data-drawn") or 0),
    }
    os.close(held)
    await notebook.execute("panel.close()")
    found |= await peer(notebook, wire, kernel, seconds)
    await notebook.kernel("shutdown")
    await session.detach()
    return found


async def peer(
    notebook: NotebookPage, wire: Wire, kernel: psutil.Process, seconds: float
) -> dict[str, float]:
    """The same of a PNG."""
    await notebook.run("peer")
    spent, received = cpu(kernel), wire.bytes
    await notebook.execute(
        "begun = time.monotonic()\n"
        "worker = threading.Thread(target=draw, daemon=True)\n"
        "worker.start()"
    )
    frames = await notebook.page.evaluate(FRAMES, seconds)
    drawn = int(await notebook.execute("going.set(); worker.join(); print(drawn[0])"))
    return {
        "peer_updates": float(drawn),
        "peer_kib_per_update": (wire.bytes - received) / 1024 / max(drawn, 1),
        "peer_cpu_ms_per_update": (cpu(kernel) - spent) * 1e3 / max(drawn, 1),
        "peer_frame_p95_ms": quantile(frames, 0.95),
    }


async def main() -> None:
    """Measure at 2000 points and at many."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=8.0)
    options.add_argument("--points", type=int, default=100_000)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        with LabProcess.start(home / "ava-lessons", home) as lab:
            async with driving.chromium() as browser, driving.window(browser) as context:
                for points in (2000, asked.points):
                    async with driving.only_here(context, lab) as page:
                        results[str(points)] = await measure(page, lab, points, asked.seconds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    if asked.json:
        print(json.dumps({"load": load, **results}, indent=1))
        return
    print(f"load {load} on {os.cpu_count()} cores\n")
    print(f"{'':24}" + "".join(f"{points + ' points':>18}" for points in results))
    for name in next(iter(results.values())):
        print(f"{name:24}" + "".join(f"{each[name]:18.2f}" for each in results.values()))


if __name__ == "__main__":
    asyncio.run(main())

"""What runs cost: logging a row, opening a million of them, following fifty live runs, a crash.

    python tests/benchmarks/bench_runs.py [--rows N] [--rivals] [--json]

The same rows go through our writer and TensorBoard's, and with --rivals through MLflow's, which is
installed into a virtual environment of its own for that (or said to be missing). Calls of the
writers are interleaved in blocks, so that a busy machine is unfair to all alike. Times of calls are
CPU time of the calling thread, in microseconds; what a background thread does is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.runs.fakes import OBEDIENT, make_run, trainer
from workbench.runs import process
from workbench.runs.control import start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir
from workbench.runs.overview import Overview
from workbench.runs.watch import Watch
from workbench.runs.writer import MetricWriter

BLOCK = 500
LIVE = 50
FOLLOW_SECONDS = 20.0
MLFLOW = ("mlflow-skinny==3.17.2", "sqlalchemy>=2,<3", "alembic>=1.13,<2")
ROOT = Path(__file__).resolve().parents[2]

Log = Callable[[int], None]


def row(step: int) -> dict[str, float]:
    """What a step tells: six figures beside the step."""
    return {
        "step": step, "t": 1.7e9 + step / 7, "loss": 5.0 / (1 + step / 1000), "lr": 3e-4,
        "grad_norm": 0.7 + step % 13 / 50, "tokens": step * 32_768.0,
        "tokens_per_s": 41_234.5 + step % 7, "step_s": 0.7946,
    }  # fmt: skip


FIGURES = [name for name in row(0) if name not in ("step", "t")]


def ours(folder: Path) -> tuple[Log, Callable[[], None]]:
    writer = MetricWriter(folder / "rows.jsonl")
    return lambda step: writer.write(row(step)), writer.close


def tensorboard(folder: Path) -> tuple[Log, Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]

    def log(step: int) -> None:
        facts = row(step)
        for name in FIGURES:
            writer.add_scalar(name, facts[name], step, walltime=facts["t"])

    return log, writer.close


def logging_cost(rows: int, folder: Path) -> dict[str, Any]:
    """CPU per row in the calling thread, and of the whole process, by writer."""
    makers: dict[str, Callable[[Path], tuple[Log, Callable[[], None]]]] = {"ava": ours}
    try:
        version("tensorboard")
        makers["tensorboard"] = tensorboard
    except PackageNotFoundError:
        print("tensorboard is not installed: skipped", file=sys.stderr)
    found: dict[str, Any] = {}
    open_writers = {}
    for name, make in makers.items():
        (folder / name).mkdir()
        open_writers[name] = make(folder / name)
        found[name] = {"calls": [], "process": 0}
    for block in range(0, rows, BLOCK):
        for name, (log, _) in open_writers.items():
            process_began = time.process_time_ns()
            for step in range(block, min(block + BLOCK, rows)):
                began = time.thread_time_ns()
                log(step)
                found[name]["calls"].append(time.thread_time_ns() - began)
            found[name]["process"] += time.process_time_ns() - process_began
    for name, (_, close) in open_writers.items():
        close()
        size = sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())
        found[name] = summary(found[name]["calls"], found[name]["process"], size, rows)
    return found


def summary(calls: list[int], whole: int, size: int, rows: int) -> dict[str, float]:
    calls.sort()
    return {
        "median_us": calls[len(calls) // 2] / 1e3,
        "p99_us": calls[int(len(calls) * 0.99)] / 1e3,
        "whole_process_us": whole / rows / 1e3,
        "bytes_per_row": size / rows,
    }


RIVAL = """
import json, sys, time, os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
sys.path.insert(0, sys.argv[2])
import mlflow
rows, figures = json.loads(sys.stdin.read())
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
calls, whole = [], time.process_time_ns()
with mlflow.start_run():
    whole = time.process_time_ns()
    for facts in rows:
        began = time.thread_time_ns()
        mlflow.log_metrics({name: facts[name] for name in figures}, step=int(facts["step"]))
        calls.append(time.thread_time_ns() - began)
    whole = time.process_time_ns() - whole
print(json.dumps([calls, whole, os.path.getsize(f"{sys.argv[1]}/mlflow.db"), mlflow.__version__]))
"""


def rival_cost(folder: Path) -> dict[str, float] | None:
    """MLflow's cost for 300 rows, in an environment of its own; None where it cannot be had."""
    place = folder / "venv"
    try:
        venv.create(place, with_pip=True)
        python = str(place / "bin/python")
        pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *MLFLOW]
        subprocess.run(pip, check=True, timeout=600)
        done = subprocess.run(
            [python, "-W", "ignore", "-c", RIVAL, str(folder), str(folder)],
            input=json.dumps([[row(step) for step in range(300)], FIGURES]),
            check=True, text=True, capture_output=True, timeout=600, cwd=folder,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        print(f"mlflow cannot be had here: skipped ({error})", file=sys.stderr)
        return None
    calls, whole, size, _ = json.loads(done.stdout.splitlines()[-1])
    return summary(calls, whole, size, 300)


OPEN = """
import sys, time
began = time.process_time()
from pathlib import Path
from workbench.runs.directory import RunDir
from workbench.runs.watch import Watch
loaded = time.process_time()
shown = Watch(RunDir(Path(sys.argv[1]))).catch_up()
assert len(shown.losses) == int(sys.argv[2]), len(shown.losses)
print(time.process_time() - loaded, loaded - began)
"""


def opening_cost(rows: int, folder: Path) -> dict[str, float]:
    """CPU seconds to open a long run in a new process: without its cache, with it, and grown."""
    run = make_run(folder, "long")
    writer = MetricWriter(run.metrics_path(1))
    for step in range(1, rows + 1):
        writer.write(row(step))
    writer.close()

    def opened(expected: int) -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(run.path), str(expected)],
            check=True, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        cpu, imports = map(float, done.stdout.split())
        return cpu, imports

    first, imports = opened(rows)
    again = min(opened(rows)[0] for _ in range(3))
    writer = MetricWriter(run.metrics_path(1))
    for step in range(rows + 1, rows + 101):
        writer.write(row(step))
    writer.close()
    grown = min(opened(rows + 100)[0] for _ in range(3))
    sizes = run.metrics_path(1).stat().st_size, (run.cache_path / "metrics.bin").stat().st_size
    return {
        "rows": rows, "first_s": first, "again_s": again, "grown_by_100_rows_s": grown,
        "imports_s": imports, "metrics_bytes": sizes[0], "cache_bytes": sizes[1],
    }  # fmt: skip


def following_cost(folder: Path) -> dict[str, float]:
    """Share of a core that a face takes: the list once a second, every run's curves too."""
    runs, locks = [], []
    for number in range(LIVE):
        run = make_run(folder, f"live{number}", max_steps=10_000)
        run.attempt_dir(1).mkdir()
        descriptor = process.try_lock(run.lock_path)
        assert descriptor is not None
        identity = process.identify(os.getpid())
        assert identity is not None
        event = {"t": time.time(), "event": "attempt", "attempt": 1, **identity.to_dict()}
        run.events_path.write_text(json.dumps(event) + "\n")
        run.metrics_path(1).write_text("".join(json.dumps(row(s)) + "\n" for s in range(1, 2001)))
        runs.append(run)
        locks.append(descriptor)
    writers = subprocess.Popen(
        [sys.executable, "-c", WRITERS, *(str(r.path) for r in runs)], cwd=ROOT
    )
    try:
        overview = Overview(runs[0].path.parent)
        watches = [Watch(run) for run in runs]
        for watch in watches:
            watch.catch_up()
        shares = {
            "list": share(overview.poll),
            "list_and_curves": share(lambda: [overview.poll(), *(w.poll() for w in watches)]),
        }
    finally:
        writers.kill()
        writers.wait()
        for descriptor in locks:
            os.close(descriptor)
    assert all(entry.state == "running" for entry in overview.entries)
    return shares


WRITERS = """
import sys, time
from pathlib import Path
from tests.benchmarks.bench_runs import row
from workbench.runs.directory import RunDir
from workbench.runs.writer import MetricWriter
files = [RunDir(Path(path)).metrics_path(1) for path in sys.argv[1:]]
writers = [MetricWriter(file, sync_seconds=60) for file in files]
step = 2000
while True:
    step += 1
    for writer in writers:
        writer.write(row(step))
    time.sleep(1)
"""


def share(look: Callable[[], object]) -> float:
    """CPU per second of looking once a second."""
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < FOLLOW_SECONDS / 2:
        look()
        time.sleep(1)
    return (time.process_time() - cpu) / (time.monotonic() - began)


def crash_seconds(folder: Path) -> dict[str, float]:
    """From kill -9 of a trainer to the list that says so, when it looks once a second."""
    seconds = []
    for number in range(5):
        run = make_run(folder, f"crash{number}")
        start(run, command=trainer(OBEDIENT))
        state = wait_for_start(run)
        overview = Overview(run.path.parent)
        overview.poll()
        assert state.pid
        began = time.monotonic()
        os.kill(state.pid, signal.SIGKILL)
        while entry_of(overview, run) != "failed":
            time.sleep(1)
            overview.poll()
        seconds.append(time.monotonic() - began)
        stop(run)
        wait_for_end(run, 60)
    return {"slowest_s": max(seconds), "trials": len(seconds)}


def entry_of(overview: Overview, run: RunDir) -> str:
    return next(entry.state for entry in overview.entries if entry.name == run.name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the long run")
    parser.add_argument("--rivals", action="store_true", help="install MLflow and compare")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-runs-") as name:
        folder = Path(name)
        os.environ["AVA_STATE_DIR"] = str(folder / "state")
        found: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}, load {os.getloadavg()[0]:.1f}",
            "logging": logging_cost(20_000, folder),
        }
        if options.rivals:
            found["logging"]["mlflow"] = rival_cost(folder)
        found["opening"] = opening_cost(options.rows, folder / "opening")
        found["following"] = following_cost(folder / "following")
        found["crash"] = crash_seconds(folder / "crash")
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(found["machine"])
    print(f"\nlogging a row of {len(FIGURES)} figures, CPU µs  (goal: median 15, p99 100)")
    for writer, cost in found["logging"].items():
        if cost is None:
            print(f"  {writer:<12} skipped")
            continue
        print(
            f"  {writer:<12} median {cost['median_us']:9.1f}  p99 {cost['p99_us']:9.1f}  "
            f"whole process {cost['whole_process_us']:9.1f}  {cost['bytes_per_row']:6.0f} bytes"
        )
    opening = found["opening"]
    print(
        f"\nopening {opening['rows']:,} rows, CPU s  (goal: 0.3)\n"
        f"  with its cache {opening['again_s']:.3f}   grown by 100 rows "
        f"{opening['grown_by_100_rows_s']:.3f}   the first time {opening['first_s']:.2f}   "
        f"(and imports {opening['imports_s']:.3f})\n"
        f"  {opening['metrics_bytes'] / 1e6:.0f} MB of rows, {opening['cache_bytes'] / 1e6:.0f} MB "
        "of cache"
    )
    following = found["following"]
    print(
        f"\nfollowing {LIVE} live runs, share of a core  (goal: 5 %)\n"
        f"  the list {following['list']:.1%}   the list and all curves "
        f"{following['list_and_curves']:.1%}"
    )
    print(f"\na crash is in the list after {found['crash']['slowest_s']:.1f} s at most  (goal: 3)")


if __name__ == "__main__":
    main()

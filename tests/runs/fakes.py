"""What the tests of runs share: runs made in a moment, and trainers of a few lines."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from workbench.runs import process
from workbench.runs.directory import RunDir, create_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

PRELUDE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
run, attempt = Path(sys.argv[1]), int(sys.argv[3])
def line(path, **facts):
    with path.open("a") as file:
        file.write(json.dumps({"t": time.time(), **facts}) + "\\n")
def row(step, **metrics):
    line(run / f"metrics/{attempt:04d}.jsonl", step=step, **metrics)
def event(name, **facts):
    line(run / f"attempts/{attempt:04d}/events.jsonl", event=name, **facts)
def wait():
    while True:
        time.sleep(0.05)
"""


def trainer(script: str) -> list[str]:
    """A trainer command; `row`, `event`, `wait`, `run` and `attempt` are there for the script."""
    return [sys.executable, "-S", "-c", PRELUDE + script]


# Saves when asked to stop, as the real one does; touches run/saved.
OBEDIENT = """
def stop(*_):
    (run / "saved").touch()
    os._exit(75)
signal.signal(signal.SIGTERM, stop)
event("ready", max_steps=9)
row(1, loss=5.5)
wait()
"""


# A launcher of two ranks, as torchrun is one: it ends with 1 when a rank fails, and a SIGTERM to it
# takes the ranks down unsaved. Each rank runs `rank`, where LOCAL_RANK tells which it is.
LAUNCHER = """
if "LOCAL_RANK" not in os.environ:
    def start(rank):
        return subprocess.Popen(
            [sys.executable, "-S", "-c", sys.orig_argv[-4], *sys.argv[1:]],
            env={**os.environ, "LOCAL_RANK": str(rank)},
        )
    ranks = [start(rank) for rank in range(2)]
    def end(*_):
        for each in ranks:
            each.kill()
        os._exit(1)
    signal.signal(signal.SIGTERM, end)
    while any(each.poll() is None for each in ranks):
        if any(each.poll() for each in ranks):
            end()
        time.sleep(0.01)
    sys.exit(any(each.returncode for each in ranks))
rank = int(os.environ["LOCAL_RANK"])
def ending(outcome):
    if rank == 0:
        (run / f"attempts/{attempt:04d}/ending.json").write_text(json.dumps({"outcome": outcome}))
def checkpoint(step):
    (run / f"checkpoints/step-{step:08d}").mkdir(exist_ok=True)
"""

CHECKPOINT = """
def checkpoint(step):
    (run / f"checkpoints/step-{step:08d}").mkdir(exist_ok=True)
"""


def make_run(
    folder: Path, name: str | None = "r", *, max_steps: int = 9, **sections: dict[str, Any]
) -> RunDir:
    return create_run(
        folder / "runs",
        name,
        config={"training": {"max_steps": max_steps}, **sections},
        origins={},
        config_yaml=f"training:\n  max_steps: {max_steps}\n",
        meta={"recipe": "tiny", "title": None, "command": ["ava"], "stack": []},
    )


def eventually(what: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Wait until something is so, and return it; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


def nobody_left(run: RunDir) -> bool:
    return not process.marked(run.path)


def everything_in(folder: Path) -> Iterable[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fill_disk(folder: Path) -> Path:
    """Leave no space on a small disk."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(folder).f_bavail == 0
    return ballast

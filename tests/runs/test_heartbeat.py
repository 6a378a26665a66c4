"""Whether a run stalls is told by a clock that nobody can set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.runs.fakes import OBEDIENT, eventually, make_run, trainer
from workbench.runs import heartbeat, process, status
from workbench.runs.control import start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir
from workbench.runs.heartbeat import Heart, boottime, last_beat
from workbench.runs.status import verdict

DAY = 86_400.0


class Lock:
    """As if this process were the supervisor."""

    def __init__(self, run: RunDir) -> None:
        descriptor = process.try_lock(run.lock_path)
        assert descriptor is not None
        self.descriptor = descriptor

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.fixture
def live(tmp_path: Path) -> RunDir:
    """A run with an attempt, rows of 0.1 s a step, and a trainer that is this very process."""
    run = make_run(tmp_path)
    run.attempt_dir(1).mkdir()
    identity = process.identify(os.getpid())
    assert identity
    event = {"t": time.time(), "event": "attempt", "attempt": 1, **identity.to_dict()}
    run.events_path.write_text(json.dumps(event) + "\n")
    rows = "".join(json.dumps({"step": s, "step_s": 0.1}) + "\n" for s in range(1, 21))
    run.metrics_path(1).write_text(rows)
    return run


def beat(run: RunDir, *, quiet: float, **change: Any) -> None:
    now = boottime()
    facts = {
        "t": time.time(), "now": now, "moved": now - quiet, "boot_id": process.boot_id(),
        "attempt": 1,
    }  # fmt: skip
    run.heartbeat_path.write_text(json.dumps(facts | change))


@pytest.mark.parametrize("jump", [-DAY, -3600.0, 0.0, 3600.0, DAY])
@pytest.mark.parametrize(("quiet", "said"), [(2.0, "running"), (45.0, "stalled")])
def test_a_clock_that_jumps_neither_makes_nor_hides_a_stall(
    live: RunDir, monkeypatch: pytest.MonkeyPatch, jump: float, quiet: float, said: str
) -> None:
    beat(live, quiet=quiet)
    real = time.time
    monkeypatch.setattr(status.time, "time", lambda: real() + jump)
    with closing(Lock(live)):
        state = verdict(live)
    assert state.state == said, state
    if said == "stalled":
        assert "nothing has come for 45" in state.reason


@pytest.mark.parametrize(
    "change", [{"now": 0.0}, {"boot_id": "another"}, {"attempt": 7}, {"moved": "x"}]
)
def test_without_a_heart_that_beats_here_the_files_tell(
    live: RunDir, change: dict[str, Any]
) -> None:
    beat(live, quiet=0.0, **change)
    with closing(Lock(live)):
        assert verdict(live).state == "running"
        then = time.time() - 60
        os.utime(live.metrics_path(1), (then, then))
        assert verdict(live).state == "stalled"


def test_a_heart_notes_what_comes_and_beats_now_and_then(
    live: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(heartbeat, "boottime", lambda: now)
    heart = Heart(live, 1)
    heart.look()
    first = last_beat(live)
    assert first is not None
    assert (first.now, first.moved, first.attempt) == (1000.0, 1000.0, 1)
    now = 1003.0
    heart.look()
    assert last_beat(live) == first, "not at every look"
    now = 1030.0
    heart.look()
    second = last_beat(live)
    assert second is not None
    assert (second.now, second.moved) == (1030.0, 1000.0)
    live.log_path.write_text("evaluating")
    now = 1036.0
    heart.look()
    third = last_beat(live)
    assert third is not None
    assert third.moved == 1036.0
    assert third.quiet() == 0.0


def test_a_halted_trainer_is_called_halted(live: RunDir) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    try:
        identity = process.identify(child.pid)
        assert identity
        event = {"t": time.time(), "event": "attempt", "attempt": 1, **identity.to_dict()}
        live.events_path.write_text(json.dumps(event) + "\n")
        beat(live, quiet=50.0)
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: process.is_paused(child.pid))
        with closing(Lock(live)):
            state = verdict(live)
        assert state.state == "stalled"
        assert f"its process is halted: kill -CONT {child.pid}" in state.reason
    finally:
        child.kill()
        child.wait()
    assert not process.is_paused(child.pid)


def test_a_real_supervisor_beats(make: Callable[..., RunDir]) -> None:
    run = make()
    start(run, command=trainer(OBEDIENT))
    wait_for_start(run, 120)
    found = eventually(lambda: last_beat(run))
    assert found.attempt == 1
    assert found.boot_id == process.boot_id()
    stop(run)
    assert wait_for_end(run, 120).state == "stopped"

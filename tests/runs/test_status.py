"""Verdicts from files and the lock alone: no process is needed to judge a run."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from workbench.runs import process
from workbench.runs.control import wait_for_end, wait_for_start
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.runs.directory import RunDir


@contextmanager
def supervised(run: RunDir) -> Iterator[None]:
    """As if this process were the supervisor."""
    lock = process.try_lock(run.lock_path)
    assert lock is not None
    yield
    os.close(lock)


def attempt(run: RunDir, number: int = 1) -> None:
    run.attempt_dir(number).mkdir()
    identity = process.identify(os.getpid())
    assert identity
    with run.events_path.open("a") as file:
        event = {"t": time.time(), "event": "attempt", "attempt": number, **identity.to_dict()}
        file.write(json.dumps(event) + "\n")


def rows(run: RunDir, number: int, count: int, step_s: float = 0.1) -> None:
    run.metrics_path(number).write_text(
        "".join(json.dumps({"step": s, "step_s": step_s}) + "\n" for s in range(1, count + 1))
    )


def test_a_run_that_was_never_started(run: RunDir) -> None:
    state = verdict(run)
    assert (state.state, state.alive, state.attempt, state.max_steps) == ("stopped", False, 0, 9)
    assert "not been started" in state.reason


def test_from_the_lock_to_the_first_row(run: RunDir) -> None:
    with supervised(run):
        assert verdict(run).state == "starting"
        attempt(run)
        state = verdict(run)
        assert (state.state, state.alive, state.pid) == ("starting", True, os.getpid())
        assert wait_for_start(run, 0.1).state == "starting"
        rows(run, 1, 3)
        assert (verdict(run).state, verdict(run).step) == ("running", 3)
        assert wait_for_end(run, 0.1).alive
        (run.inbox / "stop").touch()
        assert verdict(run).state == "stopping"


@pytest.mark.parametrize(("quiet", "step_s", "expected"), [
    (10, 0.1, "running"), (40, 0.1, "stalled"), (40, 10.0, "running"), (400, 10.0, "stalled"),
])  # fmt: skip
def test_a_run_is_stalled_by_the_measure_of_its_own_steps(
    run: RunDir, quiet: float, step_s: float, expected: str
) -> None:
    with supervised(run):
        attempt(run)
        rows(run, 1, 20, step_s)
        then = time.time() - quiet
        os.utime(run.metrics_path(1), (then, then))
        state = verdict(run)
        assert state.state == expected
        assert ("a step usually takes" in state.reason) == (expected == "stalled")
        run.log_path.write_text("evaluating\n")
        assert verdict(run).state == "running", "other signs of life count"


def test_a_pid_in_the_files_proves_nothing(run: RunDir) -> None:
    """The pid is alive, and even ours; but nobody holds the lock."""
    attempt(run)
    rows(run, 1, 2)
    me = process.identify(os.getpid())
    assert me
    for identity in (me, me._replace(start_ticks=me.start_ticks - 1)):
        run.lock_path.write_text(json.dumps(identity.to_dict()))
        assert (verdict(run).state, verdict(run).alive) == ("vanished", False)


def test_a_reused_pid_of_the_trainer_is_not_shown(run: RunDir) -> None:
    run.attempt_dir(1).mkdir()
    me = process.identify(os.getpid())
    assert me
    stranger = me._replace(start_ticks=me.start_ticks - 1).to_dict()
    run.events_path.write_text(json.dumps({"event": "attempt", "attempt": 1, **stranger}) + "\n")
    assert verdict(run).pid is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boot_id": "another"}, "restarted"),
        ({"host": "elsewhere"}, "elsewhere"),
        ({}, "supervisor was killed"),
    ],
)
def test_why_a_run_has_vanished(run: RunDir, change: dict[str, str], words: str) -> None:
    run.attempt_dir(1).mkdir()
    me = process.identify(os.getpid())
    assert me
    run.lock_path.write_text(json.dumps({**me.to_dict(), "start_ticks": 1, **change}))
    state = verdict(run)
    assert state.state == "vanished"
    assert words in state.reason


@pytest.mark.parametrize(
    ("summary", "expected"), [("finished", "finished"), ("stopped", "vanished")]
)
def test_a_training_that_was_done_when_its_supervisor_died(
    run: RunDir, summary: str, expected: str
) -> None:
    run.attempt_dir(1).mkdir()
    done = {"t": 1, "event": "done", "step": 9, "summary": {"state": summary}}
    run.attempt_events_path(1).write_text(json.dumps(done) + "\n")
    assert verdict(run).state == expected


def test_the_newest_attempt_counts(run: RunDir) -> None:
    attempt(run, 1)
    rows(run, 1, 5)
    (run.attempt_dir(1) / "exit.json").write_text('{"code": 1}')
    assert verdict(run).state == "failed"
    with supervised(run):
        attempt(run, 2)
        state = verdict(run)
        assert (state.state, state.attempt, state.step) == ("starting", 2, 5)


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff\0", b'{"config": 3}', b'{"code": "x"}', b"[1]"])
def test_damaged_files_do_not_stop_the_judge(run: RunDir, junk: bytes) -> None:
    attempt(run)
    for path in (
        run.config_path, run.events_path, run.lock_path, run.metrics_path(1), run.meta_path,
        run.attempt_dir(1) / "exit.json", run.attempt_dir(1) / "failure.json", run.output_path(1),
    ):  # fmt: skip
        path.write_bytes(junk)
    assert verdict(run).state in ("vanished", "failed")


def test_judging_the_environment_is_not_needed(run: RunDir) -> None:
    """A run that was copied elsewhere and may only be read is judged all the same."""
    attempt(run)
    rows(run, 1, 2)
    run.lock_path.touch()
    run.lock_path.chmod(0o400)
    assert verdict(run).state == "vanished"

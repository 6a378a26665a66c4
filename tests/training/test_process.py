"""The real trainer process, killed at any moment and stopped as asked."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.training.helpers import MakeRun, curve, events, rows, start, wait_for, weights

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

# Long enough to be hit in a step, in an evaluation and in a save.
LONG = {"max_steps": 300, "save_steps": 7, "eval_steps": 20}


@pytest.fixture(scope="module")
def uninterrupted(make_run: MakeRun) -> RunDir:
    run = make_run(training=LONG)
    assert start(run, 1).wait(120) == 0, (run.attempt_dir(1) / "out.log").read_text()
    return run


def test_a_run_ends_with_exit_code_0_a_picture_and_silence(uninterrupted: RunDir) -> None:
    assert (uninterrupted.attempt_dir(1) / "out.log").read_text() == ""
    assert uninterrupted.curves_path.read_bytes().startswith(b"\x89PNG")
    assert json.loads(uninterrupted.summary_path.read_text())["state"] == "finished"
    assert not list(uninterrupted.path.rglob(".tmp*"))


def test_kill_9_at_any_moment_then_resume_is_the_same_run(
    make_run: MakeRun, uninterrupted: RunDir
) -> None:
    run = make_run(training=LONG)
    rng = random.Random(2026)
    attempt, begun = 1, 0
    for target in (20, 75, 140, 230):
        process = start(run, attempt)
        wait_for(lambda: rows(run, attempt) + begun >= target or process.poll() is not None)  # noqa: B023
        if attempt == 2:
            process.send_signal(signal.SIGTERM)  # one of them gently
            assert process.wait(60) == 75, (run.attempt_dir(attempt) / "out.log").read_text()
            assert json.loads(run.summary_path.read_text())["state"] == "stopped"
            last = int(max(step for step, _ in curve(run)["loss"]))
            assert (run.checkpoints_dir / f"step-{last:08d}").is_dir(), "saved where it stopped"
        else:
            moment = time.perf_counter() + rng.uniform(0, 0.02)
            while time.perf_counter() < moment:
                pass
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        begun = int(max(step for step, _ in curve(run)["loss"]))
        attempt += 1
    assert start(run, attempt).wait(120) == 0, (run.attempt_dir(attempt) / "out.log").read_text()
    assert events(run, attempt, "resumed")
    assert curve(run) == curve(uninterrupted)
    assert weights(run, 300) == weights(uninterrupted, 300)
    assert not list(run.checkpoints_dir.glob(".tmp-*"))


def test_a_second_signal_means_now() -> None:
    code = (
        "import os, signal, sys, time\n"
        "from workbench.training.stop import StopSignals\n"
        "stop = StopSignals().install()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert stop.requested\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, cwd=".")
    assert done.returncode == 128 + signal.SIGTERM

"""The real trainer in two processes: stopped as asked, and when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.distributed.helpers import environment, launch, torchrun
from tests.training.helpers import MakeRun, curve, events, rows, wait_for
from workbench.runs.directory import RunDir

LONG: dict[str, dict[str, Any]] = {
    "model": {"hidden_dropout": 0.1},
    "training": {"batch_size": 2, "max_steps": 60, "save_steps": 20, "eval_steps": 0},
    "evaluation": {"max_new_tokens": 0},
    "parallel": {"devices_per_node": 2},
    "run": {"device": "cpu", "threads": 1},
}


def start(run: RunDir, attempt: int) -> subprocess.Popen[bytes]:
    directory = run.attempt_dir(attempt)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "out.log").open("wb") as out:
        return subprocess.Popen(
            [*torchrun(2)[:-1], "--module", "workbench.training", str(run.path),
             "--attempt", str(attempt)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def ranks(process: subprocess.Popen[bytes]) -> dict[int, psutil.Process]:
    """The trainers that torchrun has started, by rank."""
    return {int(child.environ()["RANK"]): child for child in psutil.Process(process.pid).children()}


def until_step(run: RunDir, process: subprocess.Popen[bytes], count: int) -> None:
    wait_for(lambda: rows(run, 1) >= count or process.poll() is not None, seconds=120)
    assert process.poll() is None, (run.attempt_dir(1) / "out.log").read_text()


@pytest.fixture(scope="module")
def stopped(make_run: MakeRun) -> RunDir:
    """One rank is asked to stop; the other agrees."""
    run = make_run(**LONG)
    process = start(run, 1)
    until_step(run, process, 3)
    ranks(process)[1].send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, (run.attempt_dir(1) / "out.log").read_text()
    return run


@pytest.fixture(scope="module")
def killed(make_run: MakeRun) -> tuple[RunDir, int, list[psutil.Process]]:
    """One rank is killed at once; the other must not stay."""
    run = make_run(**LONG)
    process = start(run, 1)
    wait_for(lambda: events(run, 1, "saved") or process.poll() is not None, seconds=120)
    both = ranks(process)
    both[1].kill()
    return run, process.wait(120), list(both.values())


def test_a_stop_is_agreed_and_saved(stopped: RunDir) -> None:
    assert json.loads((stopped.attempt_dir(1) / "ending.json").read_text()) == {
        "outcome": "stopped"
    }
    last = int(max(step for step, _ in curve(stopped)["loss"]))
    assert last < 60
    assert (stopped.checkpoints_dir / f"step-{last:08d}").is_dir()
    assert json.loads(stopped.summary_path.read_text())["state"] == "stopped"


def test_a_killed_rank_ends_the_others(killed: tuple[RunDir, int, list[psutil.Process]]) -> None:
    run, code, processes = killed
    assert code != 0
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, gone
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert failure["what"] == "another process of this run has ended"
    assert failure["unforeseen"] is True, "it may pass: the supervisor tries again"
    assert not (run.attempt_dir(1) / "ending.json").exists()


def test_both_go_on_as_if_nothing_had_happened(
    make_run: MakeRun, stopped: RunDir, killed: tuple[RunDir, int, list[psutil.Process]]
) -> None:
    """With dropout, so that a forgotten random state of a rank shows."""
    whole = make_run(**LONG)
    launch((whole, 1), (stopped, 2), (killed[0], 2), processes=2)
    for run in (stopped, killed[0]):
        assert curve(run)["loss"] == curve(whole)["loss"]
        assert curve(run)["grad_norm"] == curve(whole)["grad_norm"]


def test_a_wrong_number_of_processes_is_one_message(make_run: MakeRun) -> None:
    run = make_run(parallel={"devices_per_node": 3}, run={"device": "cpu", "threads": 1})
    from workbench.training.__main__ import main

    before = dict(os.environ)
    assert main([str(run.path), "--attempt", "1"]) == 2
    assert dict(os.environ).keys() - before.keys() <= {
        "OMP_WAIT_POLICY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    }  # fmt: skip
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert failure["what"] == "the config is for 3 processes, and 1 were started"


def test_a_bad_batch_of_one_rank_stops_all_before_the_weights(make_run: MakeRun) -> None:
    run = make_run(**LONG)
    script = Path(__file__).with_name("poisoned_worker.py")
    done = subprocess.run(
        [*torchrun(2), str(script), str(run.path), "--attempt", "1"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert "the loss became nan at step 3" in failure["what"]
    assert "rank 1, micro-batch 0" in failure["where"]
    assert "rank 0" not in failure["where"]
    told = json.loads((run.path / "bad_batch.json").read_text())
    assert told["step"] == 3
    assert [each["rank"] for each in told["micro_batches"]] == [0, 1]
    assert all(len(each["ids"]) == 2 for each in told["micro_batches"])
    assert not list(run.checkpoints_dir.glob("step-*"))
    assert [step for step, _ in curve(run)["lr"]] == [1, 2, 3]

"""Where checkpoints lie, which of them stay, and which one a run goes on from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events, weights
from workbench.errors import CheckpointError, ConfigError
from workbench.runs import tiers as places
from workbench.runs.directory import RunDir, delete_run
from workbench.training import checkpoint, loop
from workbench.training.checkpoint import Checkpoints, Retention
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")


def attempt(run: RunDir, number: int = 1) -> Session:
    session = open_session(run, number, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: Exception | None = None) -> None:
    """Ask for a stop after a step, or break down there."""
    take_step = loop.take_step

    def stopping(session: Session) -> None:
        take_step(session)
        if session.progress.step == step:
            session.stop.requested = True
            if error is not None:
                raise error

    monkeypatch.setattr(loop, "take_step", stopping)


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in folder.glob("step-*"))


@pytest.fixture
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    return tmp_path / "shm"


def test_which_checkpoints_stay() -> None:
    scores = [None, 5.0, 3.0, float("nan"), 1.0, 2.0, 9.0]
    assert Retention(2).keep(scores) == {0, 1}
    assert Retention(2, best=2).keep(scores) == {0, 1, 4, 5}
    assert Retention(1, best=1, greater_is_better=True).keep(scores) == {0, 6}
    assert Retention(3, best=9).keep([None]) == {0}


@pytest.mark.honours("checkpointing.keep_best_n", "training.greater_is_better")
@pytest.mark.parametrize("greater", [False, True])
def test_the_best_are_kept_beside_the_newest(tmp_path: Path, *, greater: bool) -> None:
    kept = Checkpoints(tmp_path, Retention(2, 1, greater), lambda *_: None)
    for step, score in ((1, 4.0), (2, 9.0), (3, 1.0), (4, 5.0), (5, None), (6, 6.0)):
        kept.save(step, {"model": {"w": torch.ones(3)}}, {}, score=score)
    assert steps(tmp_path) == [2 if greater else 3, 5, 6]


@pytest.mark.honours("checkpointing.keep_best_n", "training.metric_for_best_model")
def test_a_run_keeps_its_best(make_run: MakeRun) -> None:
    sections = {"training": {"eval_steps": 1, "save_steps": 1, "max_steps": 8, "lr_end": 0.3,
                             "learning_rate": 0.3, "warmup_steps": 0}}  # fmt: skip
    run = make_run(**sections, checkpointing={"keep_best_n": 1})
    attempt(run)
    losses = dict(curve(run)["val_loss"])
    best = int(min(losses, key=lambda step: losses[step]))
    assert steps(run.checkpoints_dir) == sorted({best, 7, 8})


@pytest.mark.honours("checkpointing.asynchronous")
@pytest.mark.parametrize("apart", [True, False])
def test_the_training_goes_on_while_a_thread_writes(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, *, apart: bool
) -> None:
    """With a disk that waits for step 3, step 3 only comes when the disk is not waited for."""
    reached, patience = threading.Event(), 120.0 if apart else 0.2
    arrived: list[bool] = []
    save_file = checkpoint.save_file

    def slow(*args: Any) -> None:
        arrived.append(reached.wait(patience))
        save_file(*args)

    take_step = loop.take_step

    def noting(session: Session) -> None:
        take_step(session)
        if session.progress.step == 3:
            reached.set()

    plain = make_run(checkpointing={"asynchronous": apart})
    attempt(plain)
    monkeypatch.setattr(checkpoint, "save_file", slow)
    monkeypatch.setattr(loop, "take_step", noting)
    run = make_run(checkpointing={"asynchronous": apart})
    attempt(run)
    assert arrived[0] is apart
    assert [event["step"] for event in events(run, 1, "saved")] == [2, 4, 6]
    assert weights(run, 4) == weights(plain, 4), "what is saved is the step's, not a later one's"
    assert weights(run, 6) == weights(plain, 6)


def test_a_thread_that_fails_is_told_and_the_next_save_tries_again(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file, calls = checkpoint.save_file, []

    def full(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        save_file(*args)

    monkeypatch.setattr(checkpoint, "save_file", full)
    run = make_run()
    attempt(run)
    (failed,) = events(run, 1, "save_failed")
    assert failed["step"] == 2
    assert [event["step"] for event in events(run, 1, "saved")] == [4, 6]


def test_what_nobody_foresaw_in_the_thread_ends_the_attempt(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checkpoint, "save_file", broken)
    with pytest.raises(ZeroDivisionError):
        attempt(make_run())


def test_a_training_that_breaks_down_finishes_its_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    stop_at(monkeypatch, 3, RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        attempt(run)
    assert [event["step"] for event in events(run, 1, "saved")] == [2]
    assert steps(run.checkpoints_dir) == [2]


@pytest.mark.honours("checkpointing.save_optimizer_states")
def test_without_the_optimizer(make_run: MakeRun) -> None:
    run = make_run(checkpointing={"save_optimizer_states": False})
    attempt(run)
    folder = run.checkpoints_dir / "step-00000004"
    assert sorted(path.name for path in folder.iterdir()) == [
        "MANIFEST.json",
        "model.safetensors",
        "state.json",
    ]
    whole = make_run()
    attempt(whole)
    assert weights(whole, 4)["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    (run.checkpoints_dir / "step-00000006" / "state.json").unlink()
    session = attempt(run, 2)
    assert session.progress.step == 6


@pytest.mark.honours("checkpointing.memory_tier.enabled", "checkpointing.memory_tier.save_steps")
def test_the_memory_tier_is_what_a_broken_run_goes_on_from(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, shared_memory: Path
) -> None:
    whole = make_run()
    attempt(whole)
    tier = {"memory_tier": {"enabled": True, "save_steps": 1}}
    run = make_run(checkpointing=tier, training={"save_steps": 4})
    with monkeypatch.context() as patch:
        stop_at(patch, 3, RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            attempt(run)
    folder = places.memory_folder(places.identity(run))
    assert shared_memory in folder.parents
    assert steps(folder) == [1, 2]
    assert steps(run.checkpoints_dir) == []
    attempt(run, 2)
    assert events(run, 2, "resumed")[0]["step"] == 2
    assert not folder.exists(), "the memory is given back at the end"
    assert weights(run, 6) == weights(whole, 6)
    assert steps(run.checkpoints_dir) == [4, 6]


def test_a_deleted_run_leaves_the_memory_too(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, shared_memory: Path
) -> None:
    run = make_run(checkpointing={"memory_tier": {"enabled": True, "save_steps": 1}})
    with monkeypatch.context() as patch:
        stop_at(patch, 3, RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            attempt(run)
    folder = places.memory_folder(places.identity(run))
    assert steps(folder)
    delete_run(run)
    assert not folder.exists()


def test_a_stop_right_after_a_resume_from_memory_keeps_the_step(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, shared_memory: Path
) -> None:
    tier = {"memory_tier": {"enabled": True, "save_steps": 1}}
    run = make_run(checkpointing=tier, training={"save_steps": 0})
    with monkeypatch.context() as patch:
        stop_at(patch, 4, RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            attempt(run)
    session = open_session(run, 2, StopSignals())
    step = session.progress.step
    assert step >= 3
    session.stop.requested = True
    loop.train(session)
    session.close()
    assert steps(run.checkpoints_dir) == [step]


@pytest.mark.honours(
    "checkpointing.storage_tier.enabled",
    "checkpointing.storage_tier.save_steps",
    "checkpointing.storage_tier.path",
    "checkpointing.namespace",
    "checkpointing.fresh_start",
)
def test_the_storage_tier_outlives_the_run(make_run: MakeRun, tmp_path: Path) -> None:
    storage = {
        "namespace": "shared",
        "storage_tier": {"enabled": True, "save_steps": 3, "path": str(tmp_path)},
    }
    first = make_run(checkpointing=storage)
    attempt(first)
    assert steps(tmp_path / "shared") == [3, 6]
    longer = {"training": {"max_steps": 8}}
    other = make_run(checkpointing=storage, **longer)
    attempt(other)
    assert events(other, 1, "ready")[0]["start_step"] == 6
    apart = make_run(checkpointing=storage | {"namespace": "another"}, **longer)
    attempt(apart)
    assert events(apart, 1, "ready")[0]["start_step"] == 0
    fresh = make_run(checkpointing=storage | {"fresh_start": True}, **longer)
    attempt(fresh)
    assert events(fresh, 1, "ready")[0]["start_step"] == 0
    assert steps(tmp_path / "shared") == [6, 8]
    assert len(list((tmp_path / "shared").glob(".other-*"))) == 2, "theirs are not deleted"


@pytest.mark.honours("checkpointing.resume_from_checkpoint", "checkpointing.fresh_start")
def test_going_on_from_another_run(make_run: MakeRun) -> None:
    whole = make_run()
    attempt(whole)
    folder = whole.checkpoints_dir / "step-00000004"
    run = make_run(checkpointing={"resume_from_checkpoint": str(folder)})
    attempt(run)
    assert events(run, 1, "resumed")[0]["step"] == 4
    assert weights(run, 6) == weights(whole, 6)
    newest = make_run(checkpointing={"resume_from_checkpoint": str(whole.path)})
    attempt(newest)
    assert events(newest, 1, "resumed")[0]["step"] == 6
    assert steps(newest.checkpoints_dir) == [6], "what it went on from is its own now"
    fresh = make_run(checkpointing={"resume_from_checkpoint": str(folder), "fresh_start": True})
    session = open_session(fresh, 1, StopSignals())
    assert session.progress.step == 0
    trained = checkpoint.read(folder).tensors["model"]
    for name, value in session.engine.state()["model"].items():
        assert torch.equal(value, trained[name])
    assert not session.engine.state()["optimizer"]
    session.close()


def test_a_checkpoint_that_cannot_be_used_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    def why(path: Path) -> str:
        run = make_run(checkpointing={"resume_from_checkpoint": str(path)})
        with pytest.raises(CheckpointError) as caught:
            open_session(run, 1, StopSignals())
        assert caught.value.fix
        return str(caught.value.why)

    assert why(tmp_path / "nowhere") == "there is no such folder"
    assert why(tmp_path) == "it holds no checkpoint"
    (tmp_path / "step-00000003").mkdir()
    assert "MANIFEST.json is missing" in why(tmp_path)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"storage_tier": {"enabled": True}}, "needs a folder"),
        ({"storage_tier": {"enabled": True, "path": "s3://bucket/x"}}, "needs a folder"),
        ({"namespace": "../elsewhere"}, "cannot be a folder"),
    ],
)
def test_places_that_are_none(make_run: MakeRun, section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_session(make_run(checkpointing=section), 1, StopSignals())

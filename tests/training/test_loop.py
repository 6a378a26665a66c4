"""The loop, in this process: what it writes, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events, rows, weights
from workbench.errors import CheckpointError, TrainingError
from workbench.training import checkpoint, loop
from workbench.training.__main__ import main
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.runs.directory import RunDir

pytestmark = pytest.mark.usefixtures("in_process")


def attempt(run: RunDir, number: int = 1) -> Session:
    session = open_session(run, number, StopSignals())
    try:
        loop.train(session)
    finally:
        session.report.close()
    return session


def same_weights(one: Session, other: Session) -> bool:
    pairs = zip(one.engine.model.parameters(), other.engine.model.parameters(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_a_run_leaves_everything_it_promises(make_run: MakeRun) -> None:
    run = make_run()
    session = attempt(run)
    found = curve(run)
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["val_loss"]] == [3, 6]
    assert [tokens for _, tokens in found["tokens"]] == [32 * n for n in range(1, 7)]
    assert found["lr"][0][1] == pytest.approx(0.005)
    assert found["lr"][-1][1] == 0.0

    summary = json.loads(run.summary_path.read_text())
    assert summary["state"] == "finished"
    assert summary["step"] == summary["max_steps"] == 6
    assert summary["tokens"] == 192
    assert summary["untrained_loss"] == pytest.approx(math.log(256))
    assert summary["val_loss"] == found["val_loss"][-1][1]
    assert summary["best_val_loss"] == min(value for _, value in found["val_loss"])
    assert summary["sample"].startswith("def ")
    weighted = sum(0.9 ** (5 - n) * value for n, (_, value) in enumerate(found["loss"]))
    assert summary["loss"] == pytest.approx(weighted / sum(0.9**n for n in range(6)))

    (ready,) = events(run, 1, "ready")
    assert ready["parameters"] == session.engine.model.num_parameters() == summary["parameters"]
    assert ready["equation"].endswith("= 2 sequences × 16 tokens = 32 tokens per step")
    assert ready["start_step"] == 0
    assert ready["threads"] == 1
    assert ready["precision"] in ("bf16", "fp32")
    assert ready["precision_reason"]
    assert ready["train_tokens"] == session.dataset.train_tokens
    assert ready["skipped"] == []
    assert [event["step"] for event in events(run, 1, "saved")] == [2, 4, 6]
    assert [event["step"] for event in events(run, 1, "eval")] == [3, 6]
    assert [event["step"] for event in events(run, 1, "sample")] == [3, 6]
    assert events(run, 1, "done")[0]["summary"] == summary

    kept = sorted(path.name for path in run.checkpoints_dir.iterdir())
    assert kept == ["step-00000004", "step-00000006"]
    assert (run.samples_dir / "step-00000003.txt").read_text().startswith("def ")
    assert "step 6/6  loss" in run.log_path.read_text()
    assert "validation loss" in run.validation_path.read_text()
    environment = json.loads(run.environment_path.read_text())
    assert environment["torch"] == torch.__version__
    assert environment["data_fingerprint"] == session.dataset.fingerprint


@pytest.mark.parametrize("section", [{}, {"num_experts": 4, "num_experts_per_token": 2}], ids=str)
def test_it_learns(make_run: MakeRun, section: dict[str, Any]) -> None:
    run = make_run(
        model={"hidden_dropout": 0.0, **section},
        training={"max_steps": 80, "batch_size": 8, "eval_steps": 0, "save_steps": 0},
    )
    attempt(run)
    loss = [value for _, value in curve(run)["loss"]]
    assert loss[0] == pytest.approx(math.log(256), abs=0.1)
    assert loss[-1] < 2.5
    if section:
        text = run.metrics_path(1).read_text()
        assert '"expert_load"' in text
        assert "busiest expert" in run.log_path.read_text()


def test_saving_evaluating_and_sampling_do_not_change_the_training(make_run: MakeRun) -> None:
    often = attempt(make_run(training={"eval_steps": 1, "save_steps": 1}))
    seldom = attempt(
        make_run(training={"eval_steps": 0, "save_steps": 0}, evaluation={"max_new_tokens": 0})
    )
    assert same_weights(often, seldom)
    assert curve(often.run)["loss"] == curve(seldom.run)["loss"]


def test_the_dry_run_leaves_no_trace(make_run: MakeRun) -> None:
    session = open_session(make_run(), 1, StopSignals())
    before = [each.detach().clone() for each in session.engine.model.parameters()]
    random = torch.get_rng_state()
    loop.dry_run(session)
    assert torch.equal(random, torch.get_rng_state())
    for parameter, old in zip(session.engine.model.parameters(), before, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, old)
    session.report.close()


def test_accumulation_gives_the_same_run(make_run: MakeRun) -> None:
    exact = {"model": {"hidden_dropout": 0.0}}
    precise = {"mixed_precision": "no"}
    whole = attempt(make_run(**exact, training={"batch_size": 8, **precise}))
    parts = attempt(
        make_run(**exact, training={"batch_size": 1, "gradient_accumulation_steps": 8, **precise})
    )
    for name in ("loss", "grad_norm", "val_loss", "tokens"):
        for one, other in zip(curve(whole.run)[name], curve(parts.run)[name], strict=True):
            assert one == pytest.approx(other, rel=2e-5), name


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_a_resumed_run_is_the_uninterrupted_one(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    whole, parts = make_run(), make_run()
    first = attempt(whole)
    with monkeypatch.context() as patch:
        take_step = loop.take_step

        def stopping(session: Session) -> None:
            take_step(session)
            session.stop.requested = session.progress.step == stop_at

        patch.setattr(loop, "take_step", stopping)
        stopped = attempt(parts)
    assert json.loads(parts.summary_path.read_text())["state"] == "stopped"
    assert events(parts, 1, "stopping")[0]["step"] == stop_at
    assert stopped.progress.step == stop_at
    second = attempt(parts, 2)
    assert events(parts, 2, "resumed")[0]["step"] == stop_at
    assert events(parts, 2, "ready")[0]["start_step"] == stop_at
    assert same_weights(first, second)
    assert weights(whole, 6) == weights(parts, 6)
    assert curve(whole) == curve(parts)
    assert first.progress.smoothed_loss == second.progress.smoothed_loss


def test_resuming_a_finished_run_only_repeats_its_summary(make_run: MakeRun) -> None:
    run = make_run()
    attempt(run)
    before, summary = curve(run), json.loads(run.summary_path.read_text())
    run.summary_path.unlink()
    attempt(run, 2)
    assert rows(run, 2) == 0
    assert curve(run) == before
    assert json.loads(run.summary_path.read_text()) == summary


def test_stopped_before_the_first_step(make_run: MakeRun) -> None:
    run = make_run()
    session = open_session(run, 1, StopSignals())
    session.stop.requested = True
    assert loop.train(session) == "stopped"
    session.report.close()
    assert not list(run.checkpoints_dir.iterdir())
    attempt(run, 2)
    assert json.loads(run.summary_path.read_text())["state"] == "finished"


def test_a_damaged_newest_checkpoint_falls_back(make_run: MakeRun) -> None:
    whole, parts = make_run(), make_run()
    attempt(whole)
    attempt(parts)
    path = parts.checkpoints_dir / "step-00000006" / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    attempt(parts, 2)
    (bad,) = events(parts, 2, "checkpoint_bad")
    assert bad["path"] == "step-00000006"
    assert "optimizer.safetensors" in bad["why"]
    assert events(parts, 2, "resumed")[0]["step"] == 4
    assert "set aside" in parts.log_path.read_text()
    assert weights(whole, 6) == weights(parts, 6)
    assert curve(whole) == curve(parts)


def test_without_a_good_checkpoint_it_begins_again(make_run: MakeRun) -> None:
    whole, parts = make_run(), make_run()
    attempt(whole)
    attempt(parts)
    for path in parts.checkpoints_dir.iterdir():
        (path / checkpoint.MANIFEST).unlink()
    attempt(parts, 2)
    assert len(events(parts, 2, "checkpoint_bad")) == 2
    assert events(parts, 2, "ready")[0]["start_step"] == 0
    assert curve(whole) == curve(parts)


@pytest.mark.parametrize("what", ["loss", "gradient norm"])
def test_not_finite_stops_before_the_weights(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = make_run()
    session = open_session(run, 1, StopSignals())
    compute = loop.compute_gradient

    def poisoned(engine: Any, micro_batches: Any, **_options: Any) -> Any:
        if session.progress.step == 3:
            if what == "loss":
                with torch.no_grad():
                    engine.model.embedding[:, 0] = math.inf
            else:
                measured = compute(engine, micro_batches)
                return measured._replace(gradient_norm=math.inf, norm=torch.tensor(math.inf))
        return compute(engine, micro_batches)

    monkeypatch.setattr(loop, "compute_gradient", poisoned)
    norms = [p for name, p in session.engine.model.named_parameters() if "norm" in name]
    with pytest.raises(TrainingError) as caught:
        loop.train(session)
    session.report.close()
    error = caught.value
    assert what in error.what
    assert "step 4" in error.what
    assert "--training.learning_rate 0.003" in str(error.fix)
    assert [step for step, _ in curve(run)["lr"]] == [1, 2, 3, 4], "the step is on record"
    assert '"nan"' in run.metrics_path(1).read_text() or '"inf"' in run.metrics_path(1).read_text()
    assert all(each.isfinite().all() and each.grad is None for each in norms)
    assert sorted(path.name for path in run.checkpoints_dir.iterdir()) == ["step-00000002"]


def test_changed_data_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("some text of mine\n" * 50)
    run = make_run(data={"path": str(path)})
    attempt(run)
    path.write_text("some text of yours\n" * 50)
    assert main([str(run.path), "--attempt", "2"]) == 2
    failure = json.loads((run.attempt_dir(2) / "failure.json").read_text())
    assert failure["kind"] == "DataError"
    assert "has changed" in failure["what"]


def test_threads_and_precision_are_those_of_the_first_attempt(make_run: MakeRun) -> None:
    run = make_run(run={"threads": 0})
    attempt(run)
    environment = json.loads(run.environment_path.read_text())
    environment |= {"threads": 2, "precision": "fp32", "torch": "1.0", "cpu": "abacus"}
    run.environment_path.write_text(json.dumps(environment))
    session = attempt(run, 2)
    assert torch.get_num_threads() == 2
    assert session.engine.model.compute_dtype == torch.float32
    log = run.log_path.read_text()
    assert "torch: was 1.0" in log
    assert "cpu: was abacus" in log
    run.environment_path.write_text("{}")
    assert main([str(run.path), "--attempt", "3"]) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte; skipped where mounting is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return ballast


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    make_run: MakeRun, small_disk: Path
) -> None:
    run = make_run(small_disk)
    session = open_session(run, 1, StopSignals())
    ballast = fill(small_disk)
    report_failure = session.report.save_failed

    def make_room(step: int, error: CheckpointError) -> None:
        ballast.unlink()
        report_failure(step, error)

    session.report.save_failed = make_room  # type: ignore[method-assign, assignment]
    assert loop.train(session) == "finished"
    session.report.close()
    (failed,) = events(run, 1, "save_failed")
    assert failed["step"] == 2
    assert "no space left" in failed["error"]["why"]
    assert [event["step"] for event in events(run, 1, "saved")] == [4, 6]
    assert [step for step, _ in curve(run)["loss"]] == [1, 2, 3, 4, 5, 6], "no row was lost"


def test_a_full_disk_at_the_last_save_is_one_message(
    make_run: MakeRun, small_disk: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = make_run(small_disk)
    take_step = loop.take_step

    def filling(session: Session) -> None:
        take_step(session)
        if session.progress.step == 3:
            fill(small_disk)

    monkeypatch.setattr(loop, "take_step", filling)
    assert main([str(run.path), "--attempt", "1"]) == 1
    message = capsys.readouterr().err
    assert message.count("error: ") == 1
    assert "Traceback" not in message
    assert "the checkpoint of step 6 could not be written" in message
    assert "no space left on the disk" in message
    assert [path.name for path in run.checkpoints_dir.iterdir()] == ["step-00000002"]
    assert not list(run.checkpoints_dir.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("sections", "code", "words"),
    [
        ({"data": {"path": "/nowhere/text.txt"}}, 2, "there is no file or folder"),
        ({"data": {"max_length": 9999}}, 2, "is too short"),
        ({"data": {"max_length": 2000}}, 2, "longer than the model is meant for"),
        ({"model": {"vocab_size": 100}}, 2, "model.vocab_size 100 is too small"),
        ({"model": {"num_attention_heads": 3}}, 2, "must be a multiple"),
        ({"model": {"num_experts": 4, "router_type": "hash"}}, 2, "not built"),
        ({"run": {"device": "cuda"}}, 2, "no CUDA device"),
        ({"model": {"hidden_size": 2**20, "num_layers": 9}}, 1, "does not fit into memory"),
    ],
    ids=str,
)
def test_what_the_user_gets_wrong_is_one_message(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], sections: Any, code: int, words: str
) -> None:
    if sections == {"run": {"device": "cuda"}} and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    run = make_run(**sections)
    assert main([str(run.path), "--attempt", "1"]) == code
    message = capsys.readouterr().err
    assert message.count("error: ") == 1
    assert "Traceback" not in message
    assert words in message
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert failure["what"] in message
    assert failure["fix"]


def test_memory_that_runs_out_says_what_to_do(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    monkeypatch.setattr(loop, "compute_gradient", exhausted)
    assert main([str(make_run().path), "--attempt", "1"]) == 1
    message = capsys.readouterr().err
    assert "memory ran out" in message
    assert "--training.gradient_accumulation_steps" in message
    assert "Traceback" not in message


def test_an_unforeseen_error_names_the_log(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_args: object, **_kwargs: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(loop, "compute_gradient", surprise)
    run = make_run()
    assert main([str(run.path), "--attempt", "1"]) == 1
    assert "Traceback" in capsys.readouterr().err, "the story goes to out.log"
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert "surprise" in failure["what"]
    assert failure["where"].endswith("out.log")


def test_a_full_disk_before_the_start_is_one_message(
    make_run: MakeRun, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(small_disk)
    fill(small_disk)
    assert main([str(run.path), "--attempt", "1"]) == 1
    message = capsys.readouterr().err
    assert message.count("error: ") == 1
    assert "there is no space left on the disk" in message
    assert "Traceback" not in message


def test_no_run_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing"), "--attempt", "1"]) == 1
    assert "is no run" in capsys.readouterr().err

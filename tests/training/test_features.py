"""What the keys of `training` do to a run: through the loop, the files and a resume."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events, weights
from workbench.config.schema import TrainingConfig
from workbench.errors import TrainingError
from workbench.runs.follow import parse_rows
from workbench.training import loop
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")

QUIET: dict[str, Any] = {"evaluation": {"max_new_tokens": 0}}
OPTIMIZERS = [
    name
    for name in TrainingConfig.model_fields["optimizer"].annotation.__args__  # type: ignore[union-attr]
    if not name.startswith(("onebit", "zeroone", "moreh"))
]


def attempt(run: Any, number: int = 1, *, stop_at: int | None = None) -> Session:
    session = open_session(run, number, StopSignals())
    try:
        take_step = loop.take_step

        def stopping(session: Session) -> None:
            take_step(session)
            session.stop.requested = session.progress.step == stop_at

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "take_step", stopping)
            loop.train(session)
    finally:
        session.close()
    return session


def tensors(session: Session) -> dict[str, torch.Tensor]:
    state = session.engine.state()
    return {
        f"{kind}/{name}": value.detach().clone()
        for kind, values in state.items()
        for name, value in values.items()
    }


def steps_of(run: Any) -> list[dict[str, Any]]:
    """The rows of the steps of the first attempt."""
    rows = parse_rows(run.metrics_path(1).read_bytes().splitlines())
    found = [row for row in rows if "loss" in row]
    assert found
    return found


def same(one: Session, other: Session) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def resumes(make_run: MakeRun, **sections: dict[str, Any]) -> Session:
    """Train in one go and in two; both have to be the same to the bit. Returns the first."""
    whole, parts = make_run(**sections), make_run(**sections)
    first = attempt(whole)
    attempt(parts, stop_at=3)
    second = attempt(parts, 2)
    assert same(first, second)
    assert repr(curve(whole)) == repr(curve(parts)), "nan is not equal to itself"
    assert weights(whole, first.progress.step) == weights(parts, first.progress.step)
    return first


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes_with_health_and_early_stopping_on(
    make_run: MakeRun, name: str
) -> None:
    rate = {"sgd": 1.0, "adafactor": 0.02}.get(name, 0.01)
    session = resumes(
        make_run,
        **QUIET,
        training={
            "optimizer": name,
            "momentum": 0.9,
            "nesterov": name == "muon",
            "learning_rate": rate,
            "max_steps": 6,
            "eval_steps": 1,
            "early_stopping_patience": 5,
            "gradient_health": {
                "enabled": True, "explosion_threshold": 0.01, "explosion_window": 2,
                "lr_reduction_factor": 0.9, "warmup_steps": 4,
            },
            "adaptive_lr": {
                "enabled": True, "check_interval": 1, "loss_window": 1, "plateau_patience": 2,
                "warmup_percentage": 0.0,
            },
        },
    )  # fmt: skip
    loss = [value for _, value in curve(session.run)["loss"]]
    assert loss[-1] < loss[0], "it learns"
    assert session.reactions.health.factor == pytest.approx(0.9**3)
    assert len(events(session.run, 1, "lr_reduced")) >= 3


@pytest.mark.parametrize("key", ["split_weights", "kahan_summation", "stochastic_rounding"])
def test_weights_in_16_bits_resume(make_run: MakeRun, key: str) -> None:
    session = resumes(make_run, **QUIET, training={"mixed_precision": "bf16", key: True})
    kept = tensors(session)
    assert kept["model/blocks.0.attention.q_proj.weight"].dtype == torch.bfloat16
    assert kept["model/embedding"].dtype == torch.float32


def test_split_weights_are_the_training_of_fp32_ones(make_run: MakeRun) -> None:
    """But where a weight is exactly between two bf16 numbers: then the model sees the other one."""
    options = {"mixed_precision": "bf16", "max_gradient_norm": 0.5, "max_steps": 12}
    plain = attempt(make_run(**QUIET, training=options))
    split = attempt(make_run(**QUIET, training={**options, "split_weights": True}))
    found, expected = curve(split.run), curve(plain.run)
    for name in ("loss", "grad_norm"):
        assert found[name][0] == expected[name][0]
        for one, other in zip(found[name], expected[name], strict=True):
            assert one == pytest.approx(other, rel=2e-2), name
    kept = tensors(split)
    halves = [name for name in kept if name.endswith(".rest")]
    assert len(halves) == 14
    assert all(kept[name].dtype == torch.int16 for name in halves)


@pytest.mark.honours("training.clip_grad_value")
@pytest.mark.parametrize("split", [False, True])
def test_clip_grad_value(make_run: MakeRun, *, split: bool) -> None:
    session = open_session(
        make_run(
            training={
                "optimizer": "sgd", "clip_grad_value": 1e-4, "max_gradient_norm": 0.0,
                "weight_decay": 0.0, "learning_rate": 1.0, "warmup_steps": 0,
                "lr_scheduler_type": "constant", "split_weights": split,
                "mixed_precision": "bf16" if split else "no",
            }
        ),
        1,
        StopSignals(),
    )  # fmt: skip
    before = tensors(session)
    loop.take_step(session)
    session.close()
    moved = (tensors(session)["model/embedding"] - before["model/embedding"]).abs()
    assert moved.max() == pytest.approx(1e-4, rel=1e-3)
    assert (moved > 0.99e-4).float().mean() > 0.1


@pytest.mark.honours("training.max_gradient_norm")
def test_the_norm_after_clipping(make_run: MakeRun) -> None:
    session = open_session(make_run(training={"gradient_health": {
        "enabled": True, "initial_clip_value": 0.3, "final_clip_value": 0.1, "warmup_steps": 2,
    }}), 1, StopSignals())  # fmt: skip
    norms: list[float] = []
    step = session.engine.optimizer.step

    def spy() -> None:
        gradients = [each.grad for each in session.engine.model.parameters()]
        norms.append(float(torch.nn.utils.get_total_norm([g for g in gradients if g is not None])))
        step()

    session.engine.optimizer.step = spy  # type: ignore[method-assign, assignment]
    for _ in range(4):
        loop.take_step(session)
    session.close()
    limits = [0.3, 0.2, 0.1, 0.1]
    assert all(norm <= limit * (1 + 1e-6) for norm, limit in zip(norms, limits, strict=True))
    assert norms == pytest.approx(limits, rel=1e-4)
    assert [row["clip"] for row in steps_of(session.run)] == pytest.approx(limits)


@pytest.mark.honours("training.gradient_health.norm_tracking", "training.gradient_health.enabled")
def test_norms_of_layers(make_run: MakeRun) -> None:
    run = make_run(**QUIET, training={"gradient_health": {"enabled": True, "norm_tracking": True}})
    attempt(run)
    for row in steps_of(run):
        layers = {key: value for key, value in row.items() if key.startswith("grad_norm.")}
        assert set(layers) == {
            "grad_norm.embedding", "grad_norm.blocks.0", "grad_norm.blocks.1", "grad_norm.norm"
        }  # fmt: skip
        assert math.hypot(*layers.values()) == pytest.approx(row["grad_norm"], rel=1e-5)


@pytest.mark.honours("training.gradient_health.anomaly_detection")
@pytest.mark.parametrize("on", [True, False])
def test_the_operation_that_gave_no_number(make_run: MakeRun, *, on: bool) -> None:
    run = make_run(
        **QUIET, training={"gradient_health": {"enabled": True, "anomaly_detection": on}}
    )
    session = open_session(run, 1, StopSignals())
    forward = session.engine.objective.forward

    def poisoned(batch: Any) -> Any:
        losses = forward(batch)
        # Its value is 0 and its slope 0 / 0.
        bad = (losses.loss_sum * 0).sqrt() * 0
        return losses._replace(loss_sum=losses.loss_sum + bad)

    session.engine.objective.forward = poisoned  # type: ignore[method-assign]
    with pytest.raises(TrainingError) as caught:
        loop.take_step(session)
    session.close()
    assert ("the backward pass of Sqrt" in caught.value.what) is on
    assert ("gradient norm became nan" in caught.value.what) is not on


def poison(monkeypatch: pytest.MonkeyPatch, bad: set[int], value: float = math.nan) -> None:
    """Make the loss and the gradient of some steps no numbers."""
    compute = loop.compute_gradient
    calls = {"count": 0}

    def poisoned(engine: Any, micro_batches: Any, **options: Any) -> Any:
        measured = compute(engine, micro_batches, **options)
        calls["count"] += 1
        if calls["count"] - 1 in bad:  # the first call is the dry run
            for parameter in engine.model.parameters():
                parameter.grad.fill_(value)
            return measured._replace(
                loss=value, gradient_norm=value, norm=torch.full_like(measured.norm, value)
            )
        return measured

    monkeypatch.setattr(loop, "compute_gradient", poisoned)


@pytest.mark.honours("training.stability.stop_on_nan")
def test_a_step_without_numbers_is_left_out(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"save_steps": 1, "save_total_limit": 9, "lr_scheduler_type": "constant"}
    run = make_run(**QUIET, training={"stability": {"stop_on_nan": False}, **kept})
    poison(monkeypatch, {4})
    session = attempt(run)
    assert weights(run, 3) == weights(run, 4), "bit-equal, the optimizer too"
    assert weights(run, 4) != weights(run, 5)
    assert session.progress.step == 6
    assert math.isfinite(session.progress.smoothed_loss or math.nan)
    (skipped,) = events(run, 1, "step_skipped")
    assert skipped["step"] == 4


def test_too_many_steps_without_numbers_stop(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**QUIET, training={"stability": {"stop_on_nan": False}, "max_steps": 50})
    poison(monkeypatch, set(range(3, 99)))
    with pytest.raises(TrainingError, match="became nan at step 13"):
        attempt(run)
    assert len(events(run, 1, "step_skipped")) == 10


@pytest.mark.honours(
    "training.stability.max_loss_before_stop", "training.stability.max_grad_norm_before_stop"
)
@pytest.mark.parametrize(
    ("key", "words"),
    [("max_loss_before_stop", "loss rose"), ("max_grad_norm_before_stop", "norm rose")],
)
def test_limits_stop_before_the_update(make_run: MakeRun, key: str, words: str) -> None:
    session = open_session(make_run(training={"stability": {key: 1e-3}}), 1, StopSignals())
    before = tensors(session)
    with pytest.raises(TrainingError, match=words) as caught:
        loop.take_step(session)
    session.close()
    assert key in str(caught.value.fix)
    after = tensors(session)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(each.grad is None for each in session.engine.model.parameters())
    attempt(make_run(**QUIET, training={"stability": {key: 1e3}}))


def test_the_rate_of_a_cut_is_in_the_rows(make_run: MakeRun) -> None:
    run = make_run(**QUIET, training={
        "lr_scheduler_type": "constant", "warmup_steps": 0, "learning_rate": 0.01,
        "gradient_health": {"enabled": True, "explosion_threshold": 1e-6, "explosion_window": 2},
    })  # fmt: skip
    attempt(run)
    assert [value for _, value in curve(run)["lr"]] == pytest.approx(
        [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]
    )
    assert "lr reduced  at step 2" in run.log_path.read_text()


@pytest.mark.honours("training.early_stopping_patience", "training.load_best_model_at_end")
def test_early_stopping_keeps_the_best(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    story = iter([3.0, 2.0, 2.5, 2.6, 2.7, 0.1])
    monkeypatch.setattr(loop, "validation_loss", lambda *_args: next(story))
    run = make_run(**QUIET, training={
        "max_steps": 20, "eval_steps": 2, "save_steps": 0, "early_stopping_patience": 3,
        "load_best_model_at_end": True, "save_total_limit": 2,
    })  # fmt: skip
    session = attempt(run)
    assert session.progress.step == 10
    summary = json.loads(run.summary_path.read_text())
    assert (summary["state"], summary["stopped_early"], summary["best_step"]) == (
        "finished",
        True,
        4,
    )
    assert summary["val_loss"] == 2.0, "that of the model that the run ends with"
    assert [event["step"] for event in events(run, 1, "early_stopping")] == [10]
    assert [event["best_step"] for event in events(run, 1, "best_model")] == [4]
    kept = sorted(path.name for path in run.checkpoints_dir.iterdir())
    assert {"step-00000004", "step-00000010"} <= set(kept)
    from safetensors.torch import load_file

    best = load_file(run.checkpoints_dir / "step-00000004" / "model.safetensors")
    now = session.engine.state()["model"]
    assert all(torch.equal(now[name], best[name]) for name in best)
    # Resuming a training that has stopped early does not train on.
    again = attempt(run, 2)
    assert again.progress.step == 10
    assert json.loads(run.summary_path.read_text()) == summary


def test_without_load_best_the_last_weights_stay(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = iter([1.0, 2.0])
    monkeypatch.setattr(loop, "validation_loss", lambda *_args: next(story))
    session = attempt(make_run(**QUIET, training={"load_best_model_at_end": False}))
    assert not events(session.run, 1, "best_model")
    from safetensors.torch import load_file

    last = load_file(session.run.checkpoints_dir / "step-00000006" / "model.safetensors")
    now = session.engine.state()["model"]
    assert all(torch.equal(now[name], last[name]) for name in last)


@pytest.mark.honours("training.eval_strategy", "training.save_strategy", "training.num_epochs")
def test_epochs(make_run: MakeRun) -> None:
    run = make_run(
        **QUIET, training={"num_epochs": 2, "batch_size": 64, "eval_strategy": "epoch",
                           "save_strategy": "epoch", "save_total_limit": 9}
    )  # fmt: skip
    session = attempt(run)
    epoch = session.dataset.sequences_per_pass
    assert epoch is not None
    first, second = -(-epoch // 64), -(-2 * epoch // 64)
    assert session.progress.step == second == session.config.training.max_steps
    assert [event["step"] for event in events(run, 1, "eval")] == [first, second]
    assert [event["step"] for event in events(run, 1, "saved")] == [first, second]
    assert f"2 epochs × {epoch:,} sequences" in run.log_path.read_text()


@pytest.mark.honours("training.eval_strategy", "training.save_strategy")
def test_never(make_run: MakeRun) -> None:
    run = make_run(**QUIET, training={"eval_strategy": "no", "save_strategy": "no"})
    attempt(run)
    assert not events(run, 1, "eval")
    assert [event["step"] for event in events(run, 1, "saved")] == [6], "the end is always saved"


@pytest.mark.honours("training.total_training_tokens", "training.tokens_per_parameter_ratio")
def test_length_in_tokens(make_run: MakeRun) -> None:
    session = attempt(make_run(**QUIET, training={"total_training_tokens": 100}))
    assert session.progress.step == 4, "32 tokens a step"
    assert curve(session.run)["lr"][-1] == (4, 0.0), "the schedule ends with it"
    session = attempt(make_run(**QUIET, training={"tokens_per_parameter_ratio": 0.01}))
    assert session.progress.step == math.ceil(0.01 * session.parameters / 32)


@pytest.mark.honours("training.mixed_precision")
def test_fp16_trains_with_a_scale_and_resumes(make_run: MakeRun) -> None:
    options = {
        "mixed_precision": "fp16",
        "max_steps": 14,
        "loss_scaling": {"initial_scale_power": 24, "window": 2, "hysteresis": 1},
    }
    session = resumes(make_run, **QUIET, training=options)
    assert session.engine.model.compute_dtype == torch.float16
    overflows = events(session.run, 1, "overflow")
    assert overflows
    assert overflows[0]["next_scale"] == overflows[0]["scale"] / 2 == 2.0**23
    scales = [row["loss_scale"] for row in steps_of(session.run)]
    assert scales[:2] == [2.0**24, 2.0**23]
    assert len(set(scales)) > 2
    loss = [value for _, value in curve(session.run)["loss"]]
    assert loss[-1] < loss[0]


def test_fp16_gradients_are_those_of_fp32(make_run: MakeRun) -> None:
    found = {}
    for name in ("fp16", "no"):
        run = make_run(
            **QUIET,
            model={"hidden_dropout": 0.0},
            training={"mixed_precision": name, "loss_scaling": {"initial_scale_power": 10}},
        )
        attempt(run)
        found[name] = curve(run)
    for key in ("loss", "grad_norm"):
        for one, other in zip(found["fp16"][key], found["no"][key], strict=True):
            assert one == pytest.approx(other, rel=2e-2), key


@pytest.mark.honours("training.loss_scaling.scale")
def test_a_fixed_scale_that_overflows_stops(make_run: MakeRun) -> None:
    run = make_run(
        **QUIET, training={"mixed_precision": "fp16", "loss_scaling": {"scale": 2.0**40}}
    )
    with pytest.raises(TrainingError, match="gradient norm became"):
        attempt(run)


@pytest.mark.honours("training.float32_matmul_precision")
@pytest.mark.parametrize("name", ["highest", "high", "medium"])
def test_float32_matmul_precision(make_run: MakeRun, name: str) -> None:
    session = open_session(make_run(training={"float32_matmul_precision": name}), 1, StopSignals())
    session.close()
    assert torch.get_float32_matmul_precision() == name


@pytest.mark.honours("training.stability.sync_gradients_each_step")
@pytest.mark.parametrize("on", [True, False])
def test_it_waits_for_the_device(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, *, on: bool
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(
        "workbench.training.step._wait", lambda _device, place: waited.append(place)
    )
    session = open_session(
        make_run(training={
            "gradient_accumulation_steps": 3, "stability": {"sync_gradients_each_step": on},
        }), 1, StopSignals()
    )  # fmt: skip
    loop.take_step(session)
    session.close()
    assert waited == ([1, 2, 3] if on else [])


def test_an_error_of_the_device_names_its_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.training import step

    def broken(_device: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.accelerator, "synchronize", broken)
    step._wait(torch.device("cpu"), 1)
    with pytest.raises(RuntimeError) as caught:
        step._wait(torch.device("cuda"), 2)
    assert caught.value.__notes__ == ["in micro-batch 2 of the step"]

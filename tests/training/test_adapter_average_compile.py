"""LoRA, the average of the weights, compilation and other losses, in real runs."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.amounts import LONG
from tests.training.helpers import MakeRun, curve, events, weights
from workbench.errors import CheckpointError, ConfigError
from workbench.runs.directory import RunDir
from workbench.training import loop
from workbench.training.ema import WeightAverage
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")

LORA = {"enabled": True, "r": 2}


def attempt(run: RunDir, number: int = 1) -> Session:
    session = open_session(run, number, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


def resumed_at(run: RunDir, step: int) -> Session:
    """The run again, from an earlier checkpoint."""
    for path in run.checkpoints_dir.glob("step-*"):
        if int(path.name[5:]) > step:
            shutil.rmtree(path)
    return attempt(run, 2)


@pytest.mark.honours("lora.enabled")
def test_lora_trains_and_saves_the_adapters_alone(make_run: MakeRun) -> None:
    run = make_run(lora=LORA, training={"save_total_limit": 4})
    session = attempt(run)
    saved = load_file(run.checkpoints_dir / "step-00000006" / "model.safetensors")
    assert {name.rpartition(".")[2] for name in saved} == {"lora_a_RI", "lora_b_OR"}
    inside = load_file(run.checkpoints_dir / "step-00000006" / "optimizer.safetensors")
    assert {name.rpartition(".")[0] for name in inside} == set(saved)
    fresh = open_session(make_run(lora=LORA), 1, StopSignals())
    for (name, one), (_, other) in zip(
        session.engine.model.named_parameters(), fresh.engine.model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other) is (".lora_" not in name), name
    fresh.close()
    told = json.loads((run.path / "adapter" / "adapter_config.json").read_text())
    assert told["r"] == 2
    before = weights(run, 6)
    second = resumed_at(run, 4)
    assert events(run, 2, "resumed")[0]["step"] == 4
    assert weights(run, 6) == before
    assert second.progress.step == 6


def test_adapters_do_not_go_on_beside_other_weights(make_run: MakeRun) -> None:
    run = make_run(lora=LORA)
    attempt(run)
    at = {"resume_from_checkpoint": str(run.path)}
    with pytest.raises(CheckpointError, match="does not fit"):
        open_session(make_run(checkpointing=at), 1, StopSignals())
    other = make_run(checkpointing=at, lora=LORA, run={"seed": 5, "threads": 1})
    with pytest.raises(CheckpointError) as caught:
        open_session(other, 1, StopSignals())
    assert "other weights" in str(caught.value.why)


@pytest.mark.honours("training.use_ema", "training.ema_decay")
def test_the_average_is_evaluated_saved_and_resumed(make_run: MakeRun) -> None:
    plain = attempt(make_run())
    run = make_run(training={"use_ema": True, "ema_decay": 0.5, "save_total_limit": 4})
    session = attempt(run)
    folder = run.checkpoints_dir
    assert weights(run, 6) == weights(plain.run, 6), "the training itself is the same"
    assert curve(run)["val_loss"] != curve(plain.run)["val_loss"]
    # By hand from step to step: average(6) = average(4) / 4 + w(5) / 4 + w(6) / 2.
    averages = {step: load_file(folder / f"step-{step:08d}" / "ema.safetensors") for step in (4, 6)}
    every = attempt(make_run(training={"save_steps": 1, "save_total_limit": 6}))
    trained = {
        step: load_file(every.run.checkpoints_dir / f"step-{step:08d}" / "model.safetensors")
        for step in (5, 6)
    }
    for name, value in averages[6].items():
        expected = averages[4][name] / 4 + trained[5][name] / 4 + trained[6][name] / 2
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    with session.averaged():
        for name, value in session.engine.model.named_parameters():
            assert torch.equal(value, averages[6][name])
    slow = attempt(make_run(training={"use_ema": True, "ema_decay": 0.9}))
    assert curve(slow.run)["val_loss"] != curve(run)["val_loss"]
    before = load_file(folder / "step-00000006" / "ema.safetensors")
    resumed_at(run, 4)
    after = load_file(folder / "step-00000006" / "ema.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.honours("training.label_smoothing")
def test_label_smoothing_changes_what_is_minimised(make_run: MakeRun) -> None:
    exact = {"model": {"hidden_dropout": 0.0}}
    plain = curve(attempt(make_run(**exact)).run)
    smooth = curve(attempt(make_run(**exact, training={"label_smoothing": 0.1})).run)
    assert smooth["loss"][0][1] == pytest.approx(plain["loss"][0][1], rel=0.01)
    assert smooth["grad_norm"][0][1] != plain["grad_norm"][0][1]
    assert smooth["val_loss"][-1][1] == pytest.approx(plain["val_loss"][-1][1], rel=0.1)


@pytest.mark.honours(
    "training.losses.focal_loss",
    "training.losses.entropy_regularization",
    "training.losses.initial_temperature",
)
@pytest.mark.parametrize(
    ("keys", "minimised"),
    [
        # At the beginning every token has p = 1/256 and the entropy is ln 256.
        ({"focal_loss": True}, math.log(256) * (255 / 256) ** 2),
        ({"entropy_regularization": 0.5}, math.log(256) * 0.5),
        ({"initial_temperature": 4.0}, math.log(256)),
    ],
)
def test_other_losses(make_run: MakeRun, keys: dict[str, Any], minimised: float) -> None:
    exact = {"model": {"hidden_dropout": 0.0}}
    plain = attempt(make_run(**exact)).run
    run = attempt(make_run(**exact, training={"losses": keys})).run
    assert curve(run)["loss"][0] == pytest.approx(curve(plain)["loss"][0], rel=1e-5)
    assert curve(run)["grad_norm"][0][1] != pytest.approx(curve(plain)["grad_norm"][0][1], rel=1e-3)
    row = json.loads(run.metrics_path(1).read_text().splitlines()[0].partition("\t")[0])
    assert row["loss_minimised"] == pytest.approx(minimised, rel=0.02)
    assert row["prediction_entropy"] == pytest.approx(math.log(256), rel=0.01)


# torch asks for it itself, hides the warning, and pytest turns it into an error first.
TORCHS_OWN = "ignore:The .grad attribute of a Tensor that is not a leaf"
COMPILE = {"enabled": True, "backend": "aot_eager"}


@pytest.mark.honours(
    "training.compile.enabled",
    "training.compile.backend",
    "training.compile.dynamic",
    "training.compile.fullgraph",
)
@pytest.mark.filterwarnings(TORCHS_OWN)
@pytest.mark.parametrize("keys", [{}, {"dynamic": True}, {"fullgraph": True}], ids=str)
def test_compiled_equals_eager(
    make_run: MakeRun, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    compile_block = torch.nn.Module.compile

    def noting(module: torch.nn.Module, **options: Any) -> None:
        asked.append(options)
        compile_block(module, **options)

    monkeypatch.setattr(torch.nn.Module, "compile", noting)
    exact = {"model": {"hidden_dropout": 0.0}}
    training = {"compile": COMPILE | keys, "mixed_precision": "no"}
    run = make_run(**exact, training=training)
    attempt(run)
    assert len(asked) == 2
    assert asked[0] == {"backend": "aot_eager", "dynamic": None, "fullgraph": False} | keys
    plain = make_run(**exact, training={"mixed_precision": "no"})
    attempt(plain)
    assert len(asked) == 2
    for name in ("loss", "grad_norm", "val_loss"):
        for one, other in zip(curve(run)[name], curve(plain)[name], strict=True):
            assert one == pytest.approx(other, rel=1e-4), name
    before = weights(run, 6)
    resumed_at(run, 4)
    assert weights(run, 6) == before


# Each of the others compiles for a minute.
MORE_MODES = ("reduce-overhead", "max-autotune-no-cudagraphs") if LONG else ()


@pytest.mark.slow
@pytest.mark.filterwarnings(TORCHS_OWN)
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # its own, at import
@pytest.mark.honours("training.compile.mode")
@pytest.mark.parametrize("mode", ["default", *MORE_MODES])
def test_inductor_equals_eager(
    make_run: MakeRun, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    exact = {"model": {"hidden_dropout": 0.0}}
    training = {"compile": {"enabled": True, "mode": mode}, "mixed_precision": "no"}
    run = make_run(**exact, training=training)
    attempt(run)
    plain = make_run(**exact, training={"mixed_precision": "no"})
    attempt(plain)
    assert any(tmp_path.iterdir())
    for name in ("loss", "grad_norm", "val_loss"):
        for one, other in zip(curve(run)[name], curve(plain)[name], strict=True):
            assert one == pytest.approx(other, rel=1e-4), name


@pytest.mark.honours("training.compile.mode")
def test_compilers_that_are_not_there(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(keys: dict[str, Any]) -> str:
        run = make_run(training={"compile": {"enabled": True} | keys})
        with pytest.raises(ConfigError) as caught:
            open_session(run, 1, StopSignals())
        assert caught.value.fix
        return str(caught.value.what)

    assert "there is no tvmm" in why({"backend": "tvmm"})
    assert "is one of inductor" in why({"backend": "aot_eager", "mode": "max-autotune"})
    monkeypatch.setenv("PATH", "/nowhere")
    assert "needs a C++ compiler" in why({})


def test_averages_and_weights_change_places_and_change_back() -> None:
    model = torch.nn.Linear(3, 2)
    average = WeightAverage(SimpleNamespace(model=model), decay=0.5)  # type: ignore[arg-type]
    first = [each.detach().clone() for each in model.parameters()]
    with torch.no_grad():
        for each in model.parameters():
            each.add_(1.0)
    trained = [each.detach().clone() for each in model.parameters()]
    for _ in range(2):
        with average.in_place(), average.in_place():
            assert all(map(torch.equal, model.parameters(), first))
        assert all(map(torch.equal, model.parameters(), trained))


def test_the_best_has_its_own_average(make_run: MakeRun) -> None:
    """The evaluation that was best was one of averages: they come back, not the last ones."""
    rates = {"learning_rate": 0.5, "lr_scheduler_type": "constant", "warmup_steps": 0}
    best = {"load_best_model_at_end": True, "eval_steps": 1, "save_total_limit": 9}
    run = make_run(training=rates | best | {"use_ema": True, "ema_decay": 0.5, "max_steps": 8})
    session = attempt(run)
    losses = dict(curve(run)["val_loss"])
    step = int(min(losses, key=lambda each: losses[each]))
    assert step < 8, "with such a rate the last is not the best"
    saved = load_file(run.checkpoints_dir / f"step-{step:08d}" / "ema.safetensors")
    with session.averaged():
        for name, value in session.engine.model.named_parameters():
            assert torch.equal(value, saved[name])

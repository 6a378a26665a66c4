"""Every optimizer and every reaction does over shards and copies what it does on one device."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.distributed.helpers import alone, assert_same_training, launch
from tests.training.helpers import MakeRun, curve, events
from workbench.runs.directory import RunDir

pytestmark = pytest.mark.usefixtures("in_process")

STEPS, HALF = 6, 3
FSDP = {"parallel": {"strategy": "fsdp", "devices_per_node": 2}}
# Elementwise rules are torch's business; these look at rows, columns, norms or blocks.
SHAPED = ("adafactor", "lamb", "muon", "adamw_8bit")


def plan(processes: int, training: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "model": {"hidden_dropout": 0.0, "hidden_size": 64, "num_experts": 2,
                  "num_experts_per_token": 1, "attention_bias": True},
        "training": {
            "batch_size": 2, "gradient_accumulation_steps": 2 // processes, "max_steps": STEPS,
            "mixed_precision": "no", "eval_steps": HALF, "save_steps": HALF,
            "lr_scheduler_type": "constant", "warmup_steps": 0, **training,
        },
        "parallel": {"devices_per_node": processes},
        "evaluation": {"max_new_tokens": 0},
        "run": {"device": "cpu", "threads": 1},
        **sections,
    }  # fmt: skip


def pair(make_run: MakeRun, training: dict[str, Any], **sections: Any) -> tuple[RunDir, RunDir]:
    """The same training for one process and for two."""
    return make_run(**plan(1, training)), make_run(**plan(2, training, **sections))


@pytest.mark.slow
def test_over_shards(make_run: MakeRun) -> None:
    keep = {"gradient_health": {
        "enabled": True, "norm_tracking": True, "explosion_threshold": 0.1, "explosion_window": 2,
        "initial_clip_value": 0.5, "final_clip_value": 0.2, "warmup_steps": 3,
    }, "clip_grad_value": 0.02}  # fmt: skip
    runs = {name: pair(make_run, {"optimizer": name, **keep}, **FSDP) for name in (*SHAPED, "lion")}
    search = {"lr_finder": {"enabled": True, "start_lr": 1e-5, "num_iterations": 4,
                            "use_suggested_lr": True}}  # fmt: skip
    runs["search"] = pair(make_run, {"optimizer": "adafactor", **search}, **FSDP)
    copies = {
        key: pair(make_run, {"mixed_precision": "bf16", key: True})
        for key in ("split_weights", "stochastic_rounding")
    }
    fp16 = pair(
        make_run,
        {"mixed_precision": "fp16", "loss_scaling": {"initial_scale_power": 8}},
        **FSDP,
    )
    # Shards scale by the number of devices too, so one more step is left out.
    overflowing = make_run(**plan(2, {
        "mixed_precision": "fp16", "loss_scaling": {"initial_scale_power": 22, "hysteresis": 1},
    }, **FSDP))  # fmt: skip
    both = [*runs.values(), *copies.values(), fp16]
    for one, _ in both:
        alone(one)
    launch((overflowing, 1), *((two, 1) for _, two in both), processes=2)
    for name, (one, two) in runs.items():
        # Newton-Schulz in bf16, and a sign or a code, turn the last bit into another number.
        loose = {"muon": 2e-3, "adamw_8bit": 2e-3, "lion": 2e-3}.get(name, 5e-5)
        assert_same_training(
            one, two, last=STEPS, rtol=loose, weights=name in ("adafactor", "lamb")
        )
        assert len(events(two, 1, "lr_reduced")) == len(events(one, 1, "lr_reduced"))
    assert len(events(runs["lamb"][1], 1, "lr_reduced")) == 3
    found = [json.loads((run.path / "lr_finder.json").read_text()) for run in runs["search"]]
    assert found[0]["losses"] == pytest.approx(found[1]["losses"], rel=1e-5)
    for one, two in copies.values():
        assert_same_training(one, two, last=STEPS, rtol=2e-2, weights=False)
    assert_same_training(*fp16, last=STEPS, rtol=2e-2, weights=False)
    assert not events(fp16[1], 1, "overflow")
    assert events(overflowing, 1, "overflow")


@pytest.mark.slow
def test_matrices_of_one_row_over_shards(make_run: MakeRun) -> None:
    """Of an adapter of rank 1 all devices but the first have nothing."""
    thin = {"lora": {"enabled": True, "r": 1, "target_modules": ["q_proj", "v_proj"]}}
    runs = {}
    for name in SHAPED:
        training = {"optimizer": name}
        one = make_run(**plan(1, training, **thin))
        runs[name] = one, make_run(**plan(2, training, **FSDP, **thin))
        alone(one)
    launch(*((two, 1) for _, two in runs.values()), processes=2)
    for name, (one, two) in runs.items():
        loose = {"muon": 2e-3, "adamw_8bit": 2e-3}.get(name, 5e-5)
        assert_same_training(one, two, last=STEPS, rtol=loose, weights=name == "adafactor")


@pytest.mark.slow
def test_shards_resume(make_run: MakeRun) -> None:
    """Whole at HALF, then from the files: the same to the bit."""
    wholes = {name: make_run(**plan(2, {"optimizer": name}, **FSDP)) for name in SHAPED}
    parts = {name: make_run(**plan(2, {"optimizer": name}, **FSDP)) for name in SHAPED}
    launch(*((run, 1) for run in wholes.values()), processes=2)
    for name, run in parts.items():
        run.checkpoints_dir.mkdir(exist_ok=True)
        step = f"step-{HALF:08d}"
        shutil.copytree(wholes[name].checkpoints_dir / step, run.checkpoints_dir / step)
    launch(*((run, 1) for run in parts.values()), processes=2)
    for name, run in parts.items():
        expected = [point for point in curve(wholes[name])["loss"] if point[0] > HALF]
        assert curve(run)["loss"] == expected, name


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_adagrad_over_zero(make_run: MakeRun, stage: int) -> None:
    """DeepSpeed alone would stop at the second group of weights."""
    section = {"deepspeed": {"enabled": True, "zero_stage": stage}}
    one, two = pair(make_run, {"optimizer": "adagrad"}, **section)
    alone(one)
    launch((two, 1), processes=2)
    assert_same_training(one, two, last=STEPS, rtol=5e-5)

"""Adapters, averages, other losses and tiers of checkpoints, with weights whole and cut in two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.distributed.helpers import alone, assert_same_training, launch
from tests.training.helpers import MakeRun, events
from workbench.runs import tiers
from workbench.runs.directory import RunDir

pytestmark = pytest.mark.usefixtures("in_process")

STEPS = 8


def plan(processes: int, strategy: str, storage: Path, **more: Any) -> dict[str, dict[str, Any]]:
    training = {
        "batch_size": 2, "gradient_accumulation_steps": 2 // processes, "max_steps": STEPS,
        "mixed_precision": "no", "eval_steps": 4, "save_steps": 4, "use_ema": True,
        "ema_decay": 0.5, "label_smoothing": 0.1, "losses": {"entropy_regularization": 0.1},
    }  # fmt: skip
    return {
        "model": {"hidden_dropout": 0.0},
        "training": training,
        "checkpointing": {
            "keep_best_n": 1,
            "memory_tier": {"enabled": True, "save_steps": 2},
            "storage_tier": {"enabled": True, "save_steps": 4, "path": str(storage)},
        },
        "parallel": {"devices_per_node": processes, "strategy": strategy},
        "run": {"device": "cpu", "threads": 1},
        **more,
    }


def average(run: RunDir, step: int) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(
        run.checkpoints_dir / f"step-{step:08d}" / "ema.safetensors"
    )
    return tensors


def test_two_processes_train_as_one(make_run: MakeRun, tmp_path: Path) -> None:
    lora = {"lora": {"enabled": True, "r": 2, "target_modules": ["all-linear"]}}
    whole = {kind: make_run(**plan(1, "auto", tmp_path, **keys))
             for kind, keys in (("full", {}), ("lora", lora))}  # fmt: skip
    for run in whole.values():
        alone(run)
    runs = {
        (kind, strategy): make_run(**plan(2, strategy, tmp_path, **keys))
        for kind, keys in (("full", {}), ("lora", lora))
        for strategy in ("ddp", "fsdp")
    }
    launch(*((run, 1) for run in runs.values()), processes=2)
    for (kind, _), run in runs.items():
        assert_same_training(whole[kind], run, last=STEPS)
        expected, found = average(whole[kind], STEPS), average(run, STEPS)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=2e-4, atol=1e-5)
        places = {(event["step"], event["tier"]) for event in events(run, 1, "saved")}
        assert {(2, "memory"), (4, "run"), (4, "storage"), (8, "run"), (8, "storage")} <= places
        assert not tiers.memory_folder(tiers.identity(run)).exists()
        adapter = run.path / "adapter"
        assert adapter.exists() is (kind == "lora")
        if kind == "lora":
            assert json.loads((adapter / "adapter_config.json").read_text())["r"] == 2
            ours = load_file(whole[kind].path / "adapter" / "adapter_model.safetensors")
            theirs = load_file(adapter / "adapter_model.safetensors")
            for name, value in ours.items():
                torch.testing.assert_close(theirs[name], value, rtol=2e-4, atol=1e-5)

    # And one process goes on with what two of them have saved, average and all.
    for (kind, _), run in runs.items():
        last = run.checkpoints_dir / f"step-{STEPS:08d}"
        shutil.rmtree(last)
        shutil.rmtree(tmp_path / tiers.identity(run) / last.name)
        half = {"parallel": {"devices_per_node": 1}, "checkpointing": {
            "resume_from_checkpoint": str(run.path)}}  # fmt: skip
        keys = lora if kind == "lora" else {}
        other = make_run(**(plan(1, "auto", tmp_path, **keys) | half))
        alone(other)
        assert events(other, 1, "resumed")[0]["step"] == 4
        assert_same_training(whole[kind], other, last=STEPS, first=5)
        for name, value in average(whole[kind], STEPS).items():
            torch.testing.assert_close(average(other, STEPS)[name], value, rtol=2e-4, atol=1e-5)

"""Several processes train what one process trains, whatever the strategy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.distributed.helpers import alone, assert_same_training, launch
from tests.training.helpers import MakeRun
from workbench.runs.directory import RunDir

pytestmark = pytest.mark.usefixtures("in_process")

STEPS = 20


def plan(processes: int, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """16 sequences per step, on however many processes."""
    base: dict[str, dict[str, Any]] = {
        "model": {"hidden_dropout": 0.0},
        "training": {
            "batch_size": 2, "gradient_accumulation_steps": 4 // processes, "max_steps": STEPS,
            "mixed_precision": "no", "eval_steps": 10, "save_steps": 10, "weight_decay": 0.1,
        },
        "parallel": {"devices_per_node": processes},
        "run": {"device": "cpu", "threads": 1},
    }  # fmt: skip
    for name, section in sections.items():
        base[name] = base.get(name, {}) | section
    return base


@pytest.fixture(scope="module")
def single(make_run: MakeRun) -> RunDir:
    run = make_run(**plan(1))
    alone(run)
    return run


@pytest.mark.honours("parallel.devices_per_node", "parallel.strategy")
def test_two_processes_train_as_one(make_run: MakeRun, single: RunDir) -> None:
    runs = {
        "ddp": make_run(**plan(2)),
        "fsdp": make_run(**plan(2, parallel={"strategy": "fsdp"})),
    }
    launch(*((run, 1) for run in runs.values()), processes=2)
    for run in runs.values():
        assert_same_training(single, run, step=STEPS)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_zero_trains_as_one(make_run: MakeRun, single: RunDir, stage: int) -> None:
    run = make_run(**plan(2, deepspeed={"enabled": True, "zero_stage": stage}))
    launch((run, 1), processes=2)
    assert_same_training(single, run, step=STEPS)

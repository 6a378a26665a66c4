"""Several processes train what one process trains, whatever the strategy, and each strategy goes on
with the checkpoints of the others."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.distributed.helpers import alone, assert_same_training, launch
from tests.training.helpers import MakeRun, curve, start
from workbench.runs.directory import RunDir

pytestmark = pytest.mark.usefixtures("in_process")

STEPS, HALF = 20, 10


def plan(processes: int, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """8 sequences per step, on however many processes."""
    base: dict[str, dict[str, Any]] = {
        "model": {"hidden_dropout": 0.0},
        "training": {
            "batch_size": 2, "gradient_accumulation_steps": 4 // processes, "max_steps": STEPS,
            "mixed_precision": "no", "eval_steps": HALF, "save_steps": HALF,
        },
        "parallel": {"devices_per_node": processes},
        "run": {"device": "cpu", "threads": 1},
    }  # fmt: skip
    for name, section in sections.items():
        base[name] = base.get(name, {}) | section
    return base


def zero(stage: int, **keys: Any) -> dict[str, dict[str, Any]]:
    return {"deepspeed": {"enabled": True, "zero_stage": stage, **keys}}


FSDP = {"parallel": {"strategy": "fsdp", "devices_per_node": 2}}
MOE = {"hidden_dropout": 0.0, "num_experts": 4, "num_experts_per_token": 2}


@pytest.fixture(scope="module")
def single(make_run: MakeRun) -> RunDir:
    run = make_run(**plan(1))
    alone(run)
    return run


@pytest.fixture(scope="module")
def experts(make_run: MakeRun) -> RunDir:
    run = make_run(**plan(1, model=MOE))
    alone(run)
    return run


def take_over(run: RunDir, source: RunDir) -> RunDir:
    """Let a run begin from the middle of another one."""
    name = f"step-{HALF:08d}"
    run.checkpoints_dir.mkdir(exist_ok=True)
    shutil.copytree(source.checkpoints_dir / name, run.checkpoints_dir / name)
    return run


@pytest.mark.honours(
    "parallel.devices_per_node",
    "parallel.strategy",
    "fsdp.cpu_offload",
    "fsdp.offload_activations",
    "training.gradient_accumulation_steps",
)
def test_two_processes_train_as_one(make_run: MakeRun, single: RunDir, experts: RunDir) -> None:
    kept_apart = {"fsdp": {"cpu_offload": True, "offload_activations": True}}
    whole = {
        "ddp": make_run(**plan(2)),
        "fsdp": make_run(**plan(2, **FSDP)),
        "offload": make_run(**plan(2, **FSDP, **kept_apart)),
    }
    second_half = {
        "ddp": take_over(make_run(**plan(2)), single),
        "fsdp": take_over(make_run(**plan(2, **FSDP)), single),
    }
    with_experts = [make_run(**plan(2, model=MOE)), make_run(**plan(2, model=MOE, **FSDP))]
    runs = [*whole.values(), *second_half.values(), *with_experts]
    launch(*((run, 1) for run in runs), processes=2)
    for run in whole.values():
        assert_same_training(single, run, last=STEPS)
    for run in second_half.values():
        assert_same_training(single, run, first=HALF + 1, last=STEPS)
    for run in with_experts:
        assert_same_training(experts, run, last=STEPS)
    # And back again: one process goes on where two shards have stopped.
    back = take_over(make_run(**plan(1)), whole["fsdp"])
    alone(back)
    assert_same_training(single, back, first=HALF + 1, last=STEPS)


@pytest.mark.honours("deepspeed.enabled", "deepspeed.zero_stage")
def test_zero_3_goes_on_from_one_process(make_run: MakeRun, single: RunDir) -> None:
    run = take_over(make_run(**plan(2, **zero(3))), single)
    launch((run, 1), processes=2)
    assert_same_training(single, run, first=HALF + 1, last=STEPS)


def test_what_deepspeed_refuses_is_one_message(make_run: MakeRun) -> None:
    """In a process without a launcher, too."""
    run = make_run(**plan(1, training={"optimizer": "sgd"}, **zero(2)))
    started = start(run, 1)
    assert started.wait(300) == 2
    told = (run.attempt_dir(1) / "out.log").read_text()
    assert told.count("error: ") == 1
    assert "Traceback" not in told
    failure = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert failure["what"] == "DeepSpeed refuses this config"
    assert failure["where"] == "deepspeed.zero_allow_untested_optimizer"


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 2, 3])
def test_zero_without_a_launcher(make_run: MakeRun, single: RunDir, stage: int) -> None:
    run = make_run(**plan(1, **zero(stage)))
    assert start(run, 1).wait(300) == 0, (run.attempt_dir(1) / "out.log").read_text()
    assert_same_training(single, run, last=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"zero_stage": 0},
        {"zero_stage": 1},
        {"zero_stage": 2},
        {"zero_stage": 3},
        {"zero_stage": 1, "cpu_offload": True},
        {"zero_stage": 2, "cpu_offload": True, "overlap_comm": True},
        {"zero_stage": 2, "reduce_scatter": False, "contiguous_gradients": False},
        {"zero_stage": 3, "cpu_offload": True, "stage3_param_persistence_threshold": 0},
        {"zero_stage": 3, "zero_hpz_partition_size": 2, "sub_group_size": 1000},
    ],
    ids=str,
)
def test_every_zero_trains_as_one(make_run: MakeRun, single: RunDir, keys: dict[str, Any]) -> None:
    run = make_run(**plan(2, deepspeed={"enabled": True, **keys}))
    launch((run, 1), processes=2)
    assert_same_training(single, run, last=STEPS)
    back = take_over(make_run(**plan(1)), run)
    alone(back)
    assert_same_training(single, back, first=HALF + 1, last=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_zero_goes_on_from_one_process(
    make_run: MakeRun, single: RunDir, experts: RunDir, stage: int
) -> None:
    for processes in (1, 2, 4):
        run = take_over(make_run(**plan(processes, **zero(stage))), single)
        launch((run, 1), processes=processes)
        assert_same_training(single, run, first=HALF + 1, last=STEPS)
    run = make_run(**plan(2, model=MOE, **zero(stage)))
    launch((run, 1), processes=2)
    assert_same_training(experts, run, last=STEPS)


@pytest.mark.slow
@pytest.mark.honours("fsdp.sharding_strategy", "parallel.num_nodes")
def test_four_processes_train_as_one(make_run: MakeRun, single: RunDir) -> None:
    """As 2 × 2: copies between the nodes, shards within each."""
    runs = []
    for strategy in ("full", "hybrid", "shard_grad_op", "no_shard"):
        parallel = {"strategy": "fsdp", "num_nodes": 2, "devices_per_node": 2}
        runs.append(make_run(**plan(4, parallel=parallel, fsdp={"sharding_strategy": strategy})))
    runs.append(make_run(**plan(4)))
    runs.append(take_over(make_run(**plan(4)), single))
    launch(*((run, 1) for run in runs), processes=4)
    for run in runs[:-1]:
        assert_same_training(single, run, last=STEPS)
    assert_same_training(single, runs[-1], first=HALF + 1, last=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_zero_in_bf16_stays_near(make_run: MakeRun, stage: int) -> None:
    """Weights of 16 bits beside fp32 ones: the same training but for rounding."""
    bf16 = plan(2)["training"] | {"mixed_precision": "bf16"}
    alone_run = make_run(**plan(1, training=bf16 | {"gradient_accumulation_steps": 4}))
    alone(alone_run)
    run = make_run(**plan(2, training=bf16, **zero(stage)))
    launch((run, 1), processes=2)
    assert_same_training(alone_run, run, last=STEPS, rtol=1e-2, weights=False)
    again = take_over(make_run(**plan(2, training=bf16, **zero(stage))), run)
    launch((again, 1), processes=2)
    assert_same_training(run, again, first=HALF + 1, last=STEPS, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"model_type": "bert"}},
        {"model": {"model_type": "t5", "vocab_size": 512}},
        {"model": {"moe_balancing": {"method": "loss_free"}, "num_experts": 4}},
        {"training": {"mtp": {"enabled": True}}},
        {"training": {"optimizer": "adafactor"}},
        {"training": {"gradient_checkpointing": True}},
        {"lora": {"enabled": True}},
    ],
    ids=str,
)
def test_every_kind_of_training_is_divided(
    make_run: MakeRun, sections: dict[str, dict[str, Any]]
) -> None:
    def changed(processes: int, **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
        tree = plan(processes)
        for name, section in [*sections.items(), *more.items()]:
            tree[name] = tree.get(name, {}) | section
        return tree

    alone_run = make_run(**changed(1))
    alone(alone_run)
    runs = [make_run(**changed(2)), make_run(**changed(2, parallel=FSDP["parallel"]))]
    resumed = take_over(make_run(**changed(2, parallel=FSDP["parallel"])), alone_run)
    launch(*((run, 1) for run in [*runs, resumed]), processes=2)
    for run in runs:
        assert_same_training(alone_run, run, last=STEPS)
    assert_same_training(alone_run, resumed, first=HALF + 1, last=STEPS)


@pytest.mark.slow
@pytest.mark.honours("fsdp.param_dtype", "fsdp.reduce_dtype")
def test_shards_in_bf16_stay_near(make_run: MakeRun) -> None:
    bf16 = plan(2)["training"] | {"mixed_precision": "bf16"}
    alone_run = make_run(**plan(1, training=bf16 | {"gradient_accumulation_steps": 4}))
    alone(alone_run)
    exact = make_run(**plan(2, training=bf16, **FSDP, fsdp={"param_dtype": "fp32"}))
    short = make_run(**plan(2, training=bf16, **FSDP))
    shortest = make_run(**plan(2, training=bf16, **FSDP, fsdp={"reduce_dtype": "bf16"}))
    launch((exact, 1), (short, 1), (shortest, 1), processes=2)
    assert_same_training(alone_run, exact, last=STEPS, rtol=5e-3, weights=False)
    for run in (short, shortest):
        assert_same_training(alone_run, run, last=STEPS, rtol=2e-2, weights=False)
        assert curve(run)["loss"] != curve(exact)["loss"], "other formats, other rounding"

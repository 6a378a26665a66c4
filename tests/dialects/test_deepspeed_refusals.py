"""What DeepSpeed refuses is predicted: its own verdict on each config here, beside ours."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from workbench.config.checking import validate
from workbench.config.degrees import Degrees
from workbench.config.keys import Key, keys
from workbench.config.layers import Layer, compose
from workbench.dialects.base import Foreign
from workbench.dialects.building import plant
from workbench.dialects.deepspeed import DIALECT
from workbench.dialects.deepspeed.judging import Refusal
from workbench.dialects.deepspeed.refusals import refusals
from workbench.dialects.parsing import parse

BASE: dict[str, Any] = {"train_batch_size": 32, "train_micro_batch_size_per_gpu": 4}


def zero(stage: int = 2, **more: Any) -> dict[str, Any]:
    return {"zero_optimization": {"stage": stage, **more}}


def optimizer(kind: Any, **params: Any) -> dict[str, Any]:
    return {"optimizer": {"type": kind, "params": {"lr": 1e-4, **params}}}


def scheduler(kind: Any, **params: Any) -> dict[str, Any]:
    return {"scheduler": {"type": kind, "params": params}}


GOOD: dict[str, dict[str, Any]] = {
    "two of three": {},
    "micro alone": {"train_batch_size": None},
    "batch alone": {"train_micro_batch_size_per_gpu": None},
    "accumulation": {"gradient_accumulation_steps": 1},
    "stage 0": zero(0),
    "stage 3": zero(3, stage3_max_live_parameters=1e9, sub_group_size=1e9),
    "stage as text": zero(2) | {"zero_optimization": {"stage": 1, "overlap_comm": "true"}},
    "numbers as text": zero(2, reduce_bucket_size="500000000"),
    "a float that is whole": zero(2, reduce_bucket_size=5e8),
    "auto inside": zero(3, reduce_bucket_size="auto", stage3_prefetch_bucket_size="auto"),
    "auto switches": {"fp16": {"enabled": "auto"}, "bf16": {"enabled": "auto"}},
    "old zero": {"zero_optimization": True},
    "old offload": zero(2, cpu_offload=True),
    "offload": zero(2, offload_optimizer={"device": "cpu", "pin_memory": True}),
    "nvme": zero(3, offload_param={"device": "nvme", "nvme_path": "/nvme"}),
    "offload without stage": zero(0, offload_optimizer={"device": "cpu"}),
    "null offload": zero(3, offload_param=None),
    "stage 3 ratio": zero(3, offload_optimizer={"device": "cpu", "ratio": 0.5}),
    "bf16": {"bf16": {"enabled": True}},
    "old bf16": {"bfloat16": {"enabled": True}},
    "fp16": {"fp16": {"enabled": True, "loss_scale": 0, "initial_scale_power": 16}},
    "static loss scale": {"fp16": {"enabled": True, "loss_scale": 128.0, "min_loss_scale": 0}},
    "bf16 states": {
        "bf16": {
            "enabled": True,
            "bf16_master_weights_and_grads": True,
            "bf16_optimizer_states": True,
        }
    }
    | zero(1),
    "unknown at the top": {"micro_batch_size": 4, "_comment": "nobody reads it"},
    "unknown activation key": {"activation_checkpointing": {"enabled": True}},
    "adam with zero": optimizer("Adam") | zero(2),
    "adamw, any case": optimizer("aDaMw") | zero(2),
    "sgd": optimizer("SGD"),
    "adam on the CPU": optimizer("Adam", betas=[0.9, 0.99], eps=1e-8, bias_correction=True)
    | zero(2, offload_optimizer={"device": "cpu"}),
    "torch's adam": optimizer("AdamW", torch_adam=True, foreach=False),
    "rmsprop": optimizer("RMSprop", alpha=0.9),
    "torch's schedule": scheduler("StepLR", step_size=10),
    "no experts": {"expert_parallel": False},
    "timers of a word": {"timers": "none"},
    "one step of warm-up": scheduler("WarmupLR", warmup_num_steps=True),
    "untested allowed": optimizer("SGD") | zero(1) | {"zero_allow_untested_optimizer": True},
    "lion with zero": optimizer("Lion") | zero(3),
    "lamb": optimizer("Lamb"),
    "warmup": scheduler("WarmupLR", warmup_min_lr=0, warmup_num_steps=10),
    "decay": scheduler("WarmupDecayLR", total_num_steps=100, warmup_max_lr=1e-4),
    "cosine": scheduler("WarmupCosineLR", total_num_steps=100, cos_min_ratio=0.1),
    "one cycle": scheduler("OneCycle", cycle_min_lr=1e-5, cycle_max_lr=1e-4, cycle_momentum=False),
    "communication": {"communication_data_type": "FP16"},
    "monitors": {
        "tensorboard": {"enabled": True, "output_path": "logs", "job_name": "a"},
        "wandb": {"enabled": False, "project": "p", "team": None},
        "csv_monitor": {"enabled": False},
    },
    "profiler": {"flops_profiler": {"enabled": True, "anything": 1}},
    "data types": {"data_types": {"grad_accum_dtype": "fp32"}, "bf16": {"enabled": True}} | zero(1),
    "autocast": {"torch_autocast": {"enabled": True, "dtype": "bfloat16"}},
}
BAD: dict[str, dict[str, Any]] = {
    "nothing of a batch": {"train_batch_size": None, "train_micro_batch_size_per_gpu": None},
    "batch mismatch": {"gradient_accumulation_steps": 2},
    "batch of 0": {"train_batch_size": 0},
    "negative micro": {"train_micro_batch_size_per_gpu": -4},
    "micro of 0": {"train_micro_batch_size_per_gpu": 0},
    "batch below the world": {"train_batch_size": 4, "train_micro_batch_size_per_gpu": None},
    "auto batch": {"train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto"},
    "auto micro": {"train_micro_batch_size_per_gpu": "auto"},
    "auto accumulation": {"gradient_accumulation_steps": "auto"},
    "unknown zero key": zero(2, stage2_bucket=1),
    "misspelt zero key": zero(2, overlap_com=True),
    "unknown fp16 key": {"fp16": {"enabled": True, "opt_level": "O2"}},
    "unknown bf16 key": {"bf16": {"enabled": True, "loss_scale": 0}},
    "unknown offload key": zero(2, offload_optimizer={"device": "cpu", "path": "/x"}),
    "unknown wandb key": {"wandb": {"enabled": True, "entity": "me"}},
    "unknown monitor key": {"tensorboard": {"log_dir": "x"}},
    "stage 4": zero(4),
    "stage of a word": zero(2) | {"zero_optimization": {"stage": "two"}},
    "no switch": zero(2, overlap_comm="perhaps"),
    "half a bucket": zero(2, reduce_bucket_size=0.5),
    "bucket of 0": zero(2, reduce_bucket_size=0),
    "bucket of a word": zero(2, reduce_bucket_size="5e8"),
    "negative threshold": zero(3, stage3_param_persistence_threshold=-1),
    "null bucket": zero(2, reduce_bucket_size=None),
    "odd device": zero(3, offload_param={"device": "disk"}),
    "ratio above 1": zero(3, offload_optimizer={"device": "cpu", "ratio": 1.5}),
    "ratio below stage 3": zero(2, offload_optimizer={"device": "cpu", "ratio": 0.5}),
    "old and new offload": zero(2, cpu_offload=True, offload_optimizer={"device": "cpu"}),
    "grad norm off with stage 3": zero(3, compute_grad_norm=False),
    "zero of a number": {"zero_optimization": 2},
    "null fp16": {"fp16": None},
    "fp16 of a switch": {"fp16": True},
    "both precisions": {"fp16": {"enabled": True}, "bf16": {"enabled": True}},
    "loss scale of a word": {"fp16": {"enabled": True, "loss_scale": "dynamic"}},
    "loss scale of a switch": {"fp16": {"loss_scale": True}},
    "negative loss scale": {"fp16": {"loss_scale": -1}},
    "loss window of 0": {"fp16": {"enabled": True, "loss_scale_window": 0}},
    "lowest loss scale of 0": {"fp16": {"enabled": True, "min_loss_scale": 0}},
    "fp16 masters without zero": {"fp16": {"enabled": True, "fp16_master_weights_and_grads": True}},
    "bf16 masters without zero": {"bf16": {"enabled": True, "bf16_master_weights_and_grads": True}},
    "bf16 states without masters": {"bf16": {"enabled": True, "bf16_optimizer_states": True}}
    | zero(1),
    "communication": {"communication_data_type": "int8"},
    "sum with stage 3": {"gradient_allreduce_op": "sum"} | zero(3),
    "an average that is none": {"gradient_allreduce_op": "max"},
    "tag validation": {"checkpoint": {"tag_validation": "maybe"}},
    "autocast of a word": {"torch_autocast": {"enabled": True, "dtype": "fp7"}},
    "breakdown of a word": {"wall_clock_breakdown": "yes"},
    "amp": {"amp": {"enabled": False}},
    "elasticity": {"elasticity": {"enabled": True}},
    "sparse gradients": {"sparse_gradients": False},
    "compression": {"compression_training": {}},
    "curriculum": {"curriculum_learning": {"enabled": False}},
    "mics": zero(3, mics_shard_size=8),
    "loco": zero(3, zeropp_loco_param={"err_beta": 0.8}),
    "one bit": optimizer("OneBitAdam", freeze_step=100) | zero(2),
    "one bit without zero": optimizer("OneBitLamb"),
    "zero one": optimizer("ZeroOneAdam"),
    "a name that is none": optimizer("AdamWW"),
    "torch's name in another case": optimizer("sgd"),
    "untested with zero": optimizer("SGD") | zero(2),
    "lamb with zero": optimizer("Lamb") | zero(1),
    "lamb with a static scale": optimizer("Lamb") | {"fp16": {"enabled": True, "loss_scale": 8}},
    "old clipping": optimizer("AdamW", max_grad_norm=1.0),
    "optimizer of a word": {"optimizer": "AdamW"},
    "optimizer type of a number": {"optimizer": {"type": 1}},
    "betas of sgd": optimizer("SGD", betas=[0.9, 0.99]),
    "a misspelt setting": optimizer("AdamW", weight_dacay=0.1),
    "momentum of lion": optimizer("Lion", momentum=0.9),
    "fused settings on the CPU": optimizer("Adam", set_grad_none=True)
    | zero(2, offload_optimizer={"device": "cpu"}),
    "a schedule without params": {"scheduler": {"type": "WarmupLR"}},
    "torch's schedule without its step": scheduler("StepLR", gamma=0.5),
    "torch's schedule with another's key": scheduler("CosineAnnealingLR", T_max=9, step_size=3),
    "a range test of no steps": scheduler("LRRangeTest", lr_range_test_step_size=0),
    "a negative second half": scheduler(
        "OneCycle", cycle_min_lr=1e-5, cycle_max_lr=1e-4, cycle_second_step_size=-1
    ),
    "aio of a word": {"aio": "fast"},
    "throughput of a word": {"timers": {"throughput": "yes"}},
    "sampling of a list": {"data_efficiency": {"data_sampling": []}},
    "modules of a number": {"torch_autocast": {"lower_precision_safe_modules": [1]}},
    "a format for tensor parallelism": {"tensor_parallel": {"dtype": "bf16"}},
    "a threshold beyond all integers": zero(3, module_granularity_threshold=1e30),
    "a schedule that is none": scheduler("WarmupCosine"),
    "an unknown schedule key": scheduler("WarmupLR", warmup_steps=10),
    "no length": scheduler("WarmupDecayLR", warmup_num_steps=10),
    "no peak": scheduler("OneCycle", cycle_min_lr=1e-5),
    "no first step": scheduler(
        "OneCycle", cycle_min_lr=1e-5, cycle_max_lr=1e-4, cycle_first_step_size=0
    ),
    "no warm-up": scheduler("WarmupLR", warmup_num_steps=0),
    "auto warm-up": scheduler("WarmupLR", warmup_num_steps="auto"),
    "another parameter format": {"data_types": {"param_dtype": "fp16"}},
    "sums in fp32 without zero": {
        "data_types": {"grad_accum_dtype": "fp32"},
        "bf16": {"enabled": 1},
    },
}
WORLD = 8


Case = tuple[str, dict[str, Any], int]


def tree_of(changes: dict[str, Any]) -> dict[str, Any]:
    """A config; null takes a key of the base away."""
    merged = BASE | changes
    return {key: value for key, value in merged.items() if value is not None or key not in BASE}


def real_cases() -> list[Case]:
    folder = SHARED / "upstream"
    cases = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        if "deepspeed" in name:
            tree = parse(Foreign(path, path.read_text()))[0].tree
            cases += [(f"{name} on {world}", tree, world) for world in (1, 4, 8, 32)]
    return cases


def value_at_random(key: Key, rng: random.Random) -> Any:
    low = key.bounds.get("ge", key.bounds.get("gt", 0))
    high = min(key.bounds.get("le", key.bounds.get("lt", low + 64)), low + 64)
    if key.type == "integer":
        return rng.randint(int(low) + ("gt" in key.bounds), int(high))
    if key.type == "number":
        return low + (high - low) * rng.uniform(0.1, 0.9)
    return {
        "boolean": rng.random() < 0.5,
        "choice": rng.choice(key.choices or ("",)),
        "text": "some text",
    }.get(key.type)


def plan_at_random(seed: int) -> Case:
    """What our export makes of a plan in which anything may stand."""
    rng = random.Random(seed)
    sections = ("deepspeed", "training", "parallel", "logging")
    pool = [key for path, key in keys().items() if path.partition(".")[0] in sections]
    tree: dict[str, Any] = {}
    for key in rng.sample(pool, rng.randrange(3, 40)):
        if (value := value_at_random(key, rng)) is not None:
            plant(tree, tuple(key.path.split(".")), value)
    stack = compose([Layer("plan", tree)])
    config, findings = validate(stack)
    assert config is not None, findings
    (text,) = DIALECT.write(config, chosen=frozenset(stack.origins)).files.values()
    return f"plan {seed}", json.loads(text), Degrees.of(config).data


MADE: list[Case] = [
    *((name, tree_of(changes), WORLD) for name, changes in GOOD.items()),
    *((f"bad: {name}", tree_of(changes), WORLD) for name, changes in BAD.items()),
]
CASES = MADE + real_cases() + [plan_at_random(seed) for seed in range(100)]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[str] | None]:
    """DeepSpeed's own, by name of the case."""
    program = Path(__file__).with_name("deepspeed_verdicts.py")
    asked = json.dumps([[tree, world] for _, tree, world in CASES])
    done = subprocess.run(
        [sys.executable, str(program)], input=asked, capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip((name for name, _, _ in CASES), answers, strict=True))


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


@pytest.mark.parametrize(("name", "tree", "world"), CASES, ids=[case[0] for case in CASES])
def test_our_verdict_is_deepspeeds(
    name: str, tree: dict[str, Any], world: int, verdicts: dict[str, list[str] | None]
) -> None:
    theirs, ours = verdicts[name], refusals(tree, world)
    if theirs is None:
        assert ours == []
        return
    by, words = theirs
    assert any(refusal.by == by for refusal in ours), (theirs, ours)
    assert by != "engine" or all(refusal.by == "engine" for refusal in ours)
    assert any(_same_words(refusal, words) for refusal in ours), (words, ours)


def _same_words(refusal: Refusal, theirs: str) -> bool:
    """Ours are the beginning of theirs, or say of which form a section must be."""
    if "must be a mapping" in refusal.message:
        return theirs.startswith(("TypeError", "AttributeError"))
    ours = refusal.message.partition(" (did you mean")[0].partition(": only Hugging")[0]
    return plain(ours) in plain(theirs)


def test_there_are_enough_cases_of_both_kinds(verdicts: dict[str, list[str] | None]) -> None:
    made = [name for name, _, _ in MADE]
    refused = [name for name in made if verdicts[name] is not None]
    assert len(made) >= 100
    assert refused == [name for name in made if name.startswith("bad: ")]

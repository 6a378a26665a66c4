"""What the engine would refuse, when ``deepspeed.initialize`` builds optimizer and schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.judging import TORCH, WIDE, Refusal, enabled, stage_of
from workbench.dialects.deepspeed.strict import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIMIZERS = ("adagrad", "adam", "adamw", "lamb", "muadam", "muadamw", "musgd", "lion", "muon")


TORCH_OPTIMIZERS = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam",
    "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam",
)  # fmt: skip


ZERO_OPTIMIZERS = ("adam", "adamw", "adagrad", "lion", "muon", "Adam", "AdamW", "Adagrad")


SCHEDULERS: dict[str, frozenset[str]] = {
    "LRRangeTest": frozenset(
        [
            "lr_range_test_min_lr",
            "lr_range_test_step_size",
            "lr_range_test_step_rate",
            "lr_range_test_staircase",
            "last_batch_iteration",
        ]
    ),
    "OneCycle": frozenset(
        [
            "cycle_min_lr",
            "cycle_max_lr",
            "decay_lr_rate",
            "cycle_first_step_size",
            "cycle_second_step_size",
            "cycle_first_stair_count",
            "cycle_second_stair_count",
            "decay_step_size",
            "cycle_momentum",
            "cycle_min_mom",
            "cycle_max_mom",
            "decay_mom_rate",
            "last_batch_iteration",
        ]
    ),
    "WarmupLR": frozenset(
        [
            "warmup_min_lr",
            "warmup_max_lr",
            "warmup_num_steps",
            "warmup_type",
            "last_batch_iteration",
        ]
    ),
    "WarmupDecayLR": frozenset(
        [
            "total_num_steps",
            "warmup_min_lr",
            "warmup_max_lr",
            "warmup_num_steps",
            "warmup_type",
            "last_batch_iteration",
        ]
    ),
    "WarmupCosineLR": frozenset(
        [
            "total_num_steps",
            "warmup_min_ratio",
            "warmup_num_steps",
            "cos_min_ratio",
            "warmup_type",
            "last_batch_iteration",
        ]
    ),
}


REQUIRED = {
    "OneCycle": ("cycle_min_lr", "cycle_max_lr"),
    "WarmupDecayLR": ("total_num_steps",),
    "WarmupCosineLR": ("total_num_steps",),
}


def engine_refusals(tree: dict[str, Any]) -> list[Refusal]:
    """Everything that the engine refuses in a config that could be loaded."""
    return [*_data_types(tree), *_optimizer(tree), *_scheduler(tree)]


def supported(name: str) -> bool:
    """Whether DeepSpeed knows the optimizer."""
    return name.lower() in OPTIMIZERS or name in TORCH_OPTIMIZERS


def _optimizer(tree: dict[str, Any]) -> Iterator[Refusal]:
    section = tree.get("optimizer", {})
    name, params = section.get("type"), section.get("params") or {}
    if name is None:
        return
    if not supported(name):
        yield Refusal(
            ("optimizer", "type"), f"{name} is not a supported DeepSpeed Optimizer", "engine"
        )
        return
    if "max_grad_norm" in params:
        yield Refusal(
            ("optimizer", "params", "max_grad_norm"),
            "'max_grad_norm' is not supported as an optimizer parameter, please switch to using "
            "the deepspeed parameter 'gradient_clipping'",
            "engine",
        )
    known = name.lower() if name.lower() in OPTIMIZERS else name
    scale = number_of(tree.get("fp16", {}).get("loss_scale", 0))
    if known == "lamb" and scale:
        yield Refusal(
            ("optimizer", "type"),
            "DeepSpeed lamb optimizer requires dynamic loss scaling",
            "engine",
        )
    untested = known not in ZERO_OPTIMIZERS and stage_of(tree) > 0
    if untested and not tree.get("zero_allow_untested_optimizer", False):
        yield Refusal(
            ("optimizer", "type"),
            'You are using an untested ZeRO Optimizer. Please add <"zero_allow_untested_optimizer":'
            " true> in the configuration file to use it.",
            "engine",
        )


def _scheduler(tree: dict[str, Any]) -> Iterator[Refusal]:
    section = tree.get("scheduler", {})
    name, params = section.get("type"), section.get("params")
    if name is None or name not in SCHEDULERS:
        if name is not None and not name.endswith(("LR", "Restarts", "Plateau", "Lambda")):
            yield Refusal(
                ("scheduler", "type"), f"DeepSpeed does not recognize LR scheduler {name}", "engine"
            )
        return
    given = params or {}
    for key in given:
        if key not in SCHEDULERS[name]:
            yield Refusal(
                ("scheduler", "params", key),
                f"{name}.__init__() got an unexpected keyword argument '{key}'",
                "engine",
            )
    missing = [key for key in REQUIRED.get(name, ()) if key not in given]
    if missing:
        yield Refusal(
            ("scheduler", "params"),
            f"{name}.__init__() missing {len(missing)} required positional argument"
            f"{'s' if len(missing) > 1 else ''}: {' and '.join(map(repr, missing))}",
            "engine",
        )
    steps = given.get("warmup_num_steps", 1000)
    if name.startswith("Warmup") and (
        isinstance(steps, bool) or not isinstance(steps, int) or steps <= 0
    ):
        yield Refusal(
            ("scheduler", "params", "warmup_num_steps"),
            f"warmup_num_steps must be a positive integer, got {steps}",
            "engine",
        )
    first = given.get("cycle_first_step_size", 2000)
    if name == "OneCycle" and isinstance(first, int | float) and first <= 0:
        yield Refusal(
            ("scheduler", "params", "cycle_first_step_size"),
            f"cycle_first_step_size must be positive, got {float(first)}",
            "engine",
        )


def _data_types(tree: dict[str, Any]) -> Iterator[Refusal]:
    dtypes, stage = tree.get("data_types", {}), stage_of(tree)
    bf16 = enabled(tree, "bf16" if tree.get("bf16") is not None else "bfloat16")
    model = "fp16" if enabled(tree, "fp16") else "bf16" if bf16 else "fp32"
    for key in ("grad_accum_dtype", "param_dtype"):
        value = dtypes.get(key)
        if value is None:
            continue
        if not isinstance(value, str) or value not in WIDE:
            yield Refusal(("data_types", key), f"'{value}' is not a valid DtypeEnum", "engine")
        elif key == "param_dtype" and WIDE[value] != model:
            yield Refusal(
                ("data_types", key),
                f"data_types.param_dtype='{value}' conflicts with the enabled precision mode "
                f"(model dtype {TORCH[model]}). Set the matching fp16/bf16 'enabled' flag or omit "
                "data_types.param_dtype.",
                "engine",
            )
        elif key == "grad_accum_dtype" and stage == 0 and WIDE[value] != model:
            yield Refusal(
                ("data_types", key),
                f"unsupported mix of model_dtype={TORCH[model]} and "
                f"grad_accum_dtype={TORCH.get(WIDE[value], value)}",
                "engine",
            )

"""What the engine would refuse, when ``deepspeed.initialize`` builds optimizer and schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.judging import TORCH, WIDE, Refusal, enabled, stage_of
from workbench.dialects.deepspeed.parameters import (
    OPTIMIZERS as CLASSES,
)
from workbench.dialects.deepspeed.parameters import (
    SCHEDULES,
    TAKEN_OUT,
    TORCH_SCHEDULES,
    Takes,
    optimizer_class,
)
from workbench.dialects.deepspeed.strict import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIMIZERS = ("adagrad", "adam", "adamw", "lamb", "muadam", "muadamw", "musgd", "lion", "muon")


TORCH_OPTIMIZERS = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam",
    "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam",
)  # fmt: skip


ZERO_OPTIMIZERS = ("adam", "adamw", "adagrad", "lion", "muon", "Adam", "AdamW", "Adagrad")


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
    yield from _arguments(known, params, tree)
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


def _arguments(name: str, params: dict[str, Any], tree: dict[str, Any]) -> Iterator[Refusal]:
    """Keys of ``optimizer.params`` that the class made for it does not take."""
    zero = tree.get("zero_optimization")
    offload = zero.get("offload_optimizer") if isinstance(zero, dict) else None
    place = offload.get("device") if isinstance(offload, dict) else None
    kind = optimizer_class(name, params, on_cpu=place in ("cpu", "nvme"))
    if kind not in CLASSES:
        return
    taken = TAKEN_OUT if name in ("adam", "adamw") else ()
    given = [key for key in params if key not in (*taken[: None if "torch_adam" in params else 3],
                                                  "max_grad_norm")]  # fmt: skip
    for key in given:
        if key not in CLASSES[kind].names:
            yield Refusal(
                ("optimizer", "params", key),
                f"{kind}.__init__() got an unexpected keyword argument '{key}'",
                "engine",
            )


def _scheduler(tree: dict[str, Any]) -> Iterator[Refusal]:
    section = tree.get("scheduler", {})
    name, given = section.get("type"), section.get("params")
    if name is None:
        return
    takes = SCHEDULES.get(name) or TORCH_SCHEDULES.get(name)
    if takes is None:
        yield Refusal(
            ("scheduler", "type"), f"DeepSpeed does not recognize LR scheduler {name}", "engine"
        )
    elif given is None:
        yield Refusal(
            ("scheduler",), f"{name}() argument after ** must be a mapping, not NoneType", "engine"
        )
    else:
        yield from _taken(name, given, takes)
        if name in SCHEDULES:
            yield from _figures(name, given)


def _taken(name: str, given: dict[str, Any], takes: Takes) -> Iterator[Refusal]:
    """What a schedule does not take, lacks, or cannot compute with."""
    for key, value in given.items():
        path = ("scheduler", "params", key)
        if key not in takes.names:
            yield Refusal(
                path, f"{name}.__init__() got an unexpected keyword argument '{key}'", "engine"
            )
        elif key in takes.numbers and isinstance(value, str | list | dict):
            yield Refusal(path, f"{name} computes with {key}: {value!r} is no number", "engine")
    missing = [key for key in takes.needed if key not in given]
    if missing:
        yield Refusal(
            ("scheduler", "params"),
            f"{name}.__init__() missing {len(missing)} required positional argument"
            f"{'s' if len(missing) > 1 else ''}: {' and '.join(map(repr, missing))}",
            "engine",
        )


def _figures(name: str, given: dict[str, Any]) -> Iterator[Refusal]:
    """The numbers of steps that DeepSpeed's schedules check."""
    key = "lr_range_test_step_size" if name == "LRRangeTest" else "warmup_num_steps"
    steps = given.get(key, 1000)
    if name != "OneCycle" and (not isinstance(steps, int) or steps <= 0):
        yield Refusal(
            ("scheduler", "params", key), f"{key} must be a positive integer, got {steps}", "engine"
        )
    for key, least, words in (
        ("cycle_first_step_size", 1e-300, "positive"),
        ("cycle_second_step_size", 0, "non-negative"),
    ):
        if name != "OneCycle" or key not in given:
            continue
        size = number_of(given[key])
        if size is None and (given[key] is not None or words == "positive"):
            yield Refusal(
                ("scheduler", "params", key), f"{key}: {given[key]!r} is no number", "engine"
            )
        elif size is not None and size < least:
            yield Refusal(
                ("scheduler", "params", key),
                f"{key} must be {words}, got {float(size)}",
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

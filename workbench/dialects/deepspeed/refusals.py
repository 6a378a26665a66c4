"""What DeepSpeed would refuse in a config, with its own message.

Two readers judge a file: ``DeepSpeedConfig``, when the file is loaded, and the engine, when
``deepspeed.initialize`` builds optimizer and schedule. The words are those of release 0.19.8; a
test asks the installed DeepSpeed about the same files. What depends on the machine is not judged:
a device without bf16, a missing package, GPUDirect Storage without CUDA.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.engine import engine_refusals
from workbench.dialects.deepspeed.fields import SECTIONS, THROUGHPUT
from workbench.dialects.deepspeed.identity import batch_refusals
from workbench.dialects.deepspeed.judging import FORMATS, Refusal, enabled, stage_of
from workbench.dialects.deepspeed.removed import REMOVED, REMOVED_ZERO
from workbench.dialects.deepspeed.sections import precision_refusals, section_refusals
from workbench.dialects.deepspeed.strict import complaints, number_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPINGS = (
    "optimizer", "scheduler", "activation_checkpointing", "flops_profiler", "autotuning",
    "pipeline", "data_efficiency", "checkpoint", "data_types", "torch_autocast", "timers",
    "expert_parallel", "aio",
)  # fmt: skip

_INNER = (
    ("timers", "throughput"),
    ("data_efficiency", "data_sampling"),
    ("data_efficiency", "data_routing"),
    ("checkpoint", "parallel_write"),
)


def refusals(tree: dict[str, Any], world: int) -> list[Refusal]:
    """Everything that DeepSpeed refuses in a config.

    Args:
        tree: The config.
        world: Data-parallel processes.
    """
    found = list(_shape(tree))
    if found:
        return found  # the rest reads inside what has the wrong shape
    found += _removed(tree)
    found += _strict(tree)
    found += _top_level(tree)
    found += batch_refusals(tree, world)
    found += precision_refusals(tree)
    found += section_refusals(tree)
    found += engine_refusals(tree)
    return found


def _shape(tree: dict[str, Any]) -> Iterator[Refusal]:
    for name in (*SECTIONS, *_MAPPINGS):
        value = tree.get(name, {})
        if isinstance(value, dict):
            continue
        if _is_borne(name, value):
            continue
        kind = "NoneType" if value is None else type(value).__name__
        yield Refusal((name,), f"{name} must be a mapping, not {kind}")
    for name, inner in _INNER:
        section = tree.get(name)
        value = section.get(inner, {}) if isinstance(section, dict) else {}
        if not isinstance(value, dict):
            kind = type(value).__name__
            yield Refusal((name, inner), f"{name}.{inner} must be a mapping, not {kind}")
    for name in ("optimizer", "scheduler"):
        section = tree.get(name)
        if isinstance(section, dict):
            yield from _shape_of_choice(name, section)


def _is_borne(name: str, value: Any) -> bool:
    """Whether DeepSpeed bears something else than a mapping there."""
    if name == "zero_optimization":
        return isinstance(value, bool)  # as files of 2020 have it
    if name == "expert_parallel":
        return not value
    if name == "timers":
        return isinstance(value, str | list) and "throughput" not in value
    return value is None and name in ("bf16", "bfloat16", "checkpoint", "aio")


def _shape_of_choice(name: str, section: dict[str, Any]) -> Iterator[Refusal]:
    kind, params = section.get("type"), section.get("params")
    if kind is not None and not isinstance(kind, str):
        yield Refusal((name, "type"), f"'{type(kind).__name__}' object has no attribute 'lower'")
    if params is not None and not isinstance(params, dict):
        yield Refusal(
            (name, "params"), f"{name}.params must be a mapping, not {type(params).__name__}"
        )


def _removed(tree: dict[str, Any]) -> Iterator[Refusal]:
    for name, message in REMOVED.items():
        if name in tree:
            yield Refusal((name,), message)
    zero = tree.get("zero_optimization")
    for name, message in REMOVED_ZERO.items():
        if isinstance(zero, dict) and name in zero:
            yield Refusal(("zero_optimization", name), message)


def _strict(tree: dict[str, Any]) -> Iterator[Refusal]:
    for name, section in SECTIONS.items():
        value = tree.get(name)
        if not isinstance(value, dict) or (name == "bfloat16" and tree.get("bf16") is not None):
            continue
        known = REMOVED_ZERO if name == "zero_optimization" else {}
        for path, message in complaints(section, value, (name,)):
            if path[-1] not in known:
                yield Refusal(path, _with_meant(path, message, section))
    timers = tree.get("timers")
    throughput = timers.get("throughput", {}) if isinstance(timers, dict) else {}
    for path, message in complaints(THROUGHPUT, throughput, ("timers", "throughput")):
        yield Refusal(path, message)
    yield from _zero(tree)


def _with_meant(path: tuple[str, ...], message: str, section: Any) -> str:
    """The message, with the key that was perhaps meant."""
    if not message.startswith("Extra") or len(path) != 2:
        return message
    close = difflib.get_close_matches(path[-1], section, n=1)
    return f"{message} (did you mean {close[0]}?)" if close else message


def _zero(tree: dict[str, Any]) -> Iterator[Refusal]:
    zero = tree.get("zero_optimization")
    if not isinstance(zero, dict):
        return
    stage = stage_of(tree)
    offload = zero.get("offload_optimizer")
    ratio = number_of(offload.get("ratio", 1.0)) if isinstance(offload, dict) else 1.0
    if ratio is not None and ratio < 1 and stage != 3:
        yield Refusal(
            ("zero_optimization", "offload_optimizer", "ratio"),
            "Partial offloading only supported for ZeRO Stage 3.",
        )
    if truth_of(zero.get("compute_grad_norm", True)) is False and stage not in (1, 2):
        yield Refusal(
            ("zero_optimization", "compute_grad_norm"),
            "compute_grad_norm=false is supported only with ZeRO Stage 1 or 2",
        )
    pairs = (
        ("cpu_offload", "offload_optimizer"),
        ("cpu_offload_param", "offload_param"),
        ("stage3_gather_fp16_weights_on_model_save", "gather_16bit_weights_on_model_save"),
    )
    for old, new in pairs:
        spelled = (new, f"stage3_{new}")
        if _given(zero, old) and any(_given(zero, each) for each in spelled):
            yield Refusal(
                ("zero_optimization", old),
                f"Cannot provide deprecated parameter '{old}' and replacing parameter '{new}' "
                "together",
            )


def _given(section: dict[str, Any], key: str) -> bool:
    return key in section and section[key] != "auto"


def _top_level(tree: dict[str, Any]) -> Iterator[Refusal]:
    for name in ("communication_data_type", "seq_parallel_communication_data_type"):
        value = tree.get(name)
        if value is not None and (not isinstance(value, str) or value.lower() not in FORMATS):
            yield Refusal(
                (name,),
                "Invalid communication_data_type. Supported data types: ['fp16', 'bf16', 'fp32']. "
                f"Got: {str(value).lower()}",
            )
    operation = tree.get("gradient_allreduce_op", "mean")
    word = operation.lower() if isinstance(operation, str) else operation
    if word not in ("mean", "sum"):
        yield Refusal(
            ("gradient_allreduce_op",),
            f"Invalid gradient_allreduce_op. Supported operations: ['mean', 'sum']. Got: {word!r}",
        )
    if word == "sum":
        yield from _sum(tree)
    breakdown, profiler = tree.get("wall_clock_breakdown", False), tree.get("flops_profiler", {})
    for path, value in (
        (("wall_clock_breakdown",), breakdown),
        (("flops_profiler", "enabled"), profiler.get("enabled", False)),
    ):
        if not isinstance(value, int):
            yield Refusal(
                path, f"unsupported operand type(s) for |: '{type(value).__name__}' and 'bool'"
            )


def _sum(tree: dict[str, Any]) -> Iterator[Refusal]:
    zero = tree.get("zero_optimization")
    for what, holds in (
        ("ZeRO stage 3", stage_of(tree) == 3),
        ("ZenFlow", isinstance(zero, dict) and isinstance(zero.get("zenflow"), dict)),
        ("DeepCompile", enabled(tree, "compile", "deepcompile")),
    ):
        if holds:
            yield Refusal(
                ("gradient_allreduce_op",),
                f"gradient_allreduce_op='sum' is not supported with {what}",
            )

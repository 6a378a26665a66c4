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
from workbench.dialects.deepspeed.judging import BATCH, FORMATS, WIDE, Refusal, enabled, stage_of
from workbench.dialects.deepspeed.removed import REMOVED, REMOVED_ZERO
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
    found += _batch(tree, world)
    found += _precision(tree)
    found += _sections(tree)
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


def _batch(tree: dict[str, Any], world: int) -> Iterator[Refusal]:
    whole, micro, steps = (tree.get(name) for name in BATCH)
    wrong = [name for name in BATCH if not isinstance(tree.get(name, 0), int | float | None)]
    if whole is None and micro is None:
        yield Refusal(
            ("train_batch_size",),
            "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided",
        )
        return
    try:
        whole, micro, steps = triple(whole, micro, steps, world)
        found = list(_identity(whole, micro, steps, world))
    except (TypeError, ZeroDivisionError) as error:
        # Python's own words, which are DeepSpeed's: it computes in the same order.
        auto = any(tree.get(name) == "auto" for name in wrong)
        filled = ": only Hugging Face's Trainer fills in auto" if auto else ""
        yield Refusal((wrong[0] if wrong else BATCH[0],), f"{error}{filled}")
    else:
        yield from found


def _identity(whole: float, micro: float, steps: float, world: int) -> Iterator[Refusal]:
    for name, value, words in zip(
        BATCH,
        (whole, micro, steps),
        ("Train batch size", "Micro batch size per gpu", "Gradient accumulation steps"),
        strict=True,
    ):
        positive = value > 0
        if not positive:
            yield Refusal((name,), f"{words}: {value} has to be greater than 0")
            return
    if whole != micro * steps * world:
        yield Refusal(
            ("train_batch_size",),
            "Check batch related parameters. train_batch_size is not equal to "
            f"micro_batch_per_gpu * gradient_acc_step * world_size {whole} != {micro} * {steps} * "
            f"{world}",
        )


def triple(whole: Any, micro: Any, steps: Any, world: int) -> tuple[Any, Any, Any]:
    """The three batch figures, those that are missing derived as DeepSpeed derives them.

    Raises:
        ZeroDivisionError: A given one is 0.
    """
    if whole is not None and micro is not None:
        return whole, micro, whole // micro // world if steps is None else steps
    if whole is not None:
        steps = 1 if steps is None else steps
        return whole, whole // world // steps, steps
    steps = 1 if steps is None else steps
    return micro * steps * world, micro, steps


def _precision(tree: dict[str, Any]) -> Iterator[Refusal]:
    bf16 = "bf16" if tree.get("bf16") is not None else "bfloat16"
    if enabled(tree, "fp16") and enabled(tree, bf16):
        yield Refusal((bf16, "enabled"), "bfloat16 and fp16 modes cannot be simultaneously enabled")
    yield from _loss_scale(tree)
    stage = stage_of(tree)
    for section, key, words in (
        ("fp16", "fp16_master_weights_and_grads", "Fp16_master_weights_and_grads"),
        (bf16, "bf16_master_weights_and_grads", "Bf16_master_weights_and_grads"),
        (bf16, "bf16_optimizer_states", "bf16_optimizer_states"),
    ):
        if enabled(tree, section, key) and stage == 0:
            yield Refusal((section, key), f"{words} is only supported with ZeRO Stage 1, 2, or 3.")
    if enabled(tree, bf16, "bf16_optimizer_states") and not enabled(
        tree, bf16, "bf16_master_weights_and_grads"
    ):
        yield Refusal(
            (bf16, "bf16_optimizer_states"),
            "bf16_optimizer_states requires bf16_master_weights_and_grads to be enabled.",
        )


def _loss_scale(tree: dict[str, Any]) -> Iterator[Refusal]:
    fp16 = tree.get("fp16", {})
    scale = fp16.get("loss_scale", 0)
    if scale == "auto":
        scale = 0
    number = None if isinstance(scale, bool) else number_of(scale)
    if number is None:
        kind = ", not bool" if isinstance(scale, bool) else ""
        yield Refusal(("fp16", "loss_scale"), f"fp16.loss_scale must be a number{kind}")
    elif number < 0:
        yield Refusal(
            ("fp16", "loss_scale"),
            "fp16.loss_scale must be >= 0 (0 enables dynamic loss scaling)",
        )
    for key in ("loss_scale_window", "min_loss_scale"):
        value = fp16.get(key, 1)
        if isinstance(value, bool):
            yield Refusal(("fp16", key), f"fp16.{key} must be an integer, not bool")
        elif enabled(tree, "fp16") and number == 0 and _not_positive(value):
            yield Refusal(
                ("fp16", key),
                f"fp16.{key} must be > 0 when dynamic loss scaling is enabled (loss_scale=0)",
            )


def _not_positive(value: Any) -> bool:
    number = number_of(value)
    return number is not None and number <= 0


def _sections(tree: dict[str, Any]) -> Iterator[Refusal]:
    dtypes = tree.get("data_types", {})
    names = dtypes.get("keep_in_fp32_modules", "auto")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names != "auto" and not listed:
        yield Refusal(
            ("data_types", "keep_in_fp32_modules"),
            f'data_types.keep_in_fp32_modules must be "auto" or a list of name patterns, got '
            f"{names!r}",
        )
    checkpoint = tree.get("checkpoint") or {}
    mode = checkpoint.get("tag_validation", "Warn")
    if not isinstance(mode, str) or mode.upper() not in ("WARN", "IGNORE", "FAIL"):
        yield Refusal(
            ("checkpoint", "tag_validation"),
            f"Checkpoint config contains invalid tag_validation value of {str(mode).upper()}, "
            "expecting one of ['WARN', 'IGNORE', 'FAIL']",
        )
    dtype = tree.get("torch_autocast", {}).get("dtype")
    if dtype is not None and (not isinstance(dtype, str) or dtype not in WIDE):
        yield Refusal(("torch_autocast", "dtype"), f"'{dtype}' is not a valid DtypeEnum")
    modules = tree.get("torch_autocast", {}).get("lower_precision_safe_modules", [])
    if not (isinstance(modules, list | str | dict) and all(isinstance(m, str) for m in modules)):
        words = (
            f"Invalid module names for torch autocast: {modules}. Expected list of strings."
            if isinstance(modules, list)
            else f"'{type(modules).__name__}' object is not iterable"
        )
        yield Refusal(("torch_autocast", "lower_precision_safe_modules"), words)
    size = tree.get("vocabulary_size")
    if size and not isinstance(size, int | float):
        yield Refusal(("vocabulary_size",), f"it must be a number, not {type(size).__name__}")
    sampling = tree.get("data_efficiency", {}).get("data_sampling", {})
    for name, needed, words in (
        ("curriculum_learning", "curriculum_metrics", "Curriculum learning is enabled,"),
        ("dynamic_batching", "max_tokens", "Dynamic batching is enabled, so"),
    ):
        inner = sampling.get(name, {})
        if isinstance(inner, dict) and inner.get("enabled") and needed not in inner:
            yield Refusal(
                ("data_efficiency", "data_sampling", name),
                f"{words} {needed} must be specified",
            )

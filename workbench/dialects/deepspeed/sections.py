"""What DeepSpeed refuses in single sections: precision, checkpoints, data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.judging import WIDE, Refusal, enabled, stage_of
from workbench.dialects.deepspeed.strict import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def precision_refusals(tree: dict[str, Any]) -> Iterator[Refusal]:
    """What DeepSpeed refuses in ``fp16`` and ``bf16``, beyond the keys of the sections."""
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


def section_refusals(tree: dict[str, Any]) -> Iterator[Refusal]:
    """What DeepSpeed refuses in the sections that are read key by key."""
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

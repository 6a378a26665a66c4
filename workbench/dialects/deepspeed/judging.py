"""What both of DeepSpeed's judges have in common."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from workbench.dialects.deepspeed.strict import number_of, truth_of

BATCH = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")


FORMATS = ("fp16", "bf16", "fp32")


WIDE = {
    "torch.float16": "fp16", "fp16": "fp16", "float16": "fp16", "half": "fp16",
    "torch.float32": "fp32", "fp32": "fp32", "float32": "fp32", "float": "fp32",
    "torch.int8": "int8", "int8": "int8",
    "torch.bfloat16": "bf16", "bf16": "bf16", "bfloat16": "bf16",
}  # fmt: skip


TORCH = {"fp16": "torch.float16", "bf16": "torch.bfloat16", "fp32": "torch.float32"}


class Refusal(NamedTuple):
    """Something that DeepSpeed refuses.

    Attributes:
        path: The key.
        message: DeepSpeed's message.
        by: Who refuses: ``config``, when the file is loaded, or ``engine``, at the start.
    """

    path: tuple[str, ...]
    message: str
    by: Literal["config", "engine"] = "config"


def stage_of(tree: dict[str, Any]) -> int:
    """The ZeRO stage of a config."""
    zero = tree.get("zero_optimization", {})
    if isinstance(zero, bool):
        return int(zero)
    stage = number_of(zero.get("stage", 0)) if isinstance(zero, dict) else 0
    return int(stage) if stage in (0, 1, 2, 3) else 0


def enabled(tree: dict[str, Any], section: str, key: str = "enabled") -> bool:
    """Whether a section's switch is on."""
    inner = tree.get(section)
    return isinstance(inner, dict) and truth_of(inner.get(key)) is True

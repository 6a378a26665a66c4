"""DeepSpeed's ``bf16`` and ``fp16``: one choice here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.building import ABSENT
from workbench.dialects.deepspeed.strict import truth_of

if TYPE_CHECKING:
    from workbench.dialects.building import Builder


def read_precision(builder: Builder) -> None:
    """``bf16.enabled`` and ``fp16.enabled``: one choice here."""
    auto = False
    chosen = "no"
    for name, word in (("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16")):
        path = f"{name}.enabled"
        value = builder.value(path)
        if value is ABSENT:
            continue
        if (on := truth_of(value)) is None:
            auto = True
            builder.keep(path, auto_or("neither true nor false", value))
            continue
        if on and chosen == "no":
            chosen = word
            builder.put("training.mixed_precision", word, source=path)
        builder.understood(path, "training.mixed_precision")
    if chosen == "no" and not auto:
        builder.put("training.mixed_precision", "no")
        builder.assume("bf16", "fp32: DeepSpeed does so where neither bf16 nor fp16 is enabled")


def auto_or(otherwise: str, value: Any) -> str:
    """Why a value has no place: it is ``auto``, or otherwise."""
    return "auto: Hugging Face's Trainer fills it in" if value == "auto" else otherwise

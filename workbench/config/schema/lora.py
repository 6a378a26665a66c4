"""`lora`: fine-tuning a few small matrices beside frozen weights (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_NOT_4_BIT = "the frozen weights stay in fp32; 4 bits take kernels for GPUs that are not built"


class LoraConfig(Section):
    """The adapters, and how coarsely the frozen weights are stored (QLoRA, arXiv 2305.14314)."""

    NEEDS = "lora.enabled"

    enabled: bool = key(
        False,
        "Freezes the model and trains two thin matrices beside each chosen one.",
        changes="gradients and optimizer shrink to the adapters, usually below one per cent",
    )
    r: Whole = key(
        16,
        "Rank: the inner width of the two thin matrices.",
        unit="features",
        changes="parameters of the adapters in proportion; what they can learn",
        ge=1,
    )
    alpha: float = key(
        32.0,
        "The adapters' output is multiplied by alpha / r.",
        changes="like a learning rate for the adapters",
        gt=0.0,
    )
    dropout: float = key(
        0.0, "Probability that an input of an adapter is zeroed during training.", ge=0.0, lt=1.0
    )
    target_modules: list[str] = key(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        "Names of the matrices that get adapters: q_proj, a pattern such as "
        "blocks.1?.attention.*, or all-linear.",
        changes="parameters of the adapters; quality",
    )
    bias: Literal["none", "all", "lora_only"] = key(
        "none", "Which biases are trained along with the adapters."
    )
    load_in_4bit: bool = key(
        False,
        "Stores the frozen weights in 4 bits.",
        changes="a quarter of the memory of the weights, slower steps",
        unhonoured=_NOT_4_BIT,
    )
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = key(
        "nf4",
        "The 4-bit format; nf4 suits weights that are spread like a bell.",
        needs="lora.load_in_4bit",
        unhonoured=_NOT_4_BIT,
    )
    bnb_4bit_compute_dtype: Literal["float16", "bfloat16", "float32"] = key(
        "bfloat16",
        "Format that 4-bit weights are unpacked to.",
        needs="lora.load_in_4bit",
        unhonoured=_NOT_4_BIT,
    )
    use_double_quant: bool = key(
        True,
        "Stores the scales of the 4-bit blocks in 8 bits too.",
        changes="saves 0.4 bits per weight",
        needs="lora.load_in_4bit",
        unhonoured=_NOT_4_BIT,
    )

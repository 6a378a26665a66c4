"""`deepspeed.bf16`: what DeepSpeed keeps in bf16 besides the matrix products."""

from __future__ import annotations

from workbench.config.schema.base import Section, key

_BF16 = "unless training.mixed_precision is bf16"


class Bf16Config(Section):
    """training.mixed_precision: bf16 turns it on."""

    NEEDS = "deepspeed.enabled"

    master_weights_and_grads: bool = key(
        False,
        "Keeps weights and gradients in bf16 only, without an fp32 copy.",
        changes="saves 4 bytes per parameter; small updates are lost",
        ignored=_BF16,
    )
    optimizer_states: bool = key(
        False,
        "Keeps the optimizer's averages in bf16.",
        changes="saves 4 bytes per parameter",
        ignored=_BF16,
    )
    immediate_grad_update: bool = key(
        False, "Adds each gradient to the fp32 one as it comes.", changes="memory", ignored=_BF16
    )
    check_grad_overflow: bool = key(
        True, "Looks for non-finite gradients in every step.", ignored=_BF16
    )

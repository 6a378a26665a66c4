"""Where the ledger of memory is known to be less exact than it promises elsewhere.

Everywhere else it is compared with traces of the trainer and held to 0.5 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.config.schema import Config

ROUGH = 0.3
"""Largest relative error that was seen in the plans named here, rounded up."""


def why_rough(config: Config) -> str | None:
    """What makes the memory of a plan less certain; None where it is as exact as it can be."""
    deepspeed, lora = config.deepspeed, config.lora
    if deepspeed.enabled and deepspeed.offload_optimizer.device != "none":
        return (
            "with the optimizer on the host, memory was up to 15 % off in comparisons: DeepSpeed's "
            "copies of gradients on their way are not all counted"
        )
    if deepspeed.enabled and deepspeed.zero_stage in (1, 2) and _largest(config) > _bucket(config):
        return (
            "a weight is larger than deepspeed.reduce_bucket_size: where one was, memory was up to "
            "14 % off in comparisons; a larger bucket makes it exact"
        )
    if lora.enabled and config.parallel.strategy == "fsdp":
        return "adapters under FSDP: of some shapes memory was up to 25 % off in comparisons"
    return None


def _bucket(config: Config) -> int:
    return int(config.deepspeed.reduce_bucket_size)


def _largest(config: Config) -> int:
    """Numbers in the largest weight."""
    model = config.model
    inner = model.intermediate_size * max(1, model.num_experts)
    return model.hidden_size * max(model.vocab_size, inner)

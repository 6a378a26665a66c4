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
    deepspeed = config.deepspeed
    if deepspeed.enabled and deepspeed.offload_optimizer.device != "none":
        return (
            "with the optimizer on the host, memory was up to 15 % off in comparisons: DeepSpeed's "
            "copies of gradients on their way are not all counted"
        )
    return None

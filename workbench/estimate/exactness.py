"""Where the ledger of memory is known to be less exact than it promises elsewhere.

Elsewhere it is compared with traces of the trainer on random plans, and held to 0.5 % there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.config.offload import optimizer_place, parameters_place

if TYPE_CHECKING:
    from workbench.config.schema import Config


class Rough(NamedTuple):
    """Why, and by how much.

    Attributes:
        why: What makes the memory of a plan less certain.
        within: Largest relative error that was seen in such plans, rounded up.
    """

    why: str
    within: float


def why_rough(config: Config) -> Rough | None:
    """What makes the memory of a plan less certain; None where it is as exact as it can be."""
    deepspeed = config.deepspeed
    if not deepspeed.enabled:
        return None
    places = {optimizer_place(deepspeed), parameters_place(deepspeed)}
    if "nvme" in places:
        return Rough(
            "with NVMe offload, files and host memory are those of real runs, but memory of the "
            "device has not been compared",
            0.5,
        )
    if deepspeed.zero_stage == 3:
        return _stage_3(config)
    return None


def _stage_3(config: Config) -> Rough | None:
    """Ways for weights to travel that only several GPUs can go."""
    deepspeed = config.deepspeed
    for name in _UNSEEN:
        if getattr(deepspeed, name) != type(deepspeed).model_fields[name].default:
            return Rough(
                f"deepspeed.{name} is not followed: what it adds or saves has not been compared",
                0.5,
            )
    if deepspeed.bf16.master_weights_and_grads:
        return Rough("stage 3 with weights in bf16 alone has not been compared", 0.5)
    return None


_UNSEEN = (
    "gradient_predivide_factor",
    "stage3_module_granularity_threshold",
    "zero_hpz_partition_size",
    "zero_quantized_weights",
    "zero_quantized_gradients",
)
"""Keys that decide how weights travel under stage 3 and are not followed."""

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


def _stage_3(config: Config) -> Rough:
    """Which weights are whole at a time is not followed from layer to layer."""
    deepspeed = config.deepspeed
    which = "for which weights are whole at a time is not followed from layer to layer"
    for name in _WINDOWS:
        if getattr(deepspeed, name) != type(deepspeed).model_fields[name].default:
            return Rough(
                f"deepspeed.{name}: memory was up to 45 % off in comparisons, {which}", 0.5
            )
    seen = (
        ("over two stacks", 24, 0.3, config.model.model_type == "t5"),
        ("with adapters", 8, 0.1, config.lora.enabled),
        ("with heads for later tokens", 4, 0.1, config.training.mtp.enabled),
        ("that computes blocks again", 5, 0.1, config.training.gradient_checkpointing),
    )
    for what, percent, within, applies in seen:
        if applies:
            words = f"ZeRO stage 3 {what}: memory was up to {percent} % off in comparisons, {which}"
            return Rough(words, within)
    return Rough(
        "ZeRO stage 3: where the peak is in a block, memory was up to 3 % off in comparisons, "
        f"{which}; where it is at the loss, it was exact",
        0.05,
    )


_WINDOWS = (
    "stage3_prefetch_bucket_size",
    "stage3_param_persistence_threshold",
    "stage3_model_persistence_threshold",
    "stage3_max_live_parameters",
    "stage3_max_reuse_distance",
    "stage3_module_granularity_threshold",
    "stage3_use_all_reduce_for_fetch_params",
    "sub_group_size",
    "zero_hpz_partition_size",
    "zero_quantized_weights",
    "zero_quantized_gradients",
)
"""Keys that decide which weights are whole at a time, how they travel, and what is updated at once.
"""

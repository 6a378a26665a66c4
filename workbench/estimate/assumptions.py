"""What the ledger of memory rests on where a run decides more than the plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.exactness import why_rough
from workbench.estimate.network.lengths import lengths_of
from workbench.estimate.planned import notes_of

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config


def memory_assumptions(config: Config, hardware: HardwareProfile | None) -> tuple[str, ...]:
    """Sentences that belong to the memory of a plan.

    Args:
        config: The plan.
        hardware: The device; None is this machine's CPU.
    """
    rough = why_rough(config)
    found = [*notes_of(config)] if rough is None else [*notes_of(config), rough.why]
    data, model = config.data, config.model
    if config.training.compile.enabled:
        found.append(
            "torch.compile fuses operations, and what that saves is not known beforehand: memory "
            "is that of the plain graph, an upper bound"
        )
    alone = data.packing == "none" or data.format.endswith("classification")
    alone = alone or (model.model_type == "t5" and data.format != "text")
    if alone:
        filled = ", some filled up" if lengths_of(config).documents else ""
        found.append(
            f"memory is that of the largest micro-batch: sequences of {data.max_length:,} "
            f"tokens{filled}"
        )
    on_gpu = hardware is not None and hardware.kind != "cpu"
    masked = lengths_of(config).documents or model.sliding_window is not None
    if on_gpu and (masked or model.position_embedding_type == "alibi"):
        found.append(
            "attention with a mask is counted as PyTorch's memory-efficient kernel, or the plain "
            "way where key heads are shared; not yet compared with a GPU"
        )
    return tuple(found)

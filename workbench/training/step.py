"""One optimizer step: forward and backward over its micro-batches, then the norm, then the update.

Shapes: E experts, L layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from workbench.models.base import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.batches import MicroBatch
    from workbench.models.moe import Routing
    from workbench.training.engines.base import Engine


class Measured(NamedTuple):
    """What a step's forward and backward passes found, over all processes, as numbers."""

    loss: float
    """Mean cross-entropy in nats per target, without auxiliary losses."""
    gradient_norm: float
    """Before clipping."""
    norm: torch.Tensor
    """The same, for the engine."""
    targets: int
    """How many tokens were to be predicted in the whole step."""
    parts: dict[str, float]
    """Other terms of the loss, mean per target and without their weights."""
    experts: dict[str, float]
    """``aux_loss``, ``expert_load``, ``dropped`` and perhaps ``z_loss`` of a model with experts."""
    counts_LE: torch.Tensor | None
    """Slots that asked for each expert of each layer; None for a dense model."""
    micro_losses: list[torch.Tensor]
    """The loss sum of each micro-batch of this process, for the message when it is not finite."""

    @property
    def finite(self) -> bool:
        """Whether the gradient may reach the weights."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def compute_gradient(
    engine: Engine, micro_batches: Sequence[MicroBatch], *, wait: bool = False
) -> Measured:
    """Add up the gradient of a step.

    The loss is the sum over all targets divided by the number of targets in the whole step, which
    is known before the first backward pass: 8 micro-batches of 1 sequence are the same step as 1
    micro-batch of 8, and 2 devices with 4 each are too, however many targets each of them has.

    Args:
        engine: Who computes.
        micro_batches: What this process computes of the step.
        wait: Wait for the device after each micro-batch, so that an error of the device comes up in
            the micro-batch that it belongs to.
    """
    world = engine.world
    targets = max(1, int(world.sum([float(sum(each.targets for each in micro_batches))])[0]))
    found = []
    for place, micro in enumerate(micro_batches, start=1):
        batch = to_device(micro, engine.device)
        found.append(engine.accumulate(batch, targets=targets, last=place == len(micro_batches)))
        if wait:
            _wait(engine.device, place)
    norm = engine.gradient_norm()

    loss_sum = torch.zeros((), device=engine.device)
    parts = {name: torch.zeros_like(loss_sum) for name in found[0].parts}
    for losses in found:
        loss_sum += losses.loss_sum.detach()
        for name, value in losses.parts.items():
            parts[name] += value
    sums = world.sum(torch.stack([loss_sum, *parts.values()]).tolist())
    routings = [[layer.detached() for layer in losses.routings] for losses in found]
    experts, counts_LE = _expert_metrics(engine, routings)
    return Measured(
        loss=sums[0] / targets,
        gradient_norm=norm.item(),
        norm=norm,
        targets=targets,
        parts={name: value / targets for name, value in zip(parts, sums[1:], strict=True)},
        experts=experts,
        counts_LE=counts_LE,
        micro_losses=[losses.loss_sum.detach() for losses in found],
    )


def _wait(device: torch.device, micro_batch: int) -> None:
    """Let the device finish; a CPU has nothing under way."""
    if device.type == "cpu":
        return
    try:
        torch.accelerator.synchronize(device)
    except RuntimeError as error:
        error.add_note(f"in micro-batch {micro_batch} of the step")
        raise


def to_device(micro: MicroBatch, device: torch.device) -> Batch:
    """The arrays of a micro-batch as tensors."""

    def move(array: NDArray[np.int64] | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array).to(device)

    return Batch(
        torch.from_numpy(micro.tokens_BT).to(device),
        torch.from_numpy(micro.targets_BT).to(device),
        move(micro.documents_BT),
        move(micro.encoder_tokens_BS),
        move(micro.encoder_documents_BS),
    )


def _expert_metrics(
    engine: Engine, routings: list[list[Routing]]
) -> tuple[dict[str, float], torch.Tensor | None]:
    """How the experts were used, over all micro-batches: balance, busiest expert, dropped share."""
    if not routings[0]:
        return {}, None
    counts_LE = torch.stack(
        [torch.stack([layer.counts_E for layer in micro]) for micro in routings]
    ).sum(dim=0)
    everyone = [layer for micro in routings for layer in micro]
    balance = torch.stack([layer.balance for layer in everyone]).mean().item()
    dropped = float(torch.stack([layer.dropped for layer in everyone]).sum().item())
    squares = [layer.z_loss for layer in everyone if layer.z_loss is not None]
    z_loss = torch.stack(squares).mean().item() if squares else 0.0
    world = engine.world
    if world.size > 1:
        *counts, balance, z_loss, dropped = world.sum(
            [
                *counts_LE.double().flatten().tolist(),
                balance / world.size,
                z_loss / world.size,
                dropped,
            ]
        )
        counts_LE = torch.tensor(counts, device=counts_LE.device).view_as(counts_LE).to(counts_LE)
    load = counts_LE.amax(dim=1) / counts_LE.float().mean(dim=1)
    metrics = {
        "aux_loss": balance,
        "expert_load": load.max().item(),
        "dropped": dropped / counts_LE.sum().item(),
    }
    if squares:
        metrics["z_loss"] = z_loss
    return metrics, counts_LE

"""One optimizer step: forward and backward over its micro-batches, then the norm, then the update.

Shapes: B sequences of a micro-batch, T tokens of a sequence, D width, E experts, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from ava_kernels import linear_cross_entropy
from numpy.typing import NDArray

from workbench.models.moe import Routing

if TYPE_CHECKING:
    from workbench.training.engine import Engine

Batch = Callable[[int], tuple[NDArray[Any], NDArray[Any]]]
"""Gives the inputs and targets (B, T) of a micro-batch of the step."""


class Measured(NamedTuple):
    """What a step's forward and backward passes found, as numbers."""

    loss: float
    """Mean cross-entropy in nats per token, without auxiliary losses."""
    gradient_norm: float
    """Before clipping."""
    norm: torch.Tensor
    """The same, for the engine."""
    experts: dict[str, float]
    """``aux_loss``, ``expert_load`` and ``dropped`` of a model with experts."""


def compute_gradient(engine: Engine, batch: Batch, *, micro_batches: int, tokens: int) -> Measured:
    """Add up the gradient of a step.

    The loss is the sum over all tokens divided by the number of tokens in the whole step, so
    8 micro-batches of 1 sequence are the same step as 1 micro-batch of 8.

    Args:
        engine: Who computes.
        batch: The micro-batches.
        micro_batches: How many there are.
        tokens: Targets in the whole step, over all micro-batches and devices.
    """
    loss_sum = torch.zeros((), device=engine.device)
    routings: list[list[Routing]] = []
    for micro in range(micro_batches):
        inputs_BT, targets_BT = (torch.from_numpy(each).to(engine.device) for each in batch(micro))
        output = engine.model(inputs_BT)
        loss = linear_cross_entropy(
            output.hidden_BTD.flatten(0, 1), engine.model.output_weight_VD, targets_BT.flatten()
        )
        # Auxiliary losses are per token; this micro-batch has so many of the step's.
        auxiliary = sum(routing.loss for routing in output.routings) * targets_BT.numel()
        engine.backward((loss + auxiliary) / tokens, last=micro == micro_batches - 1)
        loss_sum += loss.detach()
        routings.append([Routing(*(each.detach() for each in layer)) for layer in output.routings])
    norm = engine.gradient_norm()
    return Measured(
        loss=engine.total(loss_sum).item() / tokens,
        gradient_norm=norm.item(),
        norm=norm,
        experts=_expert_metrics(routings),
    )


def _expert_metrics(routings: list[list[Routing]]) -> dict[str, float]:
    """How the experts were used, over all micro-batches: balance, busiest expert, dropped share."""
    if not routings[0]:
        return {}
    counts_LE = torch.stack(
        [torch.stack([layer.counts_E for layer in micro]) for micro in routings]
    ).sum(dim=0)
    everyone = [layer for micro in routings for layer in micro]
    return {
        "aux_loss": torch.stack([layer.balance for layer in everyone]).mean().item(),
        "expert_load": (counts_LE.amax(dim=1) / counts_LE.float().mean(dim=1)).max().item(),
        "dropped": (
            torch.stack([layer.dropped for layer in everyone]).sum() / counts_LE.sum()
        ).item(),
    }

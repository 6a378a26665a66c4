"""What is minimised: the model and its loss in one module.

Engines wrap this module and not the model, so that the loss happens inside the wrapped forward
pass: that is where a sharded output matrix is whole, and where DDP watches which weights are used.

Shapes: B sequences, T positions, D width, V vocabulary, K distance beyond the next token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from ava_kernels import linear_cross_entropy, linear_loss
from torch import nn

from workbench.models.base import IGNORE, Batch, LanguageModel
from workbench.training.token_losses import token_loss

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig
    from workbench.models.moe import Routing


class Losses(NamedTuple):
    """The loss of one micro-batch, as sums over its targets: whoever adds them up divides."""

    loss_sum: torch.Tensor
    """Cross-entropy in nats, summed over the targets, fp32."""
    auxiliary: torch.Tensor
    """All other terms, weighted and summed the same way, to be added before the backward pass."""
    parts: dict[str, torch.Tensor]
    """The single terms without their weights, summed the same way and detached, for the curves."""
    routings: list[Routing]
    """What the routers did, first block first."""


class Objective(nn.Module):
    """A language model together with its loss.

    Args:
        model: The network.
        config: Which terms the loss has.
    """

    def __init__(self, model: LanguageModel, config: TrainingConfig) -> None:
        super().__init__()
        self.model = model
        self.mtp = config.mtp
        self.label_smoothing = config.label_smoothing
        self.token_loss = token_loss(config)

    def forward(self, batch: Batch) -> Losses:
        """Compute the loss of a micro-batch."""
        output = self.model(batch)
        parts: dict[str, torch.Tensor] = {}
        if self.training and self.token_loss is not None:
            loss_sum, auxiliary, parts = self._special(output.hidden_BTD, batch.targets_BT)
        else:
            loss_sum = self._cross_entropy(output.hidden_BTD, batch.targets_BT)
            auxiliary = torch.zeros_like(loss_sum)
        if not self.training:
            return Losses(loss_sum, auxiliary, parts, [])
        if self.mtp.enabled and self.mtp.primary_loss_weight != 1:
            auxiliary = auxiliary + (self.mtp.primary_loss_weight - 1) * (loss_sum + auxiliary)
        if output.routings:
            # Routers give a mean per token; this micro-batch has so many of the step's targets.
            targets = (batch.targets_BT != IGNORE).sum()
            auxiliary = (
                auxiliary + torch.stack([each.loss for each in output.routings]).sum() * targets
            )
        for distance, hidden_BTD in enumerate(output.ahead_BTD, start=1):
            ahead = self._cross_entropy(
                hidden_BTD[:, :-distance], targets_ahead(batch, distance).contiguous()
            )
            auxiliary = auxiliary + self._ahead_weight(distance) * ahead
            parts[f"loss_ahead_{distance}"] = ahead.detach()
        return Losses(loss_sum, auxiliary, parts, output.routings)

    def _cross_entropy(self, hidden_BTD: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        return linear_cross_entropy(
            hidden_BTD.flatten(0, 1),
            self.model.output_weight_VD,
            targets_BT.flatten(),
            self.model.output_bias_V,
            label_smoothing=self.label_smoothing if self.training else 0.0,
        )

    def _special(
        self, hidden_BTD: torch.Tensor, targets_BT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """The plain cross-entropy to report, what to add to minimise another, and its parts."""
        assert self.token_loss is not None
        # It differentiates as it goes: what that keeps is needed at once, and not to be moved.
        with torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is):
            total, parts_P = linear_loss(
                hidden_BTD.flatten(0, 1),
                self.model.output_weight_VD,
                targets_BT.flatten(),
                self.model.output_bias_V,
                self.token_loss,
            )
        plain, *others = parts_P.unbind()
        return plain, total - plain, dict(zip(self.token_loss.parts, others, strict=True))

    def _ahead_weight(self, distance: int) -> float:
        weights = self.mtp.loss_weights
        return weights[distance - 1] if weights else self.mtp.loss_weight

    def __call__(self, *args: Any, **kwargs: Any) -> Losses:
        """The same as ``forward``, with hooks."""
        losses: Losses = super().__call__(*args, **kwargs)
        return losses


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def targets_ahead(batch: Batch, distance: int) -> torch.Tensor:
    """The targets (B, T - distance) that lie ``distance`` places beyond the next token.

    None where that is in another document. arXiv 2412.19437, equation 24.
    """
    targets_BT = batch.targets_BT[:, distance:]
    if batch.documents_BT is None:
        return targets_BT
    same = batch.documents_BT[:, distance:] == batch.documents_BT[:, :-distance]
    return targets_BT.where(same, IGNORE)

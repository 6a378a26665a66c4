"""Losses of single tokens beside the plain cross-entropy: `training.losses`.

The cross-entropy stays what is reported as the loss, so that runs with other settings compare; what
is minimised instead, or beside it, is in the parts.

Shapes: C tokens of a chunk, V vocabulary, P parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from workbench.models.base import IGNORE

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig

# arXiv 1708.02002, section 3.2: "gamma = 2 works best".
_FOCUS = 2.0


@dataclass(frozen=True)
class TokenLoss:
    """What is minimised for a token, as `ava_kernels.linear_loss` calls it.

    Attributes:
        focal: Weigh each token by ``(1 - p) ** 2``, p being its probability (arXiv 1708.02002).
        temperature: The logits are divided by it.
        entropy_weight: Reward per nat of entropy (arXiv 1701.06548, equation 3).
        smoothing: Share of each target that is spread over the vocabulary.
    """

    focal: bool
    temperature: float
    entropy_weight: float
    smoothing: float

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the reported sums, after the plain cross-entropy."""
        return ("loss_minimised", "prediction_entropy")

    def __call__(
        self, logits_CV: torch.Tensor, target_C: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum to minimise, and the parts: cross-entropy, the sum again, entropy."""
        keep_C = target_C != IGNORE
        plain = F.cross_entropy(logits_CV.detach(), target_C, ignore_index=IGNORE, reduction="sum")
        log_p_CV = F.log_softmax(logits_CV / self.temperature, dim=-1)
        entropy = -((log_p_CV.exp() * log_p_CV).sum(dim=-1) * keep_C).sum()
        hit_C = F.nll_loss(log_p_CV, target_C, ignore_index=IGNORE, reduction="none")
        loss_C = hit_C
        if self.smoothing:
            spread_C = -log_p_CV.mean(dim=-1) * keep_C
            loss_C = (1 - self.smoothing) * hit_C + self.smoothing * spread_C
        if self.focal:
            loss_C = (1 - torch.exp(-hit_C)).pow(_FOCUS) * loss_C
        total = loss_C.sum() - self.entropy_weight * entropy
        return total, torch.stack([plain, total, entropy])


def token_loss(config: TrainingConfig) -> TokenLoss | None:
    """What the config asks for; None when it is the (smoothed) cross-entropy alone."""
    losses = config.losses
    if not (
        losses.focal_loss or losses.entropy_regularization or losses.initial_temperature != 1.0
    ):
        return None
    return TokenLoss(
        focal=losses.focal_loss,
        temperature=losses.initial_temperature,
        entropy_weight=losses.entropy_regularization,
        smoothing=config.label_smoothing,
    )

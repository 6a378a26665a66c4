"""What every family has in common: what goes in, what comes out, and where the output matrix is.

Shapes: B sequences, T positions, S positions of an encoder, D width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.models.moe import Routing

IGNORE = -100
"""The target of a position where nothing is to be predicted."""

Recompute = Literal["none", "block", "selective"]
"""What the backward pass computes again instead of keeping: nothing, whole blocks, or all of a
block but its matrix products and attention."""


class Batch(NamedTuple):
    """One micro-batch on the device."""

    tokens_BT: torch.Tensor
    """Token ids: of the text, for an encoder of the masked text, for a T5 of its decoder."""
    targets_BT: torch.Tensor
    """The id to predict at each position; `IGNORE` where there is none."""
    documents_BT: torch.Tensor | None = None
    """The number of the document that each position belongs to: attention stays inside it. -1 is
    padding. None: one document, no padding."""
    encoder_tokens_BS: torch.Tensor | None = None
    """What an encoder-decoder reads."""
    encoder_documents_BS: torch.Tensor | None = None
    """The same as ``documents_BT``, for the encoder."""


class ModelOutput(NamedTuple):
    """What a model computed for each position."""

    hidden_BTD: torch.Tensor
    """Times the output matrix: the logits. The loss decides how many of them exist at once."""
    routings: list[Routing]
    """One per block with experts, first block first; empty for a dense model."""
    ahead_BTD: tuple[torch.Tensor, ...] = ()
    """Hidden states of multi-token prediction: item k predicts the target k + 1 places further on
    (arXiv 2412.19437, section 2.2); its last k + 1 positions mean nothing."""


class LanguageModel(nn.Module):
    """A network whose weights are uninitialised until ``init_weights`` or a checkpoint fills them.

    Weights are fp32, matrix products and the residual stream are ``compute_dtype``, by explicit
    casts: nothing depends on an ambient autocast.
    """

    config: ModelConfig
    compute_dtype: torch.dtype
    recompute: Recompute

    def forward(self, batch: Batch) -> ModelOutput:
        """Compute the hidden state of every position."""
        raise NotImplementedError

    @property
    def output_weight_VD(self) -> torch.Tensor:
        """The matrix that turns hidden states into logits."""
        raise NotImplementedError

    @property
    def output_bias_V(self) -> torch.Tensor | None:
        """What is added to the logits; None where nothing is."""
        return None

    def logits(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """The fp32 logits of the positions given."""
        logits_BTV = F.linear(hidden_BTD, self.output_weight_VD.to(hidden_BTD.dtype)).float()
        bias_V = self.output_bias_V
        return logits_BTV if bias_V is None else logits_BTV + bias_V

    def block_list(self) -> list[nn.Module]:
        """The blocks in the order of their work: what is sharded, compiled and recomputed apart."""
        raise NotImplementedError

    def num_parameters(self) -> int:
        """How many numbers the model has; a shared matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def __call__(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """The same as ``forward``, with hooks."""
        output: ModelOutput = super().__call__(*args, **kwargs)
        return output

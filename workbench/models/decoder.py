"""The decoder: embedding, blocks of attention and feed-forward, final norm.

It returns hidden states, not logits: the loss and the sampler decide how many logits exist at once.

Shapes: B batch, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from workbench.models.attention import Attention, KeyValueCache, head_width
from workbench.models.feed_forward import FeedForward
from workbench.models.linear import Linear
from workbench.models.moe import MixtureOfExperts, Routing
from workbench.models.norm import make_norm
from workbench.models.rope import RotaryTable, rotary_table

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class DecoderOutput(NamedTuple):
    """What the decoder computed for each position."""

    hidden_BTD: torch.Tensor
    routings: list[Routing]
    """One per block with experts, first block first; empty for a dense model."""


class Block(nn.Module):
    """Norm, attention, add; norm, feed-forward or experts, add."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = make_norm(config)
        self.dropout = config.hidden_dropout
        self.feed_forward: MixtureOfExperts | FeedForward = (
            MixtureOfExperts(config) if config.num_experts > 1 else FeedForward(config)
        )

    def forward(
        self, x_BTD: torch.Tensor, rotary: RotaryTable, cache: KeyValueCache | None = None
    ) -> tuple[torch.Tensor, Routing | None]:
        """Add to the residual stream twice."""
        routing = None
        y_BTD = self.attention(self.attention_norm(x_BTD), rotary, cache)
        x_BTD = x_BTD + F.dropout(y_BTD, self.dropout, self.training)
        y_BTD = self.feed_forward_norm(x_BTD)
        if isinstance(self.feed_forward, MixtureOfExperts):
            y_BTD, routing = self.feed_forward(y_BTD)
        else:
            y_BTD = self.feed_forward(y_BTD)
        return x_BTD + F.dropout(y_BTD, self.dropout, self.training), routing


class Decoder(nn.Module):
    """A decoder-only language model.

    Its weights are uninitialised until ``init.init_weights`` or a checkpoint fills them.

    Args:
        config: The shape of the model.
        compute_dtype: Dtype of the residual stream and of the matrix products; weights stay fp32.
        gradient_checkpointing: Keep only each block's input and compute the rest again in the
            backward pass.

    Raises:
        ValueError: The shape contradicts itself.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        compute_dtype: torch.dtype = torch.float32,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.gradient_checkpointing = gradient_checkpointing
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.hidden_size))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = make_norm(config)
        self.lm_head = (
            None
            if config.tie_word_embeddings
            else Linear(config.hidden_size, config.vocab_size, bias=False)
        )

    @property
    def output_weight_VD(self) -> torch.Tensor:
        """The matrix that turns hidden states into logits: its own, or the embedding again."""
        return self.embedding if self.lm_head is None else self.lm_head.weight

    def forward(
        self, tokens_BT: torch.Tensor, caches: list[KeyValueCache] | None = None, start: int = 0
    ) -> DecoderOutput:
        """Compute the hidden state of every position.

        Args:
            tokens_BT: Token ids.
            caches: One per block to continue from, for generation.
            start: Position of the first token.
        """
        x_BTD = F.embedding(tokens_BT, self.embedding).to(self.compute_dtype)
        rotary = rotary_table(
            tokens_BT.shape[1],
            head_width(self.config),
            self.config.rope_theta,
            start=start,
            device=x_BTD.device,
        )
        routings = []
        for index, block in enumerate(self.blocks):
            if self.gradient_checkpointing and self.training:
                x_BTD, routing = checkpoint(block, x_BTD, rotary, use_reentrant=False)
            else:
                x_BTD, routing = block(x_BTD, rotary, caches[index] if caches else None)
            if routing is not None:
                routings.append(routing)
        return DecoderOutput(self.norm(x_BTD), routings)

    def logits(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """The fp32 logits of the positions given."""
        weight_VD = self.output_weight_VD.to(hidden_BTD.dtype)
        return F.linear(hidden_BTD, weight_VD).float()

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())

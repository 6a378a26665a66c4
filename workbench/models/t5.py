"""T5: an encoder that reads one text and a decoder that writes another (arXiv 1910.10683).

Order is told by a number per head and distance that is added to the scores; far distances share
buckets. The scores are not divided by the root of the head width: the queries start smaller
instead. T5 1.0 has relu and one matrix for embedding and output, whose hidden states it scales
down; T5 1.1 (arXiv 2002.05202) has a gelu gate and an output matrix of its own.

Shapes: B sequences, S positions of the encoder, T positions of the decoder, D width, H heads,
K head width, V vocabulary, N buckets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from workbench.config.huggingface.t5 import BUCKETS, FARTHEST
from workbench.models.attend import attend
from workbench.models.attention import head_width
from workbench.models.base import Batch, LanguageModel, ModelOutput, Recompute
from workbench.models.feed_forward import activate, is_gated
from workbench.models.linear import Linear
from workbench.models.norm import RMSNorm
from workbench.models.recompute import run_block
from workbench.models.sight import EVERYTHING, Sight

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class Seen(NamedTuple):
    """What the decoder's blocks read beside their own text."""

    memory_BSD: torch.Tensor
    """What the encoder made of its text."""
    sight: Sight


class T5Attention(nn.Module):
    """Attention without biases and without a scale; over itself, or over another text."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.implementation = config.attention_implementation
        width, inner = config.hidden_size, self.heads * head_width(config)
        self.q_proj = Linear(width, inner)
        self.k_proj = Linear(width, inner)
        self.v_proj = Linear(width, inner)
        self.o_proj = Linear(inner, width)

    def forward(self, x_BTD: torch.Tensor, y_BSD: torch.Tensor, sight: Sight) -> torch.Tensor:
        """Look from ``x_BTD`` at ``y_BSD``."""

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.view(*y.shape[:2], self.heads, -1)

        y_BTHK = attend(
            heads(self.q_proj(x_BTD)),
            heads(self.k_proj(y_BSD)),
            heads(self.v_proj(y_BSD)),
            sight,
            scale=1.0,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.implementation,
        )
        return self.o_proj(y_BTHK.flatten(2))  # type: ignore[no-any-return]


class T5FeedForward(nn.Module):
    """The feed-forward network: with dropout inside, and a gate of its own kind of gelu."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        # The gate of T5 1.1 is the approximation by tanh.
        self.kind = "gelu_new" if config.hidden_act == "geglu" else config.hidden_act
        self.dropout = config.hidden_dropout
        self.gate_proj = Linear(width, inner) if is_gated(config) else None
        self.up_proj = Linear(width, inner)
        self.down_proj = Linear(inner, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Apply the network to each position on its own."""
        y_BTF = self.up_proj(x_BTD)
        if self.gate_proj is None:
            y_BTF = activate(y_BTF, self.kind)
        else:
            y_BTF = activate(self.gate_proj(x_BTD), self.kind) * y_BTF
        y_BTF = F.dropout(y_BTF, self.dropout, self.training)
        return self.down_proj(y_BTF)  # type: ignore[no-any-return]


class T5Block(nn.Module):
    """Attention, in the decoder also over the encoder's text, and a feed-forward network."""

    def __init__(self, config: ModelConfig, *, decoder: bool) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.dropout = config.hidden_dropout
        self.attention_norm = RMSNorm(width, eps)
        self.attention = T5Attention(config)
        self.cross_norm = RMSNorm(width, eps) if decoder else None
        self.cross_attention = T5Attention(config) if decoder else None
        self.feed_forward_norm = RMSNorm(width, eps)
        self.feed_forward = T5FeedForward(config)

    def forward(self, x_BTD: torch.Tensor, sight: Sight, seen: Seen | None = None) -> torch.Tensor:
        """Add to the residual stream two or three times."""
        normed_BTD = self.attention_norm(x_BTD)
        x_BTD = x_BTD + self._drop(self.attention(normed_BTD, normed_BTD, sight))
        if self.cross_norm is not None and self.cross_attention is not None:
            assert seen is not None
            y_BTD = self.cross_attention(self.cross_norm(x_BTD), seen.memory_BSD, seen.sight)
            x_BTD = x_BTD + self._drop(y_BTD)
        return x_BTD + self._drop(self.feed_forward(self.feed_forward_norm(x_BTD)))

    def _drop(self, y_BTD: torch.Tensor) -> torch.Tensor:
        return F.dropout(y_BTD, self.dropout, self.training)


class T5(LanguageModel):
    """An encoder and a decoder.

    Args:
        config: The shape of the model.
        compute_dtype: Dtype of the residual stream and of the matrix products; weights stay fp32.
        recompute: What the backward pass computes again.

    Raises:
        ValueError: The shape contradicts itself.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        compute_dtype: torch.dtype = torch.float32,
        recompute: Recompute = "none",
    ) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.recompute = recompute
        width, eps = config.hidden_size, config.layer_norm_eps
        heads = config.num_attention_heads
        read = config.num_encoder_layers or config.num_layers
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        self.encoder_distances = nn.Parameter(torch.empty(BUCKETS, heads))
        self.encoder_blocks = nn.ModuleList(T5Block(config, decoder=False) for _ in range(read))
        self.encoder_norm = RMSNorm(width, eps)
        self.distances = nn.Parameter(torch.empty(BUCKETS, heads))
        self.blocks = nn.ModuleList(T5Block(config, decoder=True) for _ in range(config.num_layers))
        self.norm = RMSNorm(width, eps)
        self.lm_head = None if config.tie_word_embeddings else Linear(width, config.vocab_size)

    @property
    def output_weight_VD(self) -> torch.Tensor:
        """The embedding again, or a matrix of its own."""
        return self.embedding if self.lm_head is None else self.lm_head.weight

    def block_list(self) -> list[nn.Module]:
        """The blocks of the encoder, then those of the decoder."""
        return [*self.encoder_blocks, *self.blocks]

    def forward(self, batch: Batch) -> ModelOutput:
        """Compute the hidden state of every position of the decoder.

        Raises:
            ValueError: The batch has nothing for the encoder.
        """
        if batch.encoder_tokens_BS is None:
            raise ValueError("a t5 needs a text for its encoder: Batch.encoder_tokens_BS")
        memory_BSD = self.encode(batch.encoder_tokens_BS, batch.encoder_documents_BS)
        return self.decode(
            batch.tokens_BT, memory_BSD, batch.documents_BT, batch.encoder_documents_BS
        )

    def encode(
        self, tokens_BS: torch.Tensor, documents_BS: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the encoder makes of its text (B, S, D)."""
        x_BSD = self._embed(tokens_BS)
        visible = None if documents_BS is None else _same(documents_BS, documents_BS)
        sight = self._sight(self.encoder_distances, x_BSD, visible, both_ways=True)
        for block in self.encoder_blocks:
            x_BSD = run_block(block, self.recompute, x_BSD, sight)
        return self._drop(self.encoder_norm(x_BSD))

    def decode(
        self,
        tokens_BT: torch.Tensor,
        memory_BSD: torch.Tensor,
        documents_BT: torch.Tensor | None = None,
        encoder_documents_BS: torch.Tensor | None = None,
    ) -> ModelOutput:
        """The hidden states of the decoder, scaled as the output matrix wants them."""
        x_BTD = self._embed(tokens_BT)
        length, device = tokens_BT.shape[1], tokens_BT.device
        visible = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None]
        if documents_BT is not None:
            visible = visible & _same(documents_BT, documents_BT)
        sight = self._sight(self.distances, x_BTD, visible, both_ways=False)
        seen = Seen(memory_BSD, _across(documents_BT, encoder_documents_BS))
        for block in self.blocks:
            x_BTD = run_block(block, self.recompute, x_BTD, sight, seen)
        hidden_BTD = self._drop(self.norm(x_BTD))
        if self.lm_head is None:  # so that the embedding gives logits of about unit size
            hidden_BTD = hidden_BTD * self.config.hidden_size**-0.5
        return ModelOutput(hidden_BTD, [])

    def _embed(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        x_BTD = F.embedding(tokens_BT, self.embedding)
        x_BTD = F.dropout(x_BTD, self.config.embedding_dropout, self.training)
        return x_BTD.to(self.compute_dtype)

    def _drop(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return F.dropout(x_BTD, self.config.hidden_dropout, self.training)

    def _sight(
        self,
        distances_NH: torch.Tensor,
        x_BTD: torch.Tensor,
        visible_BTT: torch.Tensor | None,
        *,
        both_ways: bool,
    ) -> Sight:
        """What the distance adds to each score, and minus infinity where nothing is seen."""
        place_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        bucket_TT = bucket(place_T[None] - place_T[:, None], both_ways=both_ways)
        mask = F.embedding(bucket_TT, distances_NH).permute(2, 0, 1)[None]
        if visible_BTT is not None:
            mask = mask.masked_fill(~visible_BTT[:, None], -math.inf)
        return Sight(causal=False, mask=mask)


def bucket(distance: torch.Tensor, *, both_ways: bool) -> torch.Tensor:
    """The bucket of each distance, key position minus query position (section 2.1).

    Half of the buckets are for single distances, the other half for spans that grow with the
    logarithm up to `FARTHEST`. If a text is read both ways, half of them all are for what follows.
    """
    buckets = BUCKETS // 2 if both_ways else BUCKETS
    offset = (distance > 0) * buckets if both_ways else torch.zeros_like(distance)
    far = distance.abs() if both_ways else (-distance).clamp(min=0)
    exact = buckets // 2
    growth = torch.log(far.clamp(min=1).float() / exact) / math.log(FARTHEST / exact)
    coarse = exact + (growth * (buckets - exact)).long()
    return offset + torch.where(far < exact, far, coarse.clamp(max=buckets - 1))


def _same(one_BT: torch.Tensor, other_BS: torch.Tensor) -> torch.Tensor:
    """Who is in the same document (B, T, S)."""
    return one_BT[:, :, None] == other_BS[:, None, :]


def _across(documents_BT: torch.Tensor | None, encoder_documents_BS: torch.Tensor | None) -> Sight:
    """What the decoder sees of the encoder: its own document. Padding sees all: no empty row."""
    if encoder_documents_BS is None:
        return EVERYTHING
    if documents_BT is None:
        visible_BTS = (encoder_documents_BS >= 0)[:, None]
    else:
        visible_BTS = _same(documents_BT, encoder_documents_BS) | (documents_BT < 0)[:, :, None]
    return Sight(causal=False, mask=visible_BTS[:, None])

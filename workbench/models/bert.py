"""BERT: an encoder that reads a whole text at once (arXiv 1810.04805).

Every position sees both sides, so it cannot be trained to predict the next token: some tokens are
hidden and it fills them in. Fine-tuning puts another head on the same encoder: a class for the
sequence, predicted at its first position, or a class for every token.

Shapes: B sequences, T positions, D width, V vocabulary, or classes of a classifying head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.attention import Attention, Where, rotary_width
from workbench.models.base import Batch, LanguageModel, ModelOutput, Recompute
from workbench.models.feed_forward import FeedForward, activate
from workbench.models.linear import Linear
from workbench.models.norm import make_norm
from workbench.models.recompute import run_block
from workbench.models.rope import rotary_table
from workbench.models.sight import positions_in_documents, see

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

# Published weights tell the first text of a pair from the second; a batch of ours has one text.
_KINDS_OF_TEXT = 2


class EncoderBlock(nn.Module):
    """Attention, then a feed-forward network, each added and then normed (post-norm)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = config.hidden_dropout
        self.attention = Attention(config)
        self.attention_norm = make_norm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = make_norm(config)

    def forward(self, x_BTD: torch.Tensor, where: Where) -> torch.Tensor:
        """Add to the residual stream twice, and norm it each time."""
        y_BTD = self.attention(x_BTD, where)
        x_BTD = self.attention_norm(x_BTD + F.dropout(y_BTD, self.dropout, self.training))
        y_BTD = self.feed_forward(x_BTD)
        y_BTD = F.dropout(y_BTD, self.dropout, self.training)
        return self.feed_forward_norm(x_BTD + y_BTD)  # type: ignore[no-any-return]


class MaskedHead(nn.Module):
    """What comes before the output matrix when hidden tokens are filled in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.hidden_act
        self.dense_proj = Linear(config.hidden_size, config.hidden_size, bias=True)
        self.norm = make_norm(config)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Transform every position."""
        return self.norm(activate(self.dense_proj(x_BTD), self.kind))  # type: ignore[no-any-return]


class SequenceHead(nn.Module):
    """What comes before the matrix of the classes when a whole sequence gets one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = config.hidden_dropout
        self.pooler_proj = Linear(config.hidden_size, config.hidden_size, bias=True)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """The first position speaks for the sequence; the others become zeros."""
        first_B1D = self.pooler_proj(x_BTD[:, :1]).tanh()
        first_B1D = F.dropout(first_B1D, self.dropout, self.training)
        return F.pad(first_B1D, (0, 0, 0, x_BTD.shape[1] - 1))


class TokenHead(nn.Module):
    """What comes before the matrix of the classes when every token gets one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = config.hidden_dropout

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Dropout alone."""
        return F.dropout(x_BTD, self.dropout, self.training)


class Bert(LanguageModel):
    """A bidirectional encoder with one head.

    Norm, activation, biases and positions are what the config says; the published weights have
    layernorm, gelu, biases and learned positions. With ``model.head: classification`` the class of
    a sequence is the target of its first position, and all other positions have none.

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
        width = config.hidden_size
        positions = config.position_embedding_type
        self.rotary_width = rotary_width(config) if positions == "rope" else 0
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        self.position_embedding = (
            nn.Parameter(torch.empty(config.max_position_embeddings, width))
            if positions == "learned"
            else None
        )
        self.text_embedding = nn.Parameter(torch.empty(_KINDS_OF_TEXT, width))
        self.embedding_norm = make_norm(config)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.num_layers))
        self.head: MaskedHead | SequenceHead | TokenHead
        self.output: Linear | None
        self.output_bias: nn.Parameter | None = None
        if config.head == "language":
            self.head = MaskedHead(config)
            tied = config.tie_word_embeddings
            self.output = None if tied else Linear(width, config.vocab_size)
            classes = config.vocab_size
        else:
            whole = config.head == "classification"
            self.head = SequenceHead(config) if whole else TokenHead(config)
            self.output = Linear(width, config.num_labels)
            classes = config.num_labels
        self.output_bias = nn.Parameter(torch.empty(classes))

    @property
    def output_weight_VD(self) -> torch.Tensor:
        """The embedding again, or the matrix of the classes."""
        return self.embedding if self.output is None else self.output.weight

    @property
    def output_bias_V(self) -> torch.Tensor | None:
        """What is added to the logits."""
        return self.output_bias

    def block_list(self) -> list[nn.Module]:
        """The blocks, first to last."""
        return list(self.blocks)

    def forward(self, batch: Batch) -> ModelOutput:
        """Compute what the head knows about every position of a micro-batch."""
        config, tokens_BT, documents_BT = self.config, batch.tokens_BT, batch.documents_BT
        length, device = tokens_BT.shape[1], tokens_BT.device
        x_BTD = F.embedding(tokens_BT, self.embedding) + self.text_embedding[0]
        if self.position_embedding is not None:
            place = (
                torch.arange(length, device=device)
                if documents_BT is None
                else positions_in_documents(documents_BT)
            )
            x_BTD = x_BTD + F.embedding(place, self.position_embedding)
        x_BTD = self.embedding_norm(x_BTD)
        x_BTD = F.dropout(x_BTD, config.embedding_dropout, self.training).to(self.compute_dtype)
        where = Where(
            rotary=rotary_table(
                length,
                self.rotary_width,
                config.rope_theta,
                interleaved=config.rope_interleaved,
                scaling=config.rope_scaling,
                trained_length=config.max_position_embeddings,
                device=device,
            )
            if self.rotary_width
            else None,
            sight=see(
                length,
                causal=False,
                window=config.sliding_window,
                documents_BT=documents_BT,
                alibi_heads=config.num_attention_heads
                if config.position_embedding_type == "alibi"
                else None,
                device=device,
            ),
        )
        for block in self.blocks:
            x_BTD = run_block(block, self.recompute, x_BTD, where)
        return ModelOutput(self.head(x_BTD), [])

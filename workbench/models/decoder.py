"""The decoder: embedding, blocks of attention and feed-forward, final norm.

One network, many families: Llama, Mistral, Mixtral, Qwen, GPT-2, GPT-J, GPT-NeoX and Ava's own
differ in the keys of ``model``, not in code of their own. It returns hidden states, not logits: the
loss and the sampler decide how many logits exist at once.

Shapes: B batch, T positions, D width, V vocabulary, P longest sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.attention import Attention, KeyValueCache, Where, rotary_width
from workbench.models.base import Batch, LanguageModel, ModelOutput, Recompute
from workbench.models.feed_forward import FeedForward
from workbench.models.linear import Linear
from workbench.models.mla import LatentAttention
from workbench.models.moe import MixtureOfExperts, Routing, has_experts
from workbench.models.mtp import AheadBlock, make_heads, shifted
from workbench.models.norm import make_norm
from workbench.models.recompute import run_block
from workbench.models.rope import RotaryTable, rotary_table
from workbench.models.sight import positions_in_documents, see

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig


class Block(nn.Module):
    """Attention and a feed-forward network or experts, each behind a norm, each added.

    The feed-forward network reads what attention has added to (``sequential``) or, in parallel, the
    same input as attention (GPT-J and GPT-NeoX, arXiv 2204.06745, section 2.1).
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        shared = config.residual_type == "parallel_shared_norm"
        self.parallel = config.residual_type != "sequential"
        self.dropout = config.hidden_dropout
        self.attention_norm = make_norm(config)
        self.attention: Attention | LatentAttention = (
            LatentAttention(config) if config.mla.enabled else Attention(config)
        )
        self.feed_forward_norm = None if shared else make_norm(config)
        self.feed_forward: MixtureOfExperts | FeedForward = (
            MixtureOfExperts(config) if has_experts(config, layer) else FeedForward(config)
        )

    def forward(
        self, x_BTD: torch.Tensor, where: Where, cache: KeyValueCache | None = None
    ) -> tuple[torch.Tensor, Routing | None]:
        """Add to the residual stream twice."""
        normed_BTD = self.attention_norm(x_BTD)
        y_BTD = self.attention(normed_BTD, where, cache)
        after_BTD = x_BTD + F.dropout(y_BTD, self.dropout, self.training)
        if self.feed_forward_norm is not None:
            normed_BTD = self.feed_forward_norm(x_BTD if self.parallel else after_BTD)
        routing = None
        if isinstance(self.feed_forward, MixtureOfExperts):
            y_BTD, routing = self.feed_forward(normed_BTD, where.present_BT)
        else:
            y_BTD = self.feed_forward(normed_BTD)
        return after_BTD + F.dropout(y_BTD, self.dropout, self.training), routing


class Decoder(LanguageModel):
    """A decoder-only language model.

    Its weights are uninitialised until ``init.init_weights`` or a checkpoint fills them.

    Args:
        config: The shape of the model.
        compute_dtype: Dtype of the residual stream and of the matrix products; weights stay fp32.
        recompute: What the backward pass computes again.
        mtp: Heads that predict the tokens after the next one, while training.

    Raises:
        ValueError: The shape contradicts itself.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        compute_dtype: torch.dtype = torch.float32,
        recompute: Recompute = "none",
        mtp: MtpConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.recompute = recompute
        width = config.hidden_size
        self.rotary_width = 0
        if config.position_embedding_type == "rope":
            self.rotary_width = (
                config.mla.qk_rope_head_dim if config.mla.enabled else rotary_width(config)
            )
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        self.position_embedding = (
            nn.Parameter(torch.empty(config.max_position_embeddings, width))
            if config.position_embedding_type == "learned"
            else None
        )
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = make_norm(config)
        self.lm_head = (
            None if config.tie_word_embeddings else Linear(width, config.vocab_size, bias=False)
        )
        self.lm_head_bias = (
            nn.Parameter(torch.empty(config.vocab_size)) if config.lm_head_bias else None
        )
        self.mtp = (
            make_heads(config, mtp, lambda: Block(config, config.num_layers))
            if mtp is not None and mtp.enabled
            else None
        )

    @property
    def output_weight_VD(self) -> torch.Tensor:
        """The matrix that turns hidden states into logits: its own, or the embedding again."""
        return self.embedding if self.lm_head is None else self.lm_head.weight

    @property
    def output_bias_V(self) -> torch.Tensor | None:
        """What is added to the logits."""
        return self.lm_head_bias

    def block_list(self) -> list[nn.Module]:
        """The blocks, first to last, and the heads of multi-token prediction."""
        return [*self.blocks, *(self.mtp or ())]

    def new_caches(self) -> list[KeyValueCache]:
        """Empty caches for `hidden`."""
        return [KeyValueCache() for _ in self.blocks]

    def forward(self, batch: Batch) -> ModelOutput:
        """Compute the hidden state of every position of a micro-batch."""
        return self.hidden(batch.tokens_BT, documents_BT=batch.documents_BT)

    def hidden(
        self,
        tokens_BT: torch.Tensor,
        caches: list[KeyValueCache] | None = None,
        start: int = 0,
        *,
        documents_BT: torch.Tensor | None = None,
    ) -> ModelOutput:
        """Compute the hidden state of every position.

        Args:
            tokens_BT: Token ids.
            caches: One per block to continue from, for generation.
            start: Position of the first token; so many are in the caches.
            documents_BT: The document of each position; attention stays inside it.
        """
        config, length = self.config, tokens_BT.shape[1]
        embedded_BTD = x_BTD = F.embedding(tokens_BT, self.embedding)
        if self.position_embedding is not None:
            place = (
                torch.arange(start, start + length, device=tokens_BT.device)
                if documents_BT is None
                else positions_in_documents(documents_BT)
            )
            x_BTD = x_BTD + F.embedding(place, self.position_embedding)
        x_BTD = F.dropout(x_BTD, config.embedding_dropout, self.training).to(self.compute_dtype)
        where = Where(
            rotary=self._rotary(start, length, x_BTD.device),
            sight=see(
                length,
                seen=start if caches else 0,
                window=config.sliding_window,
                documents_BT=documents_BT,
                alibi_heads=config.num_attention_heads
                if config.position_embedding_type == "alibi"
                else None,
                device=x_BTD.device,
            ),
            present_BT=None if documents_BT is None else documents_BT >= 0,
        )
        routings = []
        for index, block in enumerate(self.blocks):
            cache = caches[index] if caches else None
            x_BTD, routing = run_block(block, self.recompute, x_BTD, where, cache)
            if routing is not None:
                routings.append(routing)
        hidden_BTD = self.norm(x_BTD)
        if self.mtp is None or not self.training:
            return ModelOutput(hidden_BTD, routings)
        ahead_BTD = self._ahead(self.mtp, hidden_BTD, embedded_BTD, where, routings)
        return ModelOutput(hidden_BTD, routings, ahead_BTD)

    def _ahead(
        self,
        heads: nn.ModuleList,
        hidden_BTD: torch.Tensor,
        embedded_BTD: torch.Tensor,
        where: Where,
        routings: list[Routing],
    ) -> tuple[torch.Tensor, ...]:
        """What each head of multi-token prediction makes of the last hidden state."""
        embedded_BTD = embedded_BTD.to(hidden_BTD.dtype)
        found, known_BTD = [], hidden_BTD
        for distance, head in enumerate(heads, start=1):
            if isinstance(head, AheadBlock):
                ahead_BTD = shifted(embedded_BTD, distance)
                known_BTD, routing = run_block(head, self.recompute, known_BTD, ahead_BTD, where)
                if routing is not None:
                    routings.append(routing)
                found.append(known_BTD)
            else:
                found.append(run_block(head, self.recompute, hidden_BTD))
        return tuple(found)

    def _rotary(self, start: int, length: int, device: torch.device) -> RotaryTable | None:
        if not self.rotary_width:
            return None
        config = self.config
        return rotary_table(
            length,
            self.rotary_width,
            config.rope_theta,
            start=start,
            interleaved=config.rope_interleaved,
            scaling=config.rope_scaling,
            trained_length=config.max_position_embeddings,
            device=device,
        )

"""How many parameters a network has, in closed form: no network is built to count them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters of a network.

    Attributes:
        total: All of them.
        active: Those that one token meets: of the experts only the chosen and the shared ones.
        embedding: Those of the token and position embeddings; the output matrix is not among them.
        block: Those of the largest block.
    """

    total: int
    active: int
    embedding: int
    block: int


def size_of(model: ModelConfig) -> Size:
    """The size of a network; extra training heads and small feature routers are not counted."""
    if model.model_type == "t5":
        return _two_stacks(model)
    width = model.hidden_size
    norm = width if model.norm_type == "rmsnorm" else 2 * width
    attention = _latent_attention(model) if model.mla.enabled else _attention(model)
    dense = _feed_forward(model, model.intermediate_size)
    expert = _feed_forward(model, expert_width(model))
    # Shared experts are one network as wide as all of them.
    inner = model.moe.num_shared_experts * (
        model.moe.shared_intermediate_size or expert_width(model)
    )
    shared = _feed_forward(model, inner) if inner else 0
    router = width * model.num_experts
    frame = attention + (1 if model.residual_type == "parallel_shared_norm" else 2) * norm
    routed = frame + router + model.num_experts * expert + shared
    visited = frame + router + min(model.num_experts_per_token, model.num_experts) * expert + shared
    moe_layers = num_expert_layers(model)
    dense_layers = model.num_layers - moe_layers

    embedding = model.vocab_size * width
    output = 0 if model.tie_word_embeddings else embedding
    output += model.vocab_size if model.lm_head_bias else 0
    if model.position_embedding_type == "learned":
        embedding += model.max_position_embeddings * width
    crossed = model.num_cross_attention_layers if model.use_cross_attention else 0
    if model.model_type == "bert":
        output = _bert_ends(model, norm, output)
    ends = embedding + output + norm + crossed * (attention + norm)
    return Size(
        total=ends + dense_layers * (frame + dense) + moe_layers * routed,
        active=ends + dense_layers * (frame + dense) + moe_layers * visited,
        embedding=embedding,
        block=max(routed if moe_layers else 0, frame + dense if dense_layers else 0),
    )


def num_expert_layers(model: ModelConfig) -> int:
    """How many blocks have experts."""
    if model.num_experts == 1:
        return 0
    layers, interval = model.num_layers, model.moe.dense_layer_interval
    first = min(model.moe.num_dense_layers, layers)
    # Layer 0 and every interval-th after it are dense.
    dense = -(-layers // interval) + (-first // interval) if interval else 0
    return layers - first - dense


def expert_width(model: ModelConfig) -> int:
    """Inner width of a routed expert."""
    return model.moe.expert_intermediate_size or model.intermediate_size


def head_width(model: ModelConfig) -> int:
    """Width of one attention head."""
    return model.head_dim or model.hidden_size // model.num_attention_heads


def _attention(model: ModelConfig) -> int:
    width = model.hidden_size
    queries = model.num_attention_heads * head_width(model)
    keys = (model.num_key_value_heads or model.num_attention_heads) * head_width(model)
    bias = queries + 2 * keys if model.attention_bias else 0
    out_bias = model.attention_out_bias
    bias += width if (model.attention_bias if out_bias is None else out_bias) else 0
    norms = 2 * head_width(model) if model.qk_norm else 0
    return width * queries + 2 * width * keys + queries * width + bias + norms


def _latent_attention(model: ModelConfig) -> int:
    """Multi-head latent attention (arXiv 2405.04434, section 2.1), with its two norms."""
    width, heads, mla = model.hidden_size, model.num_attention_heads, model.mla
    query = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    queries = width * query
    if mla.q_lora_rank is not None:
        queries = mla.q_lora_rank * (width + 1 + query)
    down = width * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    up = mla.kv_lora_rank * (1 + heads * (mla.qk_nope_head_dim + mla.v_head_dim))
    bias = 0
    if model.attention_bias:
        bias = (mla.q_lora_rank or 0) + mla.kv_lora_rank + mla.qk_rope_head_dim
    if model.attention_bias if model.attention_out_bias is None else model.attention_out_bias:
        bias += width
    return queries + down + up + heads * mla.v_head_dim * width + bias


def _bert_ends(model: ModelConfig, norm: int, output: int) -> int:
    """Two kinds of text and a head: what a bert has besides its blocks and embedding."""
    width = model.hidden_size
    dense = width * width + width
    if model.head == "language":
        head = dense + norm + output + model.vocab_size
    else:
        head = model.num_labels * (width + 1)
        head += dense if model.head == "classification" else 0
    return 2 * width + head


def _two_stacks(model: ModelConfig) -> Size:
    """A t5 (arXiv 1910.10683, section 2.1): no biases, and 32 distances per head and stack."""
    width = model.hidden_size
    attention = 4 * width * model.num_attention_heads * head_width(model)
    matrices = 3 if model.hidden_act in ("swiglu", "geglu") else 2
    inner = matrices * width * model.intermediate_size
    reads, writes = attention + inner + 2 * width, 2 * attention + inner + 3 * width
    layers = (model.num_encoder_layers or model.num_layers) * reads + model.num_layers * writes
    embedding = model.vocab_size * width
    output = 0 if model.tie_word_embeddings else embedding
    total = embedding + output + 2 * 32 * model.num_attention_heads + 2 * width + layers
    return Size(total=total, active=total, embedding=embedding, block=writes)


def _feed_forward(model: ModelConfig, inner: int) -> int:
    matrices = 3 if model.hidden_act in ("swiglu", "geglu") else 2
    bias = (matrices - 1) * inner + model.hidden_size if model.mlp_bias else 0
    return matrices * model.hidden_size * inner + bias

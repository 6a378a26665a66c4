"""The linear layers of a network by the names that they have when it is built.

`lora.target_modules` chooses among them. What an adapter adds follows from their widths alone, so
no network is built to count it.
"""

from __future__ import annotations

import fnmatch
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from workbench.config.remembered import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.config.schema import LoraConfig, ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig

ALL_LINEAR = "all-linear"
GATED = ("swiglu", "geglu")
NEVER_ADAPTED = ("output",)
"""Layers without an adapter: the loss reads the matrix itself, and never calls the layer."""
Kind = Literal["dense", "routed", "encoder", "decoder", "ahead", "head"]
"""Kinds of parts: blocks without and with experts, those of a t5, heads of multi-token prediction,
and what comes after the blocks."""


class Linear(NamedTuple):
    """A linear layer inside its part of a network.

    Attributes:
        name: Its name inside the part: ``attention.q_proj``.
        inputs: Width of what it reads.
        outputs: Width of what it makes.
        bias: Whether it has one.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool


class Group(NamedTuple):
    """Parts of a network that are alike.

    Attributes:
        kind: What they are.
        prefix: What stands before the name of a layer, with a place for the number of the part.
        places: The numbers of the parts.
        linears: The layers of one.
    """

    kind: Kind
    prefix: str
    places: Sequence[int]
    linears: tuple[Linear, ...]


def head_width(model: ModelConfig) -> int:
    """Width of one attention head."""
    return model.head_dim or model.hidden_size // model.num_attention_heads


def expert_width(model: ModelConfig) -> int:
    """Inner width of a routed expert."""
    return model.moe.expert_intermediate_size or model.intermediate_size


def shared_width(model: ModelConfig) -> int:
    """Inner width of the shared experts: one network as wide as all of them."""
    moe = model.moe
    return moe.num_shared_experts * (moe.shared_intermediate_size or expert_width(model))


def has_experts(model: ModelConfig, layer: int) -> bool:
    """Whether a layer, counted from 0, has experts instead of one feed-forward network."""
    interval = model.moe.dense_layer_interval
    return (
        model.num_experts > 1
        and layer >= model.moe.num_dense_layers
        and (interval is None or layer % interval != 0)
    )


def layers_with_experts(model: ModelConfig) -> tuple[bool, ...]:
    """`has_experts` of each layer."""
    moe = model.moe
    return _with_experts(
        model.num_layers, model.num_experts, moe.num_dense_layers, moe.dense_layer_interval
    )


@lru_cache(maxsize=256)
def _with_experts(layers: int, experts: int, first: int, interval: int | None) -> tuple[bool, ...]:
    return tuple(
        experts > 1 and layer >= first and (interval is None or layer % interval != 0)
        for layer in range(layers)
    )


@remembered
def groups_of(model: ModelConfig, mtp: MtpConfig | None = None) -> tuple[Group, ...]:
    """The linear layers, without a ``lm_head``. All but `NEVER_ADAPTED` can have an adapter."""
    return tuple(_groups(model, mtp))


def _groups(model: ModelConfig, mtp: MtpConfig | None) -> Iterator[Group]:
    if model.model_type == "t5":
        yield from _two_stacks(model)
        return
    attention = _attention(model)
    dense = (*attention, *_feed_forward(model, model.intermediate_size))
    layers = range(model.num_layers)
    if model.model_type == "bert":
        yield Group("dense", "blocks.{}.", layers, dense)
        yield Group("head", "", (0,), _bert_head(model))
        return
    inner = shared_width(model)
    routed = (*attention, *(_feed_forward(model, inner, "feed_forward.shared") if inner else ()))
    has = layers_with_experts(model) if model.num_experts > 1 else ()
    visited = [n for n, there in enumerate(has) if there]
    if len(visited) < len(layers):
        others = [n for n, there in enumerate(has) if not there] if visited else layers
        yield Group("dense", "blocks.{}.", others, dense)
    if visited:
        yield Group("routed", "blocks.{}.", visited, routed)
    if mtp is not None and mtp.enabled:
        block = routed if has_experts(model, model.num_layers) else dense
        places = range(mtp.num_future_tokens)
        yield Group("ahead", "mtp.{}.", places, tuple(_ahead(model, mtp, block)))


def adapter_sizes(
    model: ModelConfig, lora: LoraConfig, mtp: MtpConfig | None = None
) -> tuple[int, int]:
    """Numbers of all adapters, and of the biases of the layers that have one.

    An adapter is two matrices, ``r x inputs`` and ``outputs x r`` (arXiv 2106.09685, section 4.1).
    """
    adapters = biases = 0
    for group in groups_of(model, mtp):
        for linear in group.linears:
            times = _times(group, linear, lora.target_modules)
            adapters += times * lora.r * (linear.inputs + linear.outputs)
            biases += times * linear.outputs * linear.bias
    return adapters, biases


def _times(group: Group, linear: Linear, targets: list[str]) -> int:
    """How many layers of that name are chosen."""
    last = linear.name.rpartition(".")[2]
    if last in NEVER_ADAPTED:
        return 0
    if ALL_LINEAR in targets or last in targets:
        return len(group.places)
    patterns = [each for each in targets if not each.isidentifier()]
    if not patterns:
        return 0
    names = (group.prefix.format(place) + linear.name for place in group.places)
    return sum(any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns) for name in names)


def _attention(model: ModelConfig) -> tuple[Linear, ...]:
    width, heads, bias = model.hidden_size, model.num_attention_heads, model.attention_bias
    out_bias = bias if model.attention_out_bias is None else model.attention_out_bias
    if model.mla.enabled:
        return _latent_attention(model, out_bias=out_bias)
    inner = heads * head_width(model)
    keys = (model.num_key_value_heads or heads) * head_width(model)
    return (
        Linear("attention.q_proj", width, inner, bias),
        Linear("attention.k_proj", width, keys, bias),
        Linear("attention.v_proj", width, keys, bias),
        Linear("attention.o_proj", inner, width, out_bias),
    )


def _latent_attention(model: ModelConfig, *, out_bias: bool) -> tuple[Linear, ...]:
    """Multi-head latent attention (arXiv 2405.04434, section 2.1)."""
    width, mla, bias = model.hidden_size, model.mla, model.attention_bias
    heads = model.num_attention_heads
    query = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    both = heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    queries: tuple[Linear, ...] = (Linear("attention.q_proj", width, query, bias=False),)
    if mla.q_lora_rank is not None:
        queries = (
            Linear("attention.q_a_proj", width, mla.q_lora_rank, bias),
            Linear("attention.q_b_proj", mla.q_lora_rank, query, bias=False),
        )
    latent = mla.kv_lora_rank + mla.qk_rope_head_dim
    return (
        *queries,
        Linear("attention.kv_a_proj", width, latent, bias),
        Linear("attention.kv_b_proj", mla.kv_lora_rank, both, bias=False),
        Linear("attention.o_proj", heads * mla.v_head_dim, width, out_bias),
    )


def _feed_forward(
    model: ModelConfig, inner: int, name: str = "feed_forward", *, biased: bool = True
) -> tuple[Linear, ...]:
    width, bias = model.hidden_size, model.mlp_bias and biased
    gate = (Linear(f"{name}.gate_proj", width, inner, bias),)
    return (
        *(gate if model.hidden_act in GATED else ()),
        Linear(f"{name}.up_proj", width, inner, bias),
        Linear(f"{name}.down_proj", inner, width, bias),
    )


def _bert_head(model: ModelConfig) -> tuple[Linear, ...]:
    width = model.hidden_size
    if model.head == "language":
        output = Linear("output", width, model.vocab_size, bias=False)
        dense = Linear("head.dense_proj", width, width, bias=True)
        return (dense,) if model.tie_word_embeddings else (dense, output)
    classes = Linear("output", width, model.num_labels, bias=False)
    if model.head == "token_classification":
        return (classes,)
    return (Linear("head.pooler_proj", width, width, bias=True), classes)


def _two_stacks(model: ModelConfig) -> Iterator[Group]:
    """A t5 (arXiv 1910.10683, section 2.1) has as many key heads as heads, and no biases."""
    width, inner = model.hidden_size, model.num_attention_heads * head_width(model)

    def attention(name: str) -> tuple[Linear, ...]:
        three = (Linear(f"{name}.{each}_proj", width, inner, bias=False) for each in "qkv")
        return (*three, Linear(f"{name}.o_proj", inner, width, bias=False))

    own, read = attention("attention"), attention("cross_attention")
    inside = _feed_forward(model, model.intermediate_size, biased=False)
    encoder = range(model.num_encoder_layers or model.num_layers)
    yield Group("encoder", "encoder_blocks.{}.", encoder, (*own, *inside))
    yield Group("decoder", "blocks.{}.", range(model.num_layers), (*own, *read, *inside))


def _ahead(model: ModelConfig, mtp: MtpConfig, block: tuple[Linear, ...]) -> Iterator[Linear]:
    """The layers of a head of multi-token prediction."""
    width = model.hidden_size
    if mtp.head_type == "block":
        yield Linear("join_proj", 2 * width, width, bias=False)
        for each in block:
            yield each._replace(name=f"block.{each.name}")
        return
    inner = mtp.head_intermediate_size or width
    if mtp.head_type == "mlp":
        yield Linear("up_proj", width, inner, bias=True)
    yield Linear("down_proj", inner if mtp.head_type == "mlp" else width, width, bias=True)

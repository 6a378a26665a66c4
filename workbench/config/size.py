"""How many parameters a network has, in closed form: no network is built to count them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.config.linears import (
    GATED,
    adapter_sizes,
    expert_width,
    groups_of,
    has_experts,
    head_width,
    layers_with_experts,
)
from workbench.config.remembered import remembered

if TYPE_CHECKING:
    from workbench.config.linears import Group, Linear
    from workbench.config.schema import LoraConfig, ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig

__all__ = ["Size", "expert_width", "head_width", "num_expert_layers", "size_of"]

_KINDS_OF_TEXT = 2
"""A bert tells the two texts of a pair apart."""

_BUCKETS = 32
"""Distances that a t5 tells apart, per head and stack."""


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters of a network.

    Attributes:
        total: All of them.
        active: Those that one token meets: of the experts only the chosen and the shared ones.
        embedding: Those of the token and position embeddings; the output matrix is not among them.
        block: Those of the largest block.
        trainable: Those that are trained: all, or adapters and the biases that go with them.
        parts: (what, how many), without what there is none of: ``embedding``, ``positions``,
            ``attention``, ``feed-forward``, ``router``, ``experts``, ``norms``, ``head``,
            ``multi-token prediction``, ``adapters``; and ``cross-attention``, which a config may
            ask for and which is not built yet.
    """

    total: int
    active: int
    embedding: int
    block: int
    trainable: int
    parts: tuple[tuple[str, int], ...]


@remembered
def size_of(
    model: ModelConfig, mtp: MtpConfig | None = None, lora: LoraConfig | None = None
) -> Size:
    """The size of a network.

    Args:
        model: Its shape.
        mtp: Heads of multi-token prediction, which it has while training; None: without them.
        lora: Adapters; None: without them. What they are not added to is frozen.
    """
    parts: Counter[str] = Counter()
    largest = idle = biases = 0
    for group in groups_of(model, mtp):
        one = _part(model, group, mtp)
        times = len(group.places)
        for name, count in one.items():
            where = "multi-token prediction" if group.kind == "ahead" else name
            parts[where] += times * count
        if group.kind != "head":
            largest = max(largest, sum(one.values()))
        if "router" in one:
            unvisited = model.num_experts - min(model.num_experts_per_token, model.num_experts)
            idle += times * unvisited * expert_size(model)
        biases += times * _biases(model, group, mtp, routed="router" in one)
    biases += _ends(model, parts)
    total = trainable = sum(parts.values())
    if lora is not None and lora.enabled:
        adapters, beside = adapter_sizes(model, lora, mtp)
        parts["adapters"] = adapters
        total += adapters
        trainable = adapters + {"none": 0, "all": biases, "lora_only": beside}[lora.bias]
    learned = model.position_embedding_type == "learned" and model.model_type != "t5"
    return Size(
        total=total,
        active=total - idle,
        embedding=model.hidden_size
        * (model.vocab_size + (model.max_position_embeddings if learned else 0)),
        block=largest,
        trainable=trainable,
        parts=tuple((name, count) for name, count in parts.items() if count),
    )


def num_expert_layers(model: ModelConfig) -> int:
    """How many blocks have experts."""
    return sum(layers_with_experts(model))


def _part(model: ModelConfig, group: Group, mtp: MtpConfig | None) -> Counter[str]:
    """The parameters of a block, or of a head: linear layers, norms, experts."""
    parts: Counter[str] = Counter()
    for linear in group.linears:
        where = "head"
        if "attention." in linear.name:
            where = "attention"
        elif "feed_forward." in linear.name:
            where = "experts" if ".shared." in linear.name else "feed-forward"
        parts[where] += linear.inputs * linear.outputs + linear.outputs * linear.bias
    parts["norms"] += _norms(model, group, mtp)
    routed = group.kind == "routed" or (
        group.kind == "ahead" and _is_block(mtp) and has_experts(model, model.num_layers)
    )
    if routed:
        parts["router"] += model.hidden_size * model.num_experts
        parts["experts"] += model.num_experts * expert_size(model)
    return parts


def _is_block(mtp: MtpConfig | None) -> bool:
    return mtp is not None and mtp.head_type == "block"


def _norm(model: ModelConfig) -> int:
    plain = model.norm_type == "rmsnorm" or model.model_type == "t5"
    return model.hidden_size if plain else 2 * model.hidden_size


def _num_norms(model: ModelConfig, group: Group, mtp: MtpConfig | None) -> int:
    """Norms over the residual stream."""
    match group.kind:
        case "head":
            return 1 if model.head == "language" else 0
        case "encoder":
            return 2
        case "decoder":
            return 3
        case "ahead" if not _is_block(mtp):
            return 0
    shared = model.residual_type == "parallel_shared_norm" and model.model_type == "decoder"
    return (1 if shared else 2) + (3 if group.kind == "ahead" else 0)


def _norms(model: ModelConfig, group: Group, mtp: MtpConfig | None) -> int:
    """Weights and biases of norms, those inside attention included."""
    found = _num_norms(model, group, mtp) * _norm(model)
    plain_head = group.kind == "ahead" and not _is_block(mtp)
    if plain_head or group.kind not in ("dense", "routed", "ahead"):
        return found
    if model.mla.enabled:
        return found + model.mla.kv_lora_rank + (model.mla.q_lora_rank or 0)
    return found + (2 * head_width(model) if model.qk_norm else 0)


def expert_size(model: ModelConfig) -> int:
    """One routed expert."""
    inner = expert_width(model)
    matrices = 3 if model.hidden_act in GATED else 2
    bias = (matrices - 1) * inner + model.hidden_size if model.mlp_bias else 0
    return matrices * model.hidden_size * inner + bias


def _biases(model: ModelConfig, group: Group, mtp: MtpConfig | None, *, routed: bool) -> int:
    """Numbers of a part that are called biases."""
    found = sum(each.outputs for each in group.linears if each.bias)
    found += _num_norms(model, group, mtp) * (_norm(model) - model.hidden_size)
    if routed and model.mlp_bias:
        matrices = 3 if model.hidden_act in GATED else 2
        found += model.num_experts * ((matrices - 1) * expert_width(model) + model.hidden_size)
    return found


def _ends(model: ModelConfig, parts: Counter[str]) -> int:
    """Add what comes before and after the blocks; returns how many of it are biases."""
    width, norm = model.hidden_size, _norm(model)
    parts["embedding"] += model.vocab_size * width
    if model.model_type == "t5":
        parts["positions"] += 2 * _BUCKETS * model.num_attention_heads
        parts["norms"] += 2 * norm
        parts["head"] += 0 if model.tie_word_embeddings else model.vocab_size * width
        return 0
    if model.position_embedding_type == "learned":
        parts["positions"] += model.max_position_embeddings * width
    parts["norms"] += norm
    biases = norm - width
    if model.model_type == "bert":
        parts["embedding"] += _KINDS_OF_TEXT * width
        classes = model.vocab_size if model.head == "language" else model.num_labels
        parts["head"] += classes
        return biases + classes
    parts["head"] += 0 if model.tie_word_embeddings else model.vocab_size * width
    if model.lm_head_bias:
        parts["head"] += model.vocab_size
        biases += model.vocab_size
    if model.use_cross_attention:
        one = sum(e.inputs * e.outputs + e.outputs * e.bias for e in _own_attention(model))
        inside = 2 * head_width(model) if model.qk_norm else 0
        parts["cross-attention"] += model.num_cross_attention_layers * (one + inside + norm)
    return biases


def _own_attention(model: ModelConfig) -> list[Linear]:
    group = groups_of(model)[0]
    return [each for each in group.linears if each.name.startswith("attention.")]

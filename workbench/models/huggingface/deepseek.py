"""DeepSeek-V3: latent attention, shared and routed experts, a bias that balances them.

Its heads for multi-token prediction are neither read nor written: transformers drops them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import deepseek as words
from workbench.models.huggingface.family import (
    Family,
    Piece,
    same,
    stacked,
)
from workbench.models.huggingface.llama import (
    IGNORED,
    dense_pieces,
    frame_pieces,
)
from workbench.models.moe import has_experts

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def _attention_pieces(model: ModelConfig, ours: str, theirs: str) -> list[Piece]:
    names = {"kv_a_proj": "kv_a_proj_with_mqa", "kv_a_norm": "kv_a_layernorm"}
    names |= {"kv_b_proj": "kv_b_proj", "o_proj": "o_proj"}
    if model.mla.q_lora_rank is None:
        names |= {"q_proj": "q_proj"}
    else:
        names |= {"q_a_proj": "q_a_proj", "q_a_norm": "q_a_layernorm", "q_b_proj": "q_b_proj"}
    biased = [name for name in ("q_a_proj", "kv_a_proj", "o_proj") if name in names]
    return [
        same(f"{ours}.attention_norm.weight", f"{theirs}.input_layernorm.weight"),
        same(f"{ours}.feed_forward_norm.weight", f"{theirs}.post_attention_layernorm.weight"),
        *(
            same(f"{ours}.attention.{mine}.weight", f"{theirs}.self_attn.{name}.weight")
            for mine, name in names.items()
        ),
        *(
            same(f"{ours}.attention.{mine}.bias", f"{theirs}.self_attn.{names[mine]}.bias")
            for mine in biased
            if model.attention_bias
        ),
    ]


def expert_pieces(model: ModelConfig, ours: str, theirs: str) -> list[Piece]:
    """The router and the routed experts of one block, stored one by one."""
    return [
        same(f"{ours}.feed_forward.router.weight", f"{theirs}.mlp.gate.weight"),
        *(
            stacked(
                f"{ours}.feed_forward.experts.{name}",
                [f"{theirs}.mlp.experts.{e}.{name}.weight" for e in range(model.num_experts)],
            )
            for name in _PROJECTIONS
        ),
    ]


def _moe_pieces(model: ModelConfig, ours: str, theirs: str) -> list[Piece]:
    return [
        *expert_pieces(model, ours, theirs),
        same(
            f"{ours}.feed_forward.router.balance.bias",
            f"{theirs}.mlp.gate.e_score_correction_bias",
        ),
        *(
            same(
                f"{ours}.feed_forward.shared.{name}.weight",
                f"{theirs}.mlp.shared_experts.{name}.weight",
            )
            for name in _PROJECTIONS
        ),
    ]


def _pieces(model: ModelConfig) -> list[Piece]:
    found = frame_pieces(model)
    for layer in range(model.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        found += _attention_pieces(model, ours, theirs)
        below = _moe_pieces if has_experts(model, layer) else dense_pieces
        found += below(model, ours, theirs)
    return found


DEEPSEEK_V3 = Family(*words.DEEPSEEK_V3, _pieces, "model.", IGNORED)

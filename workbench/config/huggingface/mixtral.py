"""Mixtral: a Mistral whose feed-forward networks are experts, stored one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.llama import read_common, read_window, write_common
from workbench.config.huggingface.words import UnsupportedError, Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    if hf.get("num_experts_per_tok", 2) == 1:
        raise UnsupportedError("one expert per token whose weight is always 1 is not built")
    return (
        read_common(hf)
        | read_window(hf)
        | {
            "num_experts": hf.get("num_local_experts", 8),
            "num_experts_per_token": hf.get("num_experts_per_tok", 2),
            "router_type": "topk",
            "router_jitter_noise": hf.get("router_jitter_noise", 0.0),
        }
    )


def _write(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | {
        "sliding_window": model.sliding_window,
        "num_local_experts": model.num_experts,
        "num_experts_per_tok": model.num_experts_per_token,
        # Theirs adds up over the choices of a token, ours is a mean.
        "router_aux_loss_coef": model.router_aux_loss_coef / model.num_experts_per_token,
        "router_jitter_noise": model.router_jitter_noise,
    }


MIXTRAL = Words("mixtral", "MixtralForCausalLM", _read, _write)

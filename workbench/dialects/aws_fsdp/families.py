"""The networks that ``--model_type`` chooses, in the workbench's words.

Facts: ``get_model_config`` of the trainer's ``train_utils.py``, and the defaults of the classes of
transformers that it makes (LlamaConfig, MixtralConfig, MistralConfig, GPTNeoXConfig).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.config.keys import value_at

if TYPE_CHECKING:
    from workbench.config.schema import Config

_LLAMA: Final[dict[str, Any]] = {
    "model.model_type": "decoder",
    "model.norm_type": "rmsnorm",
    "model.layer_norm_eps": 1e-5,
    "model.hidden_act": "swiglu",
    "model.position_embedding_type": "rope",
    "model.rope_theta": 10000.0,
    "model.partial_rotary_factor": 1.0,
    "model.rope_scaling.type": "none",
    "model.rope_scaling.factor": 1.0,
    "model.residual_type": "sequential",
    "model.attention_bias": False,
    "model.mlp_bias": False,
    "model.qk_norm": False,
    "model.tie_word_embeddings": False,
    "model.sliding_window": None,
    "model.mla.enabled": False,
    "model.num_experts": 1,
    "model.num_experts_per_token": 1,
}

_MIXTRAL: Final = {
    **_LLAMA,
    "model.rope_theta": 1_000_000.0,
    "model.num_experts": 8,
    "model.num_experts_per_token": 2,
    # MixtralConfig adds the balance loss only with output_router_logits, which is off.
    "model.router_aux_loss_coef": 0.0,
    "model.moe_balancing.method": "none",
}

FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "llama_v2": _LLAMA,
    "llama_v3": {
        **_LLAMA,
        "model.rope_scaling.type": "dynamic",
        "model.rope_scaling.factor": 2.0,
    },
    "mixtral": _MIXTRAL,
    "mistral": {**_LLAMA, "model.sliding_window": 4096},
    "gpt_neox": {
        **_LLAMA,
        "model.norm_type": "layernorm",
        "model.hidden_act": "gelu",
        "model.residual_type": "parallel",
        "model.attention_bias": True,
        "model.mlp_bias": True,
    },
}
"""What each family always is; the rest comes from flags."""

_FROM_FLAGS: Final = {"gpt_neox": ("model.rope_theta", "model.partial_rotary_factor")}


def fixed(family: str) -> dict[str, Any]:
    """The keys that a family leaves no choice about."""
    free = _FROM_FLAGS.get(family, ())
    return {path: value for path, value in FAMILIES[family].items() if path not in free}


def nearest(config: Config) -> str:
    """The family that is most like a config's network; of two the one that is listed first."""

    def strange(family: str) -> int:
        return sum(value_at(config, path) != value for path, value in fixed(family).items())

    return min(FAMILIES, key=strange)

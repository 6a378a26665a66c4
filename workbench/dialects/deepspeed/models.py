"""The models that names of DeepSpeed configs speak of: such a file says nothing about its model.

Figures are those of the published config.json of each model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Named:
    """A published model.

    Attributes:
        title: Its name.
        keys: Its keys of ``model``.
    """

    title: str
    keys: dict[str, Any]


def named(stem: str) -> Named | None:
    """The model that the name of a file speaks of, such as ``llama_7b_single_node``."""
    words = re.sub(r"[^a-z0-9.]+", "_", stem.lower())
    for pattern, model in _MODELS:
        if re.search(pattern, words):
            return model
    return None


def _llama(title: str, width: int, layers: int, heads: int, inner: int, groups: int) -> Named:
    return Named(
        title,
        {
            "hidden_size": width,
            "num_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "intermediate_size": inner,
            "vocab_size": 32000,
            "max_position_embeddings": 4096,
            "hidden_act": "swiglu",
            "norm_type": "rmsnorm",
            "layer_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    )


_OLDER: dict[str, Any] = {
    "norm_type": "layernorm",
    "layer_norm_eps": 1e-5,
    "attention_bias": True,
    "mlp_bias": True,
}


def _gpt2(title: str, width: int, layers: int, heads: int) -> Named:
    return Named(
        title,
        {
            "hidden_size": width,
            "num_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 4 * width,
            "vocab_size": 50257,
            "max_position_embeddings": 1024,
            "position_embedding_type": "learned",
            "hidden_act": "gelu_new",
            "tie_word_embeddings": True,
            **_OLDER,
        },
    )


def _bert(title: str, width: int, layers: int, heads: int) -> Named:
    return Named(
        title,
        {
            "model_type": "bert",
            "hidden_size": width,
            "num_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 4 * width,
            "vocab_size": 30522,
            "max_position_embeddings": 512,
            "position_embedding_type": "learned",
            "hidden_act": "gelu",
            "tie_word_embeddings": True,
            **_OLDER,
            "layer_norm_eps": 1e-12,
        },
    )


def _t5(title: str, width: int, layers: int, heads: int, inner: int, head: int = 64) -> Named:
    return Named(
        title,
        {
            "model_type": "t5",
            "hidden_size": width,
            "num_layers": layers,
            "num_encoder_layers": layers,
            "num_attention_heads": heads,
            "head_dim": head,
            "intermediate_size": inner,
            "vocab_size": 32128,
            "max_position_embeddings": 512,
            "position_embedding_type": "none",
            "hidden_act": "relu",
            "norm_type": "rmsnorm",
            "layer_norm_eps": 1e-6,
            "tie_word_embeddings": True,
        },
    )


_LLAMA_7B = _llama("Llama 2 7B", 4096, 32, 32, 11008, 32)
_GPTJ = Named(
    "GPT-J 6B",
    {
        "hidden_size": 4096,
        "num_layers": 28,
        "num_attention_heads": 16,
        "intermediate_size": 16384,
        "vocab_size": 50400,
        "max_position_embeddings": 2048,
        "position_embedding_type": "rope",
        "rope_interleaved": True,
        "partial_rotary_factor": 0.25,
        "hidden_act": "gelu_new",
        "residual_type": "parallel_shared_norm",
        "norm_type": "layernorm",
        "layer_norm_eps": 1e-5,
        "attention_bias": False,
        "mlp_bias": True,
        "lm_head_bias": True,
        "tie_word_embeddings": False,
    },
)
_NEOX = Named(
    "GPT-NeoX 20B",
    {
        "hidden_size": 6144,
        "num_layers": 44,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "vocab_size": 50432,
        "max_position_embeddings": 2048,
        "position_embedding_type": "rope",
        "partial_rotary_factor": 0.25,
        "hidden_act": "gelu_new",
        "residual_type": "parallel",
        "tie_word_embeddings": False,
        **_OLDER,
    },
)

_MODELS: tuple[tuple[str, Named], ...] = (
    (r"(?<![a-z])llama_?2?_13b", _llama("Llama 2 13B", 5120, 40, 40, 13824, 40)),
    (r"(?<![a-z])llama_?2?_70b", _llama("Llama 2 70B", 8192, 80, 64, 28672, 8)),
    (r"(?<![a-z])llama_?2?_7b", _LLAMA_7B),
    (r"llama_lora", _LLAMA_7B),
    (r"gpt_?2_?xl", _gpt2("GPT-2 XL", 1600, 48, 25)),
    (r"gpt_?2_?large", _gpt2("GPT-2 large", 1280, 36, 20)),
    (r"gpt_?2_?medium", _gpt2("GPT-2 medium", 1024, 24, 16)),
    (r"gpt_?2(?![a-z0-9])", _gpt2("GPT-2", 768, 12, 12)),
    (r"gpt_?j(?![a-z])", _GPTJ),
    (r"neox", _NEOX),
    (r"(?<![a-z])bert(_?large|.*0[._]336b)", _bert("BERT large", 1024, 24, 16)),
    (r"(?<![a-z])bert(?![a-z])", _bert("BERT base", 768, 12, 12)),
    (r"(?<![a-z0-9])t5_?small", _t5("T5 small", 512, 6, 8, 2048)),
    (r"(?<![a-z0-9])t5_?base", _t5("T5 base", 768, 12, 12, 3072)),
    (r"(?<![a-z0-9])t5_?large", _t5("T5 large", 1024, 24, 16, 4096)),
    (r"(?<![a-z0-9])t5_?(xl(?![a-z])|3b)", _t5("T5 3B (XL)", 1024, 24, 32, 16384, 128)),
)

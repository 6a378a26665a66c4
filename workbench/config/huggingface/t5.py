"""T5 1.0 and 1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.activations import read_activation, write_activation
from workbench.config.huggingface.words import UnsupportedError, Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


BUCKETS, FARTHEST = 32, 128
"""How many distances a T5 tells apart, and the farthest: those of all published weights."""

GATES = {"gated-gelu": "geglu", "gated-gelu_new": "geglu", "gated-silu": "swiglu"}
"""Their feed-forward with a gate, and ours."""


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(hf, relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=FARTHEST)
    kind = hf.get("feed_forward_proj", "relu")
    if kind.startswith("gated-") and kind not in GATES:
        raise UnsupportedError(f"a feed-forward of the kind {kind} is not built")
    dropout = float(hf.get("dropout_rate", 0.1))
    return {
        "model_type": "t5",
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["d_model"],
        "num_encoder_layers": hf["num_layers"],
        "num_layers": hf.get("num_decoder_layers") or hf["num_layers"],
        "num_attention_heads": hf["num_heads"],
        "head_dim": hf["d_kv"],
        "intermediate_size": hf["d_ff"],
        "hidden_act": GATES.get(kind) or read_activation(kind),
        "layer_norm_eps": hf.get("layer_norm_epsilon", 1e-6),
        # Today's transformers keeps under another name what this key once said.
        "tie_word_embeddings": hf.get("scale_decoder_outputs", hf.get("tie_word_embeddings", True)),
        "hidden_dropout": dropout,
        "embedding_dropout": dropout,
        "attention_dropout": dropout,
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    gates = {"geglu": "gated-gelu", "swiglu": "gated-silu"}
    return {
        "vocab_size": model.vocab_size,
        "d_model": model.hidden_size,
        "num_layers": model.num_encoder_layers or model.num_layers,
        "num_decoder_layers": model.num_layers,
        "num_heads": model.num_attention_heads,
        "d_kv": model.head_dim or model.hidden_size // model.num_attention_heads,
        "d_ff": model.intermediate_size,
        "feed_forward_proj": gates.get(model.hidden_act) or write_activation(model.hidden_act),
        "layer_norm_epsilon": model.layer_norm_eps,
        "dropout_rate": model.hidden_dropout,
        "relative_attention_num_buckets": BUCKETS,
        "relative_attention_max_distance": FARTHEST,
        "tie_word_embeddings": model.tie_word_embeddings,
        "is_encoder_decoder": True,
    }


T5 = Words("t5", "T5ForConditionalGeneration", _read, _write)

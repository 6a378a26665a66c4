"""BERT with the head for hidden tokens, or one for classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.activations import read_activation, write_activation
from workbench.config.huggingface.words import Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


_HEADS = {
    "language": "BertForMaskedLM",
    "classification": "BertForSequenceClassification",
    "token_classification": "BertForTokenClassification",
}


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(
        hf,
        type_vocab_size=2,
        is_decoder=False,
        add_cross_attention=False,
        position_embedding_type="absolute",
        tie_word_embeddings=True,
        problem_type=None,
    )
    architecture = (hf.get("architectures") or [None])[0]
    heads = {theirs: ours for ours, theirs in _HEADS.items()}
    dropout = float(hf.get("hidden_dropout_prob", 0.1))
    return {
        "model_type": "bert",
        "head": heads.get(architecture, "language"),
        "num_labels": max(2, len(hf.get("id2label") or (0, 1))),
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["hidden_size"],
        "num_layers": hf["num_hidden_layers"],
        "num_attention_heads": hf["num_attention_heads"],
        "intermediate_size": hf["intermediate_size"],
        "max_position_embeddings": hf["max_position_embeddings"],
        "position_embedding_type": "learned",
        "hidden_act": read_activation(hf.get("hidden_act", "gelu")),
        "norm_type": "layernorm",
        "layer_norm_eps": hf.get("layer_norm_eps", 1e-12),
        "attention_bias": True,
        "mlp_bias": True,
        "hidden_dropout": dropout,
        "embedding_dropout": dropout,
        "attention_dropout": float(hf.get("attention_probs_dropout_prob", 0.1)),
        "initializer_range": hf.get("initializer_range", 0.02),
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    classes = {}
    if model.head != "language":
        names = {str(place): f"LABEL_{place}" for place in range(model.num_labels)}
        classes = {
            "id2label": names,
            "label2id": {name: int(place) for place, name in names.items()},
        }
    return {
        "architectures": [_HEADS[model.head]],
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_attention_heads,
        "intermediate_size": model.intermediate_size,
        "max_position_embeddings": model.max_position_embeddings,
        "type_vocab_size": 2,
        "hidden_act": write_activation(model.hidden_act),
        "layer_norm_eps": model.layer_norm_eps,
        "hidden_dropout_prob": model.hidden_dropout,
        "attention_probs_dropout_prob": model.attention_dropout,
        "initializer_range": model.initializer_range,
        "tie_word_embeddings": model.head != "language" or model.tie_word_embeddings,
        **classes,
    }


BERT = Words("bert", _HEADS["language"], _read, _write)

"""BERT with the head for hidden tokens, or one for classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.huggingface.activations import read_activation, write_activation
from workbench.models.huggingface.family import Family, Piece, refuse, same

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


def _pieces(model: ModelConfig) -> list[Piece]:
    found = [
        same("embedding", "bert.embeddings.word_embeddings.weight"),
        same("position_embedding", "bert.embeddings.position_embeddings.weight"),
        same("text_embedding", "bert.embeddings.token_type_embeddings.weight"),
    ]
    for kind in ("weight", "bias"):
        found.append(same(f"embedding_norm.{kind}", f"bert.embeddings.LayerNorm.{kind}"))
        for layer in range(model.num_layers):
            ours, theirs = f"blocks.{layer}", f"bert.encoder.layer.{layer}"
            names = {
                "attention.q_proj": "attention.self.query",
                "attention.k_proj": "attention.self.key",
                "attention.v_proj": "attention.self.value",
                "attention.o_proj": "attention.output.dense",
                "attention_norm": "attention.output.LayerNorm",
                "feed_forward.up_proj": "intermediate.dense",
                "feed_forward.down_proj": "output.dense",
                "feed_forward_norm": "output.LayerNorm",
            }
            found += [
                same(f"{ours}.{mine}.{kind}", f"{theirs}.{name}.{kind}")
                for mine, name in names.items()
            ]
        if model.head == "language":
            transform = "cls.predictions.transform"
            found += [
                same(f"head.dense_proj.{kind}", f"{transform}.dense.{kind}"),
                same(f"head.norm.{kind}", f"{transform}.LayerNorm.{kind}"),
            ]
        if model.head == "classification":
            found.append(same(f"head.pooler_proj.{kind}", f"bert.pooler.dense.{kind}"))
    if model.head == "language":
        found.append(same("output_bias", "cls.predictions.bias"))
    else:
        found.append(same("output.weight", "classifier.weight"))
        found.append(same("output_bias", "classifier.bias"))
    return found


BERT = Family(
    "bert",
    _HEADS["language"],
    _read,
    _write,
    _pieces,
    "bert.",
    ignored=(
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
    ),
    heads=("head.", "output.", "output_bias", "cls.", "classifier."),
)

"""BERT with the head for hidden tokens, or one for classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import bert as words
from workbench.models.huggingface.family import Family, Piece, same

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


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
    *words.BERT,
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

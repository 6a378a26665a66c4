"""The small files of Tenstorrent: an optimizer, a BERT, a logger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.dialects.tenstorrent.saying import Says, understand
from workbench.dialects.tenstorrent.training import OPTIMIZERS, TABLE

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.dialects.building import Builder

_PREFIX: Final = "training_config.optimizer."

OPTIMIZER: Final = tuple(
    Says(each.path.removeprefix(_PREFIX), each.ours, each.read, each.tell)
    for each in TABLE
    if each.path.startswith(_PREFIX)
)

BERT: Final = (
    Says("embedding_dim", "model.hidden_size"),
    Says("num_blocks", "model.num_layers"),
    Says("num_heads", "model.num_attention_heads"),
    Says("intermediate_size", "model.intermediate_size"),
    Says("vocab_size", "model.vocab_size"),
    Says("max_sequence_length", "model.max_position_embeddings"),
    Says("dropout_prob", "model.hidden_dropout"),
    Says("layer_norm_eps", "model.layer_norm_eps"),
    Says("runner_type", "training.gradient_checkpointing",
         lambda word: word == "memory_efficient",
         lambda on: "memory_efficient" if on else "default"),
)  # fmt: skip

LOGGER: Final = (
    Says("log_every_n_steps", "training.logging_steps"),
    Says("checkpoint.log_every_n_steps", "training.save_steps"),
)


def read_optimizer(builder: Builder) -> Reading:
    """Understand a file that holds an optimizer alone."""
    understand(builder, OPTIMIZER)
    kind = str(builder.value("type")).lower()
    if kind in OPTIMIZERS:
        builder.put("training.optimizer", OPTIMIZERS[kind])
    else:
        builder.refused("type", f"Unknown optimizer type: {builder.value('type')}")
    return builder.reading(rest="the trainer's optimizer has no such setting")


def read_bert(builder: Builder) -> Reading:
    """Understand tt-train's BERT, whose keys stand at the top level."""
    builder.put("model.model_type", "bert")
    builder.put("model.norm_type", "layernorm")
    builder.put("model.hidden_act", "gelu")
    builder.put("model.attention_bias", True)
    builder.put("model.mlp_bias", True)
    builder.put("model.position_embedding_type", "learned")
    understand(builder, BERT)
    dropout = builder.ours("model.hidden_dropout")
    if dropout:
        builder.put("model.attention_dropout", dropout)
        builder.put("model.embedding_dropout", dropout)
    return builder.reading(rest="a BERT here always has it, or never")


def read_logger(builder: Builder) -> Reading:
    """Understand tt-blacksmith's logger file: how often is what matters."""
    understand(builder, LOGGER)
    return builder.reading(rest="what is logged, and under which name, is fixed here")

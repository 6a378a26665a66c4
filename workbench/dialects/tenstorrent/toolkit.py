"""The toolkit's own schema (``nano_trickster.yaml``), which its PyTorch trainer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.dialects.tenstorrent.device import mesh_of, put_board, put_mesh, remark_mesh
from workbench.dialects.tenstorrent.saying import Says, understand, word

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.dialects.building import Builder

_M: Final = "model_config."
_T: Final = "training_config."
_SAME: Final = "its trainer reads the other spelling"

TABLE: Final = (
    Says(_M + "vocab_size", "model.vocab_size"),
    Says(_M + "hidden_dim", "model.hidden_size"),
    Says(_M + "num_layers", "model.num_layers"),
    Says(_M + "num_heads", "model.num_attention_heads"),
    Says(_M + "mlp_dim", "model.intermediate_size"),
    Says(_M + "max_seq_len", "model.max_position_embeddings"),
    Says(_M + "dropout", "model.hidden_dropout"),
    Says(_M + "n_embd", "model.hidden_size", shy=True),
    Says(_M + "n_layer", "model.num_layers", shy=True),
    Says(_M + "n_head", "model.num_attention_heads", shy=True),
    Says(_M + "block_size", "model.max_position_embeddings", shy=True),
    Says(_T + "seed", "run.seed"),
    Says(_T + "batch_size", "training.batch_size"),
    Says("data_config.batch_size", "training.batch_size", shy=True),
    Says(_T + "max_iters", "training.max_steps", shy=True),
    Says(_T + "warmup_iters", "training.warmup_steps", shy=True),
    Says(_T + "lr_decay_iters", "training.lr_decay_steps", shy=True),
    Says(_T + "min_lr", "training.lr_end", shy=True),
    Says(
        _T + "gradient_accumulation_steps",
        "training.gradient_accumulation_steps",
        ignored="the toolkit's trainer never reads it: every step has batch_size sequences there",
    ),
    Says(_T + "max_steps", "training.max_steps"),
    Says(_T + "num_epochs", "training.num_epochs"),
    Says(_T + "warmup_steps", "training.warmup_steps"),
    Says(_T + "learning_rate", "training.learning_rate"),
    Says(_T + "weight_decay", "training.weight_decay"),
    Says(_T + "beta1", "training.beta1"),
    Says(_T + "beta2", "training.beta2"),
    Says(_T + "grad_clip", "training.max_gradient_norm"),
    Says(_T + "log_interval", "training.logging_steps"),
    Says(_T + "eval_interval", "training.eval_steps"),
    Says(_T + "validation_frequency", "training.eval_steps", ignored=_SAME),
    Says(_T + "save_interval", "training.save_steps"),
    Says(_T + "checkpoint_frequency", "training.save_steps", ignored=_SAME),
    Says(
        _T + "log_level",
        "logging.level",
        lambda level: str(level).lower(),
        lambda level: level.upper(),
    ),
    Says(_T + "use_wandb", "logging.wandb.enabled"),
    Says(_T + "wandb_project", "logging.wandb.project"),
    Says(_T + "wandb_run_name", "logging.wandb.name"),
    Says(
        _T + "save_strategy", "training.save_strategy", word(steps="steps", epoch="epoch", no="no")
    ),
    Says(_T + "keep_best_n", "checkpointing.keep_best_n"),
    Says("data_config.train_data", "data.path"),
    Says("data_config.val_data", "data.eval_path"),
)


def read(builder: Builder) -> Reading:
    """Understand the toolkit's schema."""
    understand(builder, TABLE)
    if builder.has("model_config.n_embd"):
        _nano_gpt(builder)
    length = builder.ours("model.max_position_embeddings")
    if length:
        builder.put("data.max_length", max(2, length))
    section = builder.value("device_config", {})
    mesh = mesh_of(section) if isinstance(section, dict) else None
    if mesh is not None and builder.has("device_config.mesh_shape"):
        put_mesh(builder, mesh)
        if mesh.data * mesh.tensor == mesh.devices:
            builder.put("parallel.mesh_shape", list(mesh.shape), source="device_config.mesh_shape")
        if section.get("enable_ddp") is (mesh.data > 1):
            builder.understood("device_config.enable_ddp", "parallel.strategy")
        remark_mesh(builder, mesh, section, flat=False)
        put_board(builder, mesh, builder.foreign.path.stem.replace("_", " "))
    builder.keep("data_config.tokenizer", "a table of characters in the toolkit's own form")
    builder.keep("output_config", "a run has its own directory; run.runs_dir says where")
    return builder.reading(rest="the workbench has no such key")


def _nano_gpt(builder: Builder) -> None:
    """A file in the words of nanoGPT: its network is a GPT-2, with or without biases."""
    biased = builder.value("model_config.bias", True)
    for key, value in (
        ("intermediate_size", 4 * (builder.ours("model.hidden_size") or 0)),
        ("position_embedding_type", "learned"),
        ("norm_type", "layernorm"),
        ("hidden_act", "gelu"),
        ("tie_word_embeddings", True),
        ("attention_bias", biased),
        ("mlp_bias", biased),
    ):
        if value or isinstance(value, bool):
            builder.put(f"model.{key}", value)
    builder.keep("model_config.bias", "model.attention_bias and model.mlp_bias say it here")
    builder.assume(
        "model_config",
        "the words are those of nanoGPT, so the network is a GPT-2: learned positions, GELU four "
        "times as wide, one matrix for tokens in and out",
    )

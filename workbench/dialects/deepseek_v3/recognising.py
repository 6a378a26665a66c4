"""Which of the system's kinds of file a text is, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Guess
from workbench.dialects.parsing import peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of the system's files."""
    tree = peek(foreign)
    if not tree:
        return None
    kind, score, reason = kind_of(tree)
    return Guess(score, reason) if kind else None


_BATCH = "training.global_batch_size"
_SIGNS: tuple[tuple[str, float, str, tuple[str, ...]], ...] = (
    ("main", 1.0, "it has model.mla.d_latent, the latent width", ("model.mla.d_latent",)),
    ("main", 0.9, "it has model.mla.d_model", ("model.mla.d_model",)),
    ("main", 0.9, "it has model.moe.expert_dim", ("model.moe.expert_dim",)),
    ("main", 0.9, "it has model.moe.use_aux_loss_free", ("model.moe.use_aux_loss_free",)),
    ("model", 1.0, "it has mla.d_latent, the latent width", ("mla.d_latent",)),
    ("official", 0.95, "it has mla.kv_lora_rank beside model", ("mla.kv_lora_rank", "model")),
    (
        "inference",
        0.95,
        "it has n_dense_layers and moe_inter_dim, as DeepSeek's inference code",
        ("dim", "n_layers", "n_dense_layers", "moe_inter_dim"),
    ),
    ("sft", 0.9, "it has maintain_load_balance", ("mask_prompt", "maintain_load_balance")),
    ("dpo", 0.9, "it has beta and sft_loss_weight", ("beta", "sft_loss_weight")),
    ("dpo", 0.9, "it has beta and average_log_prob", ("beta", "average_log_prob")),
    ("ppo", 0.9, "it has n_steps, n_epochs and kl_coef", ("n_steps", "n_epochs", "kl_coef")),
    (
        "sanitization",
        0.9,
        "it has language_filtering and quality_thresholds",
        ("language_filtering", "quality_thresholds"),
    ),
    ("main", 0.85, f"it has {_BATCH}", (_BATCH, "data.preprocessing", "distributed")),
    ("main", 0.85, f"it has {_BATCH}", (_BATCH, "data.preprocessing", "model")),
    ("data", 0.85, f"it has data.preprocessing and {_BATCH}", (_BATCH, "data.preprocessing")),
    ("data", 0.85, f"it has data.sources and {_BATCH}", (_BATCH, "data.sources")),
    ("main", 0.6, f"it has {_BATCH}", (_BATCH, "training.lr_warmup_steps")),
    ("main", 0.7, "it has distributed.zero_offload", ("distributed.zero_offload",)),
)
"""Kinds of file: how sure their keys make, in words, and the keys; the first that fits counts."""


def kind_of(tree: dict[str, Any]) -> tuple[str | None, float, str]:
    """The kind, how sure that is, and why."""
    for kind, score, reason, paths in _SIGNS:
        if all(_has(tree, path) for path in paths):
            return kind, score, reason
    return None, 0.0, ""


def _has(tree: dict[str, Any], path: str) -> bool:
    value: Any = tree
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True

"""Which of the system's kinds of file a text is, and reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Guess
from workbench.dialects.building import Builder
from workbench.dialects.claims import UNKNOWN, finished
from workbench.dialects.deepseek_v3 import alignment, inference, others, remarks
from workbench.dialects.deepseek_v3.main import derive, read_main, understand
from workbench.dialects.deepseek_v3.placeless import KEPT
from workbench.dialects.parsing import parse, peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

SYSTEM = "deepseek_v3"
KIND = "_kind"
"""Where a file of another kind than the main one leaves its kind for a writer."""
_CLEANED = "a corpus is cleaned before the run, by tools of its own"


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of the system's files."""
    tree = peek(foreign)
    if not tree:
        return None
    kind, score, reason = _kind(tree)
    return Guess(score, reason) if kind else None


def read(foreign: Foreign) -> Reading:
    """Understand a file of any kind."""
    document, told = parse(foreign, last_wins=True)
    builder = Builder.of(SYSTEM, foreign, document, told)
    name = _kind(document.tree)[0] or "main"
    if name == "main":
        return read_main(builder)
    return _read_other(builder, name)


OTHERS: dict[str, others.Kind] = {
    "official": others.OFFICIAL,
    "inference": inference.INFERENCE,
    "model": alignment.ALIGNED_MODEL,
    "sft": alignment.SFT,
    "dpo": alignment.DPO,
    "ppo": alignment.PPO,
    "data": others.DATA,
    "sanitization": others.SANITIZATION,
}


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


def _kind(tree: dict[str, Any]) -> tuple[str | None, float, str]:
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


def _read_other(builder: Builder, name: str) -> Reading:
    kind = OTHERS[name]
    if kind.refused:
        builder.refused("", kind.refused)
    if kind is others.DATA:
        travel = understand(builder)
        for path, why in KEPT.items():
            builder.keep(path, why.reason)
    else:
        for path, why in kind.kept.items():
            builder.keep(path, why.reason)
        travel = kind.claims.read(builder)
        _derive(builder, kind)
    if kind is not others.DATA:
        remarks.of_other_size(builder)
    rest = _CLEANED if kind is others.SANITIZATION else UNKNOWN
    return finished(builder, travel | {(KIND,): name}, rest=rest)


def _derive(builder: Builder, kind: others.Kind) -> None:
    derived = dict(kind.derived)
    if kind is inference.INFERENCE:
        derived |= inference.routing(builder)
    for path, value in derived.items():
        if builder.ours(path) is None:
            derive(builder, path, value)
    if kind.assumed:
        builder.assume("", kind.assumed)
    if kind is alignment.ALIGNED_MODEL:
        heads(builder)
    total = builder.value("training.global_batch_size")
    micro = builder.ours("training.batch_size", 1)
    if kind is others.OFFICIAL and isinstance(total, int) and total > 0:
        steps = max(1, total // micro)
        derive(builder, "training.gradient_accumulation_steps", steps)
        if steps * micro == total:
            derive(
                builder, "training.global_batch_size", total, source="training.global_batch_size"
            )
            builder.remark(
                "training.global_batch_size",
                "translated",
                f"it counts sequences: {micro} x {steps} accumulated = {total} on one device",
            )


def heads(builder: Builder) -> None:
    """The widths of latent attention's heads, of which the file says none."""
    width, count = builder.ours("model.hidden_size"), builder.ours("model.num_attention_heads")
    if not width or not count or width // count < 4:
        return
    head = width // count
    turning = head // 2 - head // 2 % 2
    derive(builder, "model.mla.qk_nope_head_dim", head - turning)
    derive(builder, "model.mla.qk_rope_head_dim", turning)
    derive(builder, "model.mla.v_head_dim", head)
    builder.assume("mla", f"half of each query's {head} features turn with the position")

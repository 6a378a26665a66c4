"""Which of the system's kinds of file a text is, and reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Guess
from workbench.dialects.building import Builder
from workbench.dialects.claims import carry
from workbench.dialects.deepseek_v3 import others
from workbench.dialects.deepseek_v3.main import UNKNOWN, read_main, understand
from workbench.dialects.deepseek_v3.tables import KEPT
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
    reading = _read_other(builder, OTHERS[name])
    carry(reading, {(KIND,): name})
    return reading


OTHERS: dict[str, others.Kind] = {
    "official": others.OFFICIAL,
    "model": others.ALIGNED_MODEL,
    "sft": others.SFT,
    "dpo": others.DPO,
    "ppo": others.PPO,
    "data": others.DATA,
    "sanitization": others.SANITIZATION,
}


def _kind(tree: dict[str, Any]) -> tuple[str | None, float, str]:
    """The kind, how sure that is, and why."""
    model, data = _section(tree, "model"), _section(tree, "data")
    if "d_latent" in _section(model, "mla") or "d_latent" in _section(tree, "mla"):
        inside = "mla" in model
        return ("main" if inside else "model"), 1.0, "it has mla.d_latent, the latent width"
    if "mla" in model or {"expert_dim", "use_aux_loss_free"} & set(_section(model, "moe")):
        return "main", 0.9, "its model has the sections mla and moe"
    if "kv_lora_rank" in _section(tree, "mla") and "model" in tree:
        return "official", 0.95, "it has the sections model, mla and moe of the release's file"
    if "mask_prompt" in tree and "maintain_load_balance" in tree:
        return "sft", 0.9, "it has mask_prompt and maintain_load_balance"
    if "beta" in tree and ("sft_loss_weight" in tree or "average_log_prob" in tree):
        return "dpo", 0.9, "it has beta and sft_loss_weight"
    if {"n_steps", "n_epochs", "kl_coef"} <= set(tree):
        return "ppo", 0.9, "it has n_steps, n_epochs and kl_coef"
    if {"language_filtering", "quality_thresholds"} <= set(tree):
        return "sanitization", 0.9, "it has language_filtering and quality_thresholds"
    if "global_batch_size" in _section(tree, "training"):
        if "preprocessing" in data or "sources" in data:
            kind = "main" if "model" in tree or "distributed" in tree else "data"
            return kind, 0.85, "it has data.preprocessing and training.global_batch_size"
        if "lr_warmup_steps" in _section(tree, "training"):
            return "main", 0.6, "it has training.global_batch_size and lr_warmup_steps"
    if "zero_offload" in _section(tree, "distributed"):
        return "main", 0.7, "it has distributed.zero_offload"
    return None, 0.0, ""


def _read_other(builder: Builder, kind: others.Kind) -> Reading:
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
    reading = builder.reading(rest=_CLEANED if kind is others.SANITIZATION else UNKNOWN)
    carry(reading, travel)
    return reading


def _derive(builder: Builder, kind: others.Kind) -> None:
    for path, value in kind.derived.items():
        if builder.ours(path) is None:
            builder.put(path, value)
    if kind.assumed:
        builder.assume("", kind.assumed)
    if kind is others.ALIGNED_MODEL:
        heads(builder)
    total = builder.value("training.global_batch_size")
    micro = builder.ours("training.batch_size", 1)
    if kind is others.OFFICIAL and isinstance(total, int) and total > 0:
        steps = max(1, total // micro)
        builder.put("training.gradient_accumulation_steps", steps)
        if steps * micro == total:
            builder.put("training.global_batch_size", total, source="training.global_batch_size")
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
    builder.put("model.mla.qk_nope_head_dim", head - turning)
    builder.put("model.mla.qk_rope_head_dim", turning)
    builder.put("model.mla.v_head_dim", head)
    builder.assume("mla", f"half of each query's {head} features turn with the position")


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    inner = tree.get(name)
    return inner if isinstance(inner, dict) else {}

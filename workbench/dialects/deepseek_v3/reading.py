"""Which of the system's kinds of file a text is, and reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.dialects.building import Builder
from workbench.dialects.claims import UNKNOWN, finished
from workbench.dialects.deepseek_v3 import alignment, inference, others, remarks
from workbench.dialects.deepseek_v3.main import derive, read_main, understand
from workbench.dialects.deepseek_v3.placeless import KEPT
from workbench.dialects.deepseek_v3.recognising import kind_of
from workbench.dialects.parsing import parse

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

SYSTEM = "deepseek_v3"
KIND = "_kind"
"""Where a file of another kind than the main one leaves its kind for a writer."""
_CLEANED = "a corpus is cleaned before the run, by tools of its own"


def read(foreign: Foreign) -> Reading:
    """Understand a file of any kind."""
    document, told = parse(foreign, last_wins=True)
    builder = Builder.of(SYSTEM, foreign, document, told)
    name = kind_of(document.tree)[0] or "main"
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

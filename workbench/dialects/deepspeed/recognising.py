"""Whether a text is a config of DeepSpeed's, or a hostfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.dialects.base import Guess
from workbench.dialects.deepspeed.fields import TOP_LEVEL
from workbench.dialects.deepspeed.hostfile import looks_like_hostfile
from workbench.dialects.deepspeed.neox import is_neox
from workbench.dialects.parsing import peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign

_CERTAIN = ("train_micro_batch_size_per_gpu", "zero_optimization")
_LIKELY = ("train_batch_size", "fp16", "bf16", "gradient_clipping", "steps_per_print", "aio",
           "zero_allow_untested_optimizer", "activation_checkpointing", "wall_clock_breakdown",
           "communication_data_type", "flops_profiler")  # fmt: skip


def recognise(foreign: Foreign) -> Guess | None:
    """By the keys at the top of a JSON file, or by the lines of a hostfile."""
    if looks_like_hostfile(foreign.text):
        return Guess(0.95, "its lines are 'NAME slots=N', those of a hostfile")
    tree = peek(foreign, hjson=True)
    if not tree:
        return None
    if is_neox(tree):
        return Guess(0.9, "it has keys of GPT-NeoX, which trains with DeepSpeed")
    known = [key for key in tree if key in TOP_LEVEL]
    if not known or ("model" in tree and isinstance(tree["model"], dict)):
        return None
    certain = [key for key in _CERTAIN if key in tree]
    share = len(known) / len([key for key in tree if not key.startswith("_")] or [1])
    likely = certain or [key for key in _LIKELY if key in tree]
    if not likely:
        return None
    score = min(1.0, 0.6 + 0.4 * share) if certain else 0.15 + 0.6 * share
    return Guess(score, f'it has "{likely[0]}" at its top')

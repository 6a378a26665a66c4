"""Bytes of a checkpoint, on disk, in a node's memory, and while it is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.size import size_of
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.choose import Ledger

_SAVED = "workbench/training/saving.py and checkpoint_tiers.py: fp32, whole tensors"
_IN_MEMORY = 2
"""Checkpoints that the memory tier keeps (`training/checkpoint_tiers.py`)."""


def checkpoint_parts(config: Config, ledger: Ledger) -> tuple[tuple[str, str, int], ...]:
    """(what, formula, bytes) of one checkpoint.

    The weights that learn and their average in fp32, and the optimizer's state, whatever the
    strategy: each tensor is made whole.
    """
    size = size_of(config.model, config.training.mtp, config.lora)
    trained = size.trainable
    parts = [("weights", "4 P", 4 * trained)]
    if config.checkpointing.save_optimizer_states:
        state = ledger.state
        parts.append(("optimizer", f"{state / trained:.3g} P", state))
    if config.training.use_ema:
        parts.append(("moving average", "4 P", 4 * trained))
    return tuple(parts)


def disk_lines(config: Config, ledger: Ledger) -> tuple[Line, ...]:
    """What the checkpoints of a run take on disk at most."""
    training, section = config.training, config.checkpointing
    best = max(section.keep_best_n, int(training.load_best_model_at_end))
    kept = training.save_total_limit + best
    parts = checkpoint_parts(config, ledger)
    lines = [
        Line(f"{kept} checkpoints: {what}", f"{kept} × {formula}", kept * size, "weights", _SAVED)
        for what, formula, size in parts
    ]
    # A new one is whole before an old one goes.
    one = sum(size for _, _, size in parts)
    lines.append(Line("checkpoint that is being written", "one more", one, "temporaries", _SAVED))
    if section.storage_tier.enabled:
        name, formula = "storage tier", f"{training.save_total_limit} × one checkpoint"
        lines.append(Line(name, formula, training.save_total_limit * one, "weights", _SAVED))
    return tuple(lines)


def checkpoint_in_memory(config: Config, ledger: Ledger) -> list[Line]:
    """What checkpoints take of the first node's memory."""
    section, lines = config.checkpointing, list[Line]()
    if not section.asynchronous and not section.memory_tier.enabled:
        return lines
    one = sum(size for _, _, size in checkpoint_parts(config, ledger))
    if section.asynchronous:
        name = "copy of weights and optimizer while a checkpoint is written"
        lines.append(Line(name, "one checkpoint", one, "temporaries", _SAVED, "host"))
    if section.memory_tier.enabled:
        formula = f"{_IN_MEMORY} × one checkpoint"
        line = Line("memory tier", formula, _IN_MEMORY * one, "weights", _SAVED, "host")
        lines.append(line)
    return lines

"""When something is due: every so many steps, or at the end of each pass over the text."""

from __future__ import annotations


def due(step: int, every: int) -> bool:
    """Whether a step is one of every so many; 0 means none."""
    return every > 0 and step % every == 0


def epoch_ends(step: int, sequences_per_step: int, sequences_per_epoch: int | None) -> bool:
    """Whether the last sequence of a pass over the text is in a step.

    Args:
        step: The step, from 1.
        sequences_per_step: Over all devices.
        sequences_per_epoch: None: the text is a stream, whose end nobody knows.
    """
    if sequences_per_epoch is None:
        return False
    seen = step * sequences_per_step
    return seen // sequences_per_epoch > (seen - sequences_per_step) // sequences_per_epoch

"""What every face says about a run: the sign of its state, a sentence, how long it will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import units

if TYPE_CHECKING:
    from workbench.runs.follow import Follower
    from workbench.runs.status import Verdict

STATES: dict[str, tuple[str, str]] = {
    "queued": ("…", "dim"),
    "starting": ("◌", "live"),
    "running": ("●", "live"),
    "stopping": ("◐", "warn"),
    "stalled": ("▲", "warn"),
    "restarting": ("◐", "warn"),
    "finished": ("✓", "good"),
    "stopped": ("■", "dim"),
    "paused": ("■", "dim"),
    "failed": ("✗", "error"),
    "vanished": ("?", "error"),
}
"""By state: its sign, and the role of its colour."""

_RECENT = 64  # steps that the time left is judged by


def mark(state: str) -> tuple[str, str]:
    """The sign of a run's state and the role of its colour."""
    return STATES.get(state, ("·", "dim"))


def sentence(verdict: Verdict, summary: dict[str, Any], step: int, max_steps: int) -> str:
    """One or two sentences about a run that does not train at the moment.

    Args:
        verdict: Its state.
        summary: What the trainer said at the end; empty before.
        step: Last step that was done.
        max_steps: Steps that it is to do; 0 while unknown.
    """
    state, reason = verdict.state, verdict.reason
    if state == "finished":
        words = f"All {step:,} steps are done"
        seconds, loss, untrained = (
            value if isinstance(value := summary.get(name), int | float) else None
            for name in ("seconds", "loss", "untrained_loss")
        )
        words += f", in {units.duration(seconds)}" if seconds is not None else ""
        words += f". Loss {units.number(loss)}" if loss is not None else ""
        words += f", from {units.number(untrained)} untrained" if loss and untrained else ""
        return words + "."
    if state == "queued":
        return f"Queued: {reason}."
    if state == "restarting":
        return f"Restarting: {reason}."
    if state in ("stopped", "paused"):
        return f"After step {step:,} of {max_steps:,}: {reason}."
    if state == "stalled":
        return f"Alive, but without progress: {reason}."
    words = f"Ended after step {step:,}" if step else "Ended before the first step"
    # The error itself stands below, with everything that is known about it.
    return f"{words}." if verdict.error else f"{words}: {reason}."


def seconds_left(follower: Follower, steps: int) -> float:
    """Steps left times the median of the last steps, which an evaluation moves little; or nan."""
    recent = sorted(follower.series("step_s").values[-_RECENT:])
    return steps * recent[len(recent) // 2] if recent and steps >= 0 else float("nan")

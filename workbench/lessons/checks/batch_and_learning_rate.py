"""What the lesson "Batch, accumulation and learning rate" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed
from workbench.lessons.checks.asking import besides, close, pair
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_BATCH = "training.batch_size"
_ACCUMULATION = "training.gradient_accumulation_steps"


@check(
    "accumulated",
    hints=(
        "micro-batch × accumulation has to be 8 again",
        "two keys change: batch_size and gradient_accumulation_steps",
        'learn.launch("accumulated", "lesson", batch_size=2, gradient_accumulation_steps=4)',
    ),
)
def accumulated(work: Work, run: str = "accumulated", base: str = "first") -> Outcome:
    """The same eight sequences per step, two at a time."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    return (
        _other_batch(evidence)
        or besides(evidence, first, _BATCH, _ACCUMULATION)
        or evidence.verify(work)
        or close(evidence, first)
    )


def _other_batch(evidence: RunEvidence) -> Outcome | None:
    batch, times = evidence.value(_BATCH), evidence.value(_ACCUMULATION)
    if batch * times != 8:
        return fail(f"{batch} × {times} are {batch * times} sequences per step, and 8 are wanted")
    if batch != 2:
        return fail(f"{batch} sequences are in the model at a time, and 2 should be")
    return None


@check(
    "tuned",
    hints=(
        "twice the batch, so try a higher learning rate, by a factor between 1.4 and 3",
        'learn.launch("tuned", "lesson", batch_size=16, max_steps=30, learning_rate=0.008)',
    ),
)
def tuned(work: Work, run: str = "tuned", base: str = "big") -> Outcome:
    """A learning rate that is better for the larger batch."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, big = found
    return (
        besides(evidence, big, "training.learning_rate")
        or evidence.verify(work)
        or _better(evidence, big)
    )


def _better(evidence: RunEvidence, big: RunEvidence) -> Outcome:
    rate = evidence.value("training.learning_rate")
    after, before = evidence.val_loss, big.val_loss
    if after is None or before is None:
        return fail("one of the two has no validation loss")
    if after >= before:
        return fail(f"with {rate:g} the validation loss is {after:.3f}, and {before:.3f} before")
    return passed(
        f"with {rate:g} the validation loss is {after:.3f}, and was {before:.3f}",
        learning_rate=rate,
        val_loss=after,
        before=before,
    )


q1 = quiz(
    "q1",
    "b",
    because="the leap was the damage, and flat is what it left behind: earlier weights and shorter "
    "steps are the way back",
    wrong={
        "a": "at that loss the network ignores its input: there is nothing left that a few "
        "more steps would improve",
        "c": "the newest checkpoint holds the same broken weights, and a larger batch averages "
        "their gradients only better",
    },
    hints=(
        "what has the model kept of what it could do with its input?",
        "where did the run high settle, and why there?",
    ),
)

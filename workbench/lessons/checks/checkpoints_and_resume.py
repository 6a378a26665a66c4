"""What the lesson "Checkpoints, resume, reproducibility" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, number
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_KILLED = 9


@check(
    "resumed",
    hints=(
        (
            "the list of actions under ava runs --help has one that goes on from the newest good "
            "checkpoint"
        ),
        (
            'learn.shell("ava runs resume by-hand") starts it, and learn.shell("ava runs watch '
            'by-hand") waits for its end'
        ),
    ),
)
def resumed(work: Work, run: str = "by-hand", base: str = "steady") -> Outcome:
    """A run that was killed, went on by hand, and has the losses of the undisturbed one."""
    evidence, first = work.run(run), work.run(base)
    if evidence is None or first is None:
        return unattempted(f"run the cells that launch {base} and {run} first")
    if len(evidence.attempts) == 1 and not evidence.finished:
        return unattempted(f"{run} has been killed, and nobody has gone on with it yet")
    if wrong := _interrupted(evidence) or besides(evidence, first, "run.max_restarts"):
        return wrong
    if refused := evidence.verify(work) or first.verify(work):
        return refused
    unequal = [step for step, a, b in zip(first.steps, first.losses, evidence.losses, strict=True)
               if a != b]  # fmt: skip
    if unequal:
        return fail(f"the loss of step {unequal[0]} is not that of {base}: it is another run now")
    return passed(
        f"killed by signal 9, gone on from a checkpoint, and all {len(evidence.steps)} losses are "
        f"equal to those of {base} to the last digit",
        attempts=len(evidence.attempts),
        steps=len(evidence.steps),
    )


def _interrupted(run: RunEvidence) -> Outcome | None:
    """Whether the run was killed and went on from a checkpoint; else why not."""
    if not any(each.get("event") == "exited" and each.get("signal") == _KILLED
               for each in run.events):  # fmt: skip
        return fail(
            f"{run.name} was never killed: it came to its end by itself. Remove it with "
            f"ava runs rm {run.name}, and run its cell again"
        )
    if run.event("resumed") is None:
        return fail(f"{run.name} has begun anew, from no checkpoint")
    return None


@check(
    "step",
    hints=(
        'learn.shell("ava runs show by-hand"): the part history says it',
        "it is the newest checkpoint that was still good: not the damaged one, the one before",
    ),
)
def step(work: Work, answer: object = None, run: str = "by-hand") -> Outcome:
    """The step of the checkpoint that the resumed run began with."""
    given = number(answer)
    if isinstance(given, Outcome):
        return given
    evidence = work.run(run)
    event = None if evidence is None else evidence.event("resumed")
    if evidence is None or event is None:
        return fail(f"go on with the run {run} first: exercise 1")
    if given != event.get("step"):
        bad = evidence.event("checkpoint_bad") or {}
        damaged = str(bad.get("path", "")).removeprefix("step-").lstrip("0")
        if damaged and given == int(damaged):
            return fail(f"the checkpoint of step {damaged} was damaged, and nothing was loaded")
        return fail(f"{run} did not go on from step {given:g}")
    return passed(f"the newest checkpoint that verified was that of step {given:g}", step=given)


proof = quiz(
    "proof",
    "b",
    because="the loss of a step is known before the optimizer moves: compare many, to the end",
    wrong={
        "a": "the first loss depends on weights and text alone; a lost optimizer state shows "
        "one step later, and random numbers when they are next used",
        "c": "equal weights and equal text give equal losses, so nothing has to be copied",
    },
    hints=("which parts of a checkpoint act at once, and which act later?",),
)

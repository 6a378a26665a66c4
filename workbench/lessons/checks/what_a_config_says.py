"""What the lesson "What a config says" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, changed, launched_from, pair
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_RATE = 0.001
_OFTEN = 10
_SAFETY = ("training.save_steps", "training.eval_steps")


@check(
    "layer",
    hints=(
        "change the number in the cell and run it: it writes the file again",
        "the only line to change is the last one: learning_rate: 0.001",
    ),
)
def layer(work: Work, file: str = "calm.yaml") -> Outcome:
    """A layer that changes the learning rate and nothing else."""
    from workbench.plan import plan_from

    if work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    plan = work.config(file)
    assert plan is not None, "a file that is not there is untouched"
    base = plan_from("lesson")
    rate = plan.config.training.learning_rate
    if rate != _RATE:
        return fail(f"with {file} the learning rate is {rate:g}, and {_RATE:g} is asked for")
    keys = changed(plan, base)
    if extra := [key for key in keys if key != "training.learning_rate"]:
        return fail(f"{file} changes {extra[0]} too, and nothing but the learning rate should move")
    origin = plan.composed.origins["training.learning_rate"]
    below, line = origin.shadowed[0], origin.mark.line if origin.mark else "?"
    return passed(
        f"{rate:g} comes from line {line} of {file}, over {below.value:g} from {below.layer}",
        learning_rate=rate,
    )


@check(
    "other-seed",
    hints=(
        "a key is given behind the recipe, as max_steps was in the first lesson",
        'learn.launch("other", "lesson", seed=7)',
    ),
)
def other_seed(work: Work, run: str = "other", base: str = "first") -> Outcome:
    """A run that differs from the first in its seed, and in nothing else."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    if wrong := besides(evidence, first, "run.seed") or evidence.verify(work):
        return wrong
    assert evidence.val_loss is not None
    assert first.val_loss is not None
    gap = abs(evidence.val_loss - first.val_loss)
    return passed(
        f"the seed alone moves the validation loss by {gap:.4f}",
        seeds=[evidence.value("run.seed"), first.value("run.seed")],
        gap=gap,
    )


@check(
    "night",
    hints=(
        "what may be lost lies between two checkpoints; ava config explain save_steps says more",
        "both numbers in the file become 10",
        'then launch it: learn.launch("night", config="night.yaml")',
    ),
)
def night(work: Work, run: str = "night", base: str = "first", file: str = "night.yaml") -> Outcome:
    """A run that is saved and validated every ten steps, with the result of the first."""
    if work.run(run) is None and work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    return (
        _too_rarely(evidence)
        or launched_from(work, evidence, file)
        or besides(evidence, first, of_course=(*_SAFETY, "training.save_total_limit"))
        or evidence.verify(work)
        or _morning(evidence, first)
    )


def _too_rarely(evidence: RunEvidence) -> Outcome | None:
    for key, words in zip(_SAFETY, ("may be lost", "pass between validations"), strict=True):
        steps = evidence.value(key)
        if not isinstance(steps, int) or steps > _OFTEN:
            why = f"so many steps {words}, and {_OFTEN} may"
            return fail(f"{key} of {evidence.name} is {steps}: {why}")
    return None


def _morning(evidence: RunEvidence, first: RunEvidence) -> Outcome:
    """What is there in the morning."""
    if evidence.losses != first.losses:
        return fail(f"the losses of {evidence.name} are not those of {first.name}, as they should")
    saved = sorted(each.step for each in evidence.checkpoints() if each.problem is None)
    if not saved:
        return fail(f"{evidence.name} has no checkpoint that can be loaded")
    looked = len(evidence.series("val_loss").steps)
    return passed(
        f"validated {looked} times, whole checkpoints of steps {', '.join(map(str, saved))}, and "
        f"every loss is that of {first.name}",
        checkpoints=saved,
    )


q1 = quiz(
    "q1",
    "c",
    because="change one thing at a time, and know how large the noise is",
    wrong={
        "a": "the seed alone moves the loss by that much, so the learning rate may have done "
        "nothing, or harm",
        "b": "it may matter: this comparison cannot tell, and saying no needs evidence too",
    },
    hints=(
        "how many things differ between the two runs?",
        "the seed alone moves the loss by as much",
    ),
)

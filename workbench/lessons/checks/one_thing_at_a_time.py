"""What the lesson "Change one thing at a time" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, launched_from, pair
from workbench.lessons.evidence_compare import differences, why_not_one_change
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_RATE: Final = "training.learning_rate"
_WIDTH: Final = "model.hidden_size"
_WIDTH_MISREAD: Final = {
    "a": "version 2 differs from version 1 in two things, and its rate alone can do that",
    "c": "the difference is many times what the two seeds of study-1 differ by",
}
_FEWEST_WORDS: Final = 3


@check(
    "untangled",
    hints=(
        "both runs start from version 1: config='study-1.yaml', and behind it one key with a value",
        "study-rate takes learning_rate=0.004, and study-width takes hidden_size=32",
        (
            'learn.launch("study-rate", config="study-1.yaml", learning_rate=0.004), and '
            'learn.launch("study-width", config="study-1.yaml", hidden_size=32)'
        ),
    ),
)
def untangled(work: Work, rate: str = "study-rate", narrow: str = "study-width") -> Outcome:
    """Two runs that differ from version 1 in one key each, with the values of version 2."""
    first, both = work.run("study-1"), work.run("study-2")
    rate_run, narrow_run = work.run(rate), work.run(narrow)
    if rate_run is None or narrow_run is None:
        missing = [name for name, run in ((rate, rate_run), (narrow, narrow_run)) if run is None]
        return unattempted(f"there is no run named {' and none named '.join(missing)} yet")
    if first is None or both is None:
        return fail("run the cells that train study-1 and study-2 first: they are compared with")
    refused = _single(rate_run, first, both, _RATE) or _single(narrow_run, first, both, _WIDTH)
    if refused := refused or rate_run.verify(work) or narrow_run.verify(work):
        return refused
    return passed(
        "each of the two differs from version 1 in one thing",
        rate=rate_run.val_loss,
        width=narrow_run.val_loss,
    )


def _single(run: RunEvidence, first: RunEvidence, both: RunEvidence, key: str) -> Outcome | None:
    if wrong := besides(run, first, key):
        return wrong
    if run.value(key) != both.value(key):
        return fail(f"{run.name} has {key} {run.value(key)}, and version 2 has {both.value(key)}")
    return None


@check(
    "width",
    hints=(
        "compare at one rate at a time: study-1 with study-width, and study-rate with study-2",
        "in both pairs, which of the two has the lower val_loss, the wide one or the narrow one?",
    ),
)
def width(work: Work, answer: object = None) -> Outcome:
    """What the study shows about the narrow model; its own runs have to show it."""
    if answer is None:
        return unattempted("no answer yet")
    names = ("study-1", "study-width", "study-rate", "study-2")
    losses = [run.val_loss for run in work.runs(*names) if run.val_loss is not None]
    if len(losses) < len(names):
        return fail("the four runs of the study come first: the answer is read from them")
    harm = losses[1] - losses[0], losses[3] - losses[2]
    words = f"it changed val_loss by {harm[0]:+.3f} at the low rate, {harm[1]:+.3f} at the high one"
    if min(harm) <= 0:
        return fail(f"these runs do not settle what the width does: {words}")
    given = str(answer).strip().lower()
    if given == "b":
        return passed(f"the narrow model is worse at either rate: {words}", harm=list(harm))
    return fail(f"not {given}: {_WIDTH_MISREAD.get(given, 'the answer is a, b or c')}")


@check(
    "version-3",
    hints=(
        (
            "the file keeps learning_rate: 0.004 and gets one key more; run.description says in a "
            "few words what you expect of it"
        ),
        'run the cell of the file, then learn.launch("study-3", config="study-3.yaml")',
        (
            "for example: warmup_steps: 5 below learning_rate, and the description "
            '"a shorter warm-up, I expect no difference"'
        ),
    ),
)
def version_3(work: Work, file: str = "study-3.yaml", run: str = "study-3") -> Outcome:
    """A version with one change beside study-rate, foretold in its description, and trained."""
    if work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    found = pair(work, run, "study-rate")
    if isinstance(found, Outcome):
        return found
    evidence, base = found
    expected = str(evidence.value("run.description") or "")
    if len(expected.split()) < _FEWEST_WORDS:
        return fail(f"{run} was launched without a run.description that says what you expect")
    if why := why_not_one_change(base, evidence):
        return fail(f"{run} beside study-rate: {why}")
    if refused := launched_from(work, evidence, file) or evidence.verify(work):
        return refused
    changed = next(iter(differences(base, evidence)))
    return passed(
        f"one change, {changed}, and what you expected of it was written down before",
        changed=changed,
        val_loss=evidence.val_loss,
        before=base.val_loss,
    )


small = quiz(
    "small",
    "b",
    because="a gain counts when it is larger than what other dice do",
    wrong={
        "a": "two seeds of one config differ by twice as much, so this may be chance alone",
        "c": "if the gain is chance, the next idea is judged against a lucky baseline",
    },
    hints=("how often would a difference of 0.01 come about by other dice alone?",),
)

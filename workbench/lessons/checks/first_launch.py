"""What the lesson "First launch" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, number, pair
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_STEPS = 120
_ROUNDED = 0.0051  # two decimals, rounded or cut, and a little


@check(
    "read",
    hints=(
        "the validation loss is called val_loss in the listing, and validation loss in the log",
        'run learn.shell("ava runs show first") and look for the line val_loss: its first number',
    ),
)
def read(work: Work, answer: object = None, run: str = "first") -> Outcome:
    """The validation loss of the run, read from what it left behind."""
    given = number(answer)
    if isinstance(given, Outcome):
        return given
    evidence = work.run(run)
    if evidence is None or evidence.val_loss is None:
        return fail(f"there is no run {run} with a validation loss: run the cell that launches it")
    if abs(given - evidence.val_loss) > _ROUNDED:
        return fail(_mistaken(given, evidence))
    words = f"{evidence.val_loss:.4f} nats on text that it never learned from"
    return passed(words, val_loss=evidence.val_loss)


def _mistaken(given: float, evidence: RunEvidence) -> str:
    """What a wrong number may be instead of the newest validation loss."""
    if evidence.last_loss is not None and abs(given - evidence.last_loss) <= _ROUNDED:
        return "that is the loss of the last step, on text that it learned from"
    if any(abs(given - each) <= _ROUNDED for each in evidence.series("val_loss").values):
        return "that is an earlier validation loss: the one of the last step is asked for"
    return f"{given:g} is not the validation loss of {evidence.name}"


@check(
    "longer",
    hints=(
        "the number of steps is the key max_steps",
        'a key is given behind the recipe: learn.launch("some-name", "lesson", batch_size=4)',
        'learn.launch("longer", "lesson", max_steps=120)',
    ),
)
def longer(work: Work, run: str = "longer", base: str = "first") -> Outcome:
    """A second run that takes more steps, and differs in nothing else."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    steps = evidence.value("training.max_steps")
    if steps != _STEPS:
        return fail(f"{run} takes {steps} steps, and {_STEPS} are asked for")
    if wrong := besides(evidence, first, "training.max_steps") or evidence.verify(work):
        return wrong
    return passed(
        f"all {len(evidence.steps)} steps are there, and its first ones came out again when they "
        "were trained once more",
        val_loss=evidence.val_loss,
        before=first.val_loss,
    )


@check(
    "own-text",
    hints=(
        "the text is named by the key data.path: a file, or a folder with text files in it",
        'learn.launch("mine", "lesson", "--data.path", "/home/me/notes.txt"), with a path of yours',
        'learn.launch("mine", "lesson", "--data.path", str(learn.folder / "dates.txt"))',
    ),
)
def own_text(work: Work, run: str = "mine", base: str = "first") -> Outcome:
    """A run on text of the learner's own."""
    evidence = work.run(run)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    if evidence.value("data.path") is None:
        return fail(f"{run} was trained on the text of the recipe: data.path is not set")
    first = work.run(base)
    other = besides(evidence, first, "data.path") if first is not None else None
    if wrong := other or evidence.verify(work):
        return wrong
    text = str(evidence.environment.get("data", ""))
    return passed(f"it was trained on {text}" if text else "it was trained on your text", data=text)


q1 = quiz(
    "q1",
    "b",
    because="a model that knows nothing has a loss of ln 256; to be so much worse it must be sure "
    "of wrong bytes, and nothing that it has read can have taught it that",
    wrong={
        "a": "before the first step the model has learned nothing, so hard text and easy text "
        "look the same to it",
        "c": "the first loss varies little: small random weights guess almost evenly, and then "
        "it is close to the logarithm of the vocabulary",
    },
    hints=(
        "what loss has a model that thinks all 256 bytes equally likely?",
        "minus ln p is 11 where p is less than 1/50,000: what has to happen for that on average?",
    ),
)

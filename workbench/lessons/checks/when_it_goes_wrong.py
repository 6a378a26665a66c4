"""What the lesson "When it goes wrong" asks for."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import differing
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_SEQUENCES: Final = 64
_LENGTH: Final = 1024


@check(
    "nan",
    hints=(
        "which keys of the launch are unusual? The usual values: ava config show lesson",
        "a learning rate of 0.004, and mixed_precision left to the recipe, are enough",
        'learn.launch("nan-repaired", "lesson", max_steps=20, warmup_steps=5)',
    ),
)
def nan(work: Work, run: str = "nan-repaired", base: str = "nan") -> Outcome:
    """A run of as many steps whose losses are numbers, and fall."""
    evidence, first = work.run(run), work.run(base)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    if first is None:
        return fail(f"run the cell that launches {base} first: it is compared with it")
    found = differing(evidence.values, first.values)
    if wrong := _not_repaired(evidence, found):
        return fail(f"{run} is not repaired: {wrong}")
    if refused := evidence.verify(work):
        return refused
    changed = ", ".join(key.removeprefix("training.") for key in found)
    return passed(f"all {len(evidence.steps)} losses are numbers, and they fall: {changed} did it")


def _not_repaired(run: RunEvidence, found: list[str]) -> str:
    """Why a run is no repair of another; empty when it is.

    Args:
        run: The run.
        found: The keys in which it differs from the one that failed.
    """
    if strays := [key for key in found if not key.startswith("training.")]:
        return f"it has another {strays[0]}, and only the training was to change"
    if "training.max_steps" in found:
        return f"it has {run.value('training.max_steps')} steps, and 20 are asked for"
    for step, loss in zip(run.steps, run.losses, strict=True):
        if not math.isfinite(loss):
            return f"the loss of step {step} is no number"
    return run.verdict.reason if run.state == "failed" else ""


@check(
    "data",
    hints=(
        "a line is good when json.loads(line) raises no ValueError",
        "write a function good(line) with try and except, and join the lines for which it is true",
        'learn.launch("good-data", "lesson", "--data.path", str(mended), max_steps=20)',
    ),
)
def data(
    work: Work, run: str = "good-data", file: str = "mended.jsonl", source: str = "notes.jsonl"
) -> Outcome:
    """A file with the good records and no bad one, and a run that was trained on it."""
    evidence = work.run(run)
    text, notes = work.text(file), work.text(source)
    if text is None or notes is None or evidence is None:
        return unattempted(f"{file} and the run {run} are not both there yet")
    lines, wanted = text.splitlines(), [line for line in notes.splitlines() if _good(line)]
    if bad := [place for place, line in enumerate(lines, start=1) if not _good(line)]:
        return fail(f"{file}:{bad[0]} is still no JSON object, and {len(bad) - 1} more lines")
    if lost := len(set(wanted) - set(lines)):
        return fail(f"{lost} of {len(wanted)} good records are missing in {file}")
    if not str(evidence.value("data.path") or "").endswith(file):
        return fail(f"{run} was trained on {evidence.value('data.path')}, and not on {file}")
    return evidence.verify(work) or passed(f"{len(lines)} whole records, and a model has read them")


def _good(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


slow = quiz(
    "slow",
    "c",
    because="the time goes between the steps, where the run evaluates after each of them",
    wrong={
        "a": "the steps are the small part of it, and a smaller batch is another training",
        "b": "the steps are the small part of it, and another rate is another training",
    },
    hints=("compare the two numbers that the cell has printed, then the rows of the table",),
)


@check(
    "fits",
    hints=(
        "batch_size × gradient_accumulation_steps has to stay 64",
        "try 32 × 2, then 16 × 4: the cell of the file and learn.estimate(config='fits.yaml')",
    ),
)
def fits(work: Work, file: str = "fits.yaml") -> Outcome:
    """A plan for the T4 with 64 sequences per step that fits, by the estimate."""
    plan = None if work.untouched(file) else work.config(file)
    if plan is None:
        return unattempted(f"{file} is as the lesson has it")
    config, estimate = plan.config, plan.estimate
    assert estimate is not None, "a plan without errors has an estimate"
    if plan.hardware is None or not plan.hardware.name or estimate.capacity is None:
        return fail(f"{file} is for no card: leave --hardware t4 in its first line")
    sequences = config.training.batch_size * config.training.gradient_accumulation_steps
    if sequences != _SEQUENCES or config.data.max_length != _LENGTH:
        return fail(f"{sequences} sequences of {config.data.max_length} tokens: not the same step")
    need = f"{estimate.needed / 2**30:.1f} GiB of {estimate.capacity / 2**30:.0f} GiB"
    if not estimate.fits:
        return fail(f"it does not fit yet: it needs {need}")
    return passed(f"it fits: {need}, in passes of {config.training.batch_size} sequences")

"""The checks of the lesson beside it: one of each kind."""

from __future__ import annotations

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.evidence import Work
from workbench.lessons.evidence_compare import differences
from workbench.lessons.quiz import quiz


@check(
    "launched",
    hints=("run the cell above it", 'learn.launch("first", "lesson", "--max_steps", "12")'),
)
def launched(work: Work, run: str | None = "first") -> Outcome:
    evidence = work.run(run)
    if evidence is None:
        return unattempted("there is no run of that name yet")
    return evidence.verify(work) or passed("it has finished and learnt", loss=evidence.last_loss)


@check("doubled")
def doubled(work: Work, config: str = "own.yaml") -> Outcome:
    if work.untouched(config):
        return unattempted("the config is as it was given")
    plan, run = work.config(config), work.run("first")
    if plan is None or run is None:
        return unattempted("train first")
    found = differences(run, plan)
    if "training.batch_size" not in found:
        return fail("the batch is what it was")
    before, after = found["training.batch_size"]
    if after != 2 * before:
        return fail(f"the batch is {after}, and twice {before} is {2 * before}")
    others = sorted(set(found) - {"training.batch_size", "training.max_steps"})
    return fail(f"{others[0]} differs too") if others else passed("only the batch", batch=after)


question = quiz(
    "q1",
    "b",
    because="every token is equally likely to it",
    wrong={"a": "a loss of 0 is knowing everything", "c": "that is knowing quite a lot"},
)

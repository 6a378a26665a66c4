"""What the lesson "Where memory goes" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import changed, number
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import Work
    from workbench.plan import Plan

_MAY_CHANGE = ("model.hidden_size", "training.batch_size")
_NEAR = 0.001  # the ledger also counts AdamW's step counters: a few bytes per tensor


@check(
    "optimizer",
    hints=(
        "two numbers for each parameter",
        "each of them takes 4 bytes in fp32",
        "optimizer_bytes = 2 * 4 * plan.size.total",
    ),
)
def optimizer(work: Work, answer: object = None) -> Outcome:
    """The bytes of AdamW's memory."""
    del work
    given = number(answer)
    if isinstance(given, Outcome):
        return given
    from workbench.plan import plan_from

    estimate = plan_from("lesson").estimate
    assert estimate is not None, "a shipped recipe has an estimate"
    parameters = estimate.size.total
    if abs(given - 8 * parameters) <= _NEAR * 8 * parameters:
        return passed("2 × 4 P: the ledger says the same, line by line", bytes=given)
    mistakes = {
        4 * parameters: "that is one number for each parameter, and AdamW keeps two",
        2 * parameters: "that many numbers it keeps, and each takes 4 bytes",
        12 * parameters: "that is optimizer and weights together",
        16 * parameters: "that is everything that depends on P: weights and gradients too",
    }
    near = [why for size, why in mistakes.items() if abs(given - size) <= _NEAR * size]
    return fail(near[0] if near else f"{given:,.0f} bytes are not what AdamW keeps")


@check(
    "heavy",
    hints=(
        "fewer tokens at once make the activations smaller: batch_size",
        "a wider model has more parameters: hidden_size",
        "hidden_size: 256 and batch_size: 1 will do",
    ),
)
def heavy(work: Work, file: str = "heavy.yaml") -> Outcome:
    """A plan ruled by its parameters."""
    from workbench.plan import plan_from

    if work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    plan = work.config(file)
    assert plan is not None, "a file that is not there is untouched"
    if extra := [key for key in changed(plan, plan_from("lesson")) if key not in _MAY_CHANGE]:
        return fail(f"{file} changes {extra[0]} too, and only width and batch may change")
    share = _share_of_parameters(plan)
    if share <= 0.5:
        return fail(f"weights and optimizer are {share:.0%} of the peak: more than half is asked")
    return passed(f"{share:.0%} of the peak depend on the parameters alone", share=share)


def _share_of_parameters(plan: Plan) -> float:
    """The part of the peak that weights and optimizer have, on this machine."""
    from workbench.lessons.learn_estimate import Estimated

    estimated = Estimated(plan)
    found = estimated.categories
    ruled = found.get("weights", 0) + found.get("optimizer", 0)
    return ruled / max(1, sum(found.values()))


q1 = quiz(
    "q1",
    "b",
    because="what fills the peak decides what helps: here fewer tokens at once would",
    wrong={
        "a": "half of what depends on the parameters goes; the question is how much of the peak "
        "that was",
        "c": "the optimizer's memory is 8 P and halves with the weights",
    },
    hints=("which lines of the ledger have no P in their formula?",),
)

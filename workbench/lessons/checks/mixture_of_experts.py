"""What the lesson "Mixture of experts" asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, launched_from, number, pair
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.lessons.evidence import RunEvidence, Work

_LAST = 10
_REMEDY = "model.router_aux_loss_coef"


@check(
    "room",
    hints=(
        "first the fair share: the tokens of a step over the number of experts",
        "then times 1.25",
        "8 × 64 tokens / 8 experts × 1.25",
    ),
)
def room(work: Work, answer: object = None, run: str = "collapsed") -> Outcome:
    """The tokens that an expert has room for in a step."""
    given = number(answer)
    if isinstance(given, Outcome):
        return given
    evidence = work.run(run)
    if evidence is None:
        return fail(f"there is no run {run}: run the cell that launches it")
    experts = evidence.value("model.num_experts")
    factor = evidence.value("model.expert_capacity_factor")
    tokens = evidence.value("training.batch_size") * evidence.value("data.max_length")
    slots = tokens * evidence.value("model.num_experts_per_token")
    right = math.ceil(factor * slots / experts)
    if given == right:
        return passed(f"{slots} / {experts} × {factor:g}: {right} tokens", room=right)
    if given == slots / experts:
        return fail(f"that is the fair share; the room is {factor:g} times as much")
    if given in (tokens, slots * factor):
        return fail("that is for all experts together")
    return fail(f"{given:g} is not the room of an expert")


@check(
    "repaired",
    hints=(
        "the weight has to be large enough to be felt within 60 steps",
        "router_aux_loss_coef: 1.0 is felt",
        'run the cell with the layer, then learn.launch("repaired", config="repaired.yaml")',
    ),
)
def repaired(
    work: Work, run: str = "repaired", base: str = "collapsed", file: str = "repaired.yaml"
) -> Outcome:
    """The same mixture with its experts in use."""
    if work.run(run) is None and work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, collapsed = found
    return (
        besides(evidence, collapsed, _REMEDY)
        or launched_from(work, evidence, file)
        or evidence.verify(work)
        or _in_use(evidence, collapsed)
    )


def _in_use(evidence: RunEvidence, collapsed: RunEvidence) -> Outcome:
    before, after = _dropped(collapsed), _dropped(evidence)
    if after >= before / 2:
        return fail(
            f"{after:.0%} of the tokens are dropped at the end, and {before:.0%} before: the "
            f"weight {evidence.value(_REMEDY):g} is too small for so few steps"
        )
    return passed(
        f"{after:.0%} of the tokens are dropped at the end; it was {before:.0%}",
        dropped=after,
        before=before,
        val_loss=evidence.val_loss,
    )


def _dropped(run: RunEvidence) -> float:
    """The share of dropped tokens over the last steps."""
    values = list(run.series("dropped").values)[-_LAST:]
    return sum(values) / len(values) if values else 1.0


q1 = quiz(
    "q1",
    "b",
    because="each token visits two experts whatever their number, and all 64 have to be kept with "
    "their gradients and their optimizer",
    wrong={
        "a": "a token visits two experts, and the other 62 compute nothing for it",
        "c": "the next token may need any of them, so all have to be there",
    },
    hints=("which of the two numbers in the first cell decides the work of a token?",),
)

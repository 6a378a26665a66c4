"""What the lesson "Make it fit" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import besides, changed, pair, room
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.lessons.evidence import RunEvidence, Work
    from workbench.plan import Plan

_AT_ONCE = 4
_LEVERS = (
    "training.batch_size",
    "training.gradient_accumulation_steps",
    "training.global_batch_size",
    "training.gradient_checkpointing",
    "training.gradient_checkpointing_kind",
)


@check(
    "recomputed",
    hints=(
        "the key is called gradient_checkpointing",
        'learn.launch("recomputed", "lesson", gradient_checkpointing=True)',
    ),
)
def recomputed(work: Work, run: str = "recomputed", base: str = "first") -> Outcome:
    """The first run with recomputation: the same losses, less memory."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    key = "training.gradient_checkpointing"
    if not evidence.value(key):
        return fail(f"{run} was trained without recomputation")
    return (
        besides(evidence, first, key, of_course=(f"{key}_kind",))
        or evidence.verify(work)
        or _the_same(evidence, first)
    )


def _the_same(evidence: RunEvidence, first: RunEvidence) -> Outcome:
    other = [
        step
        for step, one, two in zip(evidence.steps, evidence.losses, first.losses, strict=False)
        if one != two
    ]
    if other or len(evidence.losses) != len(first.losses):
        where = f"from step {other[0]} on" if other else "in their number"
        return fail(f"the losses of {evidence.name} are not those of {first.name} {where}")
    less = _tensors(first) - _tensors(evidence)
    return passed(
        f"all {len(evidence.losses)} losses are the same to the last digit, and by the ledger its "
        f"tensors take {less / 2**20:.2f} MiB less",
        bytes_less=less,
    )


def _tensors(run: RunEvidence) -> int:
    return int(run.prediction["memory"]["allocated"])


@check(
    "fits",
    hints=(
        "with 4 or 8 sequences at once, what is left is to keep less of each: recomputation",
        "gradient_checkpointing: true under training",
        "try both kinds, block and selective, and look at the estimate below",
    ),
)
def fits(work: Work, file: str = "fits.yaml", base: str = "big.yaml") -> Outcome:
    """A plan that fits the card, and learns what the first one would have."""
    if work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    plan, big = work.config(file), work.config(base)
    assert plan is not None, "a file that is not there is untouched"
    if big is None:
        return fail(f"there is no {base} to compare it with: run the cell that writes it")
    return _another(plan, big) or _too_small(plan.config) or room(plan, "rtx_4090")


def _another(plan: Plan, big: Plan) -> Outcome | None:
    """Whether it is another training, or uses what was forbidden."""
    extra = [key for key in changed(plan, big) if key not in _LEVERS]
    offloads = [key for key in extra if "offload" in key or key.startswith("deepspeed.")]
    if offloads:
        return fail(f"nothing is to be offloaded, and the plan sets {offloads[0]}")
    if extra:
        return fail(f"{extra[0]} is another one: that is another training, or another card")
    return None


def _too_small(config: Config) -> Outcome | None:
    batch, times = config.training.batch_size, config.training.gradient_accumulation_steps
    if batch * times != 8:
        return fail(f"a step sees {batch} × {times} = {batch * times} sequences, and 8 are wanted")
    if batch < _AT_ONCE:
        return fail(f"{batch} sequences are in the model at once, and {_AT_ONCE} should be")
    return None


q1 = quiz(
    "q1",
    "c",
    because="weights and optimizer depend on the parameters alone, and only putting them elsewhere "
    "makes them smaller here",
    wrong={
        "a": "recomputation saves activations, and they are at most 4 of the 30 GiB",
        "b": "it saves activations too, and needs a place for the sum of the gradients besides",
    },
    hints=("what do recomputation and a smaller micro-batch make smaller?",),
)

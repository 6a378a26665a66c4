"""What several lessons ask for: runs that differ in what they should, and answers in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lessons.outcome import Outcome, fail, passed, unattempted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.lessons.evidence import RunEvidence, Work
    from workbench.plan import Plan

_LABELS = ("run.name", "run.runs_dir", "run.description", "run.tags", "run.queue")
"""Keys that say what a run is called, and nothing about its training."""

_STEPS, _GAP = 10, 0.02
"""So many steps over the same sequences have losses within so many nats: adding up in another order
and rounding to bf16 made 0.0002 at most when it was measured, other sequences make 0.1 and more."""

_FREE = 0.03
"""Share of a card that a plan has to leave free."""


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys, as dotted paths, that two configs have different values for; labels left out."""
    keys = dict.fromkeys((*one, *other))
    return [key for key in keys if key not in _LABELS and one.get(key) != other.get(key)]


def pair(work: Work, run: str, base: str) -> tuple[RunEvidence, RunEvidence] | Outcome:
    """A run of the learner's and the one to compare it with; an outcome where one is missing."""
    evidence, first = work.run(run), work.run(base)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    if first is None:
        return fail(f"there is no run {base} to compare it with: run the cell that launches it")
    return evidence, first


def besides(
    run: RunEvidence, other: RunEvidence, *allowed: str, of_course: tuple[str, ...] = ()
) -> Outcome | None:
    """Whether a run differs from another in the allowed keys, and in nothing else.

    Args:
        run: The run to judge.
        other: What it is compared with.
        allowed: Keys that have to differ.
        of_course: Keys that may differ.

    Returns:
        None when it does; else why not.
    """
    found = differing(run.values, other.values)
    extra = [key for key in found if key not in (*allowed, *of_course)]
    if extra:
        return fail(
            f"{run.name} differs from {other.name} in {_list(extra)} too: "
            f"{run.value(extra[0])!r} instead of {other.value(extra[0])!r}"
        )
    for key in allowed:
        if key not in found:
            return fail(f"{run.name} has the same {key} as {other.name}: {run.value(key)!r}")
    return None


def close(run: RunEvidence, other: RunEvidence) -> Outcome:
    """Whether two runs have seen the same text, as their first losses show."""
    pairs = list(zip(run.losses, other.losses, strict=False))[:_STEPS]
    gap = max(abs(a - b) for a, b in pairs)
    if gap > _GAP:
        return fail(f"the first losses of {run.name} are {gap:.3f} away from {other.name}'s")
    return passed(
        f"in the first {len(pairs)} steps no loss is further than {gap:.5f} from {other.name}'s",
        gap=gap,
    )


def room(plan: Plan, card: str) -> Outcome:
    """Whether a plan fits its card, with some room to spare; ``card`` is the one to name."""
    estimate = plan.estimate
    if estimate is None or estimate.capacity is None:
        return fail(f"the plan names no card: --hardware {card} behind the name of the file")
    needed, capacity = estimate.needed / 2**30, estimate.capacity / 2**30
    most = (1 - _FREE) * capacity
    if needed > most:
        return fail(
            f"each device needs {needed:.1f} GiB, and of {capacity:.0f} GiB no more than "
            f"{most:.1f} may be taken"
        )
    return passed(f"{needed:.1f} GiB of {capacity:.0f} GiB on each device", needed=estimate.needed)


def changed(plan: Plan, base: Plan) -> list[str]:
    """The keys that two plans have different values for; labels left out."""
    from workbench.runs.compare import flat

    return differing(flat(plan.tree), flat(base.tree))


def launched_from(work: Work, run: RunEvidence, file: str) -> Outcome | None:
    """Whether a run was launched from a config of the lesson as it is now; else why not."""
    from workbench.runs.compare import flat

    plan = work.config(file)
    if plan is None:
        return fail(f"there is no {file} that {run.name} could have been launched from")
    if other := differing(run.values, flat(plan.tree)):
        said = f"{other[0]} is {run.value(other[0])!r} in the run"
        return fail(f"{run.name} was not launched from {file} as it is now: {said}")
    return None


def number(answer: object) -> float | Outcome:
    """A number that the learner has written; else the outcome that says what is wrong with it."""
    if answer is None or answer is ...:
        return unattempted("no answer yet")
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return fail(f"the answer is a number, and {answer!r} is none")
    return float(answer)


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

"""Whether a run is what it says it is: cheap layers first, then a replay, then what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons import evidence_layers
from workbench.lessons.outcome import Outcome, fail, unattempted

if TYPE_CHECKING:
    from workbench.lessons.evidence import Work
    from workbench.lessons.evidence_run import RunEvidence


def verify(run: RunEvidence, work: Work | None, *, ending: str, falls: bool) -> Outcome | None:
    """The first reason for doubt; None when there is none. See `RunEvidence.verify`."""
    if run.alive:
        return unattempted(
            f"{run.name} is {run.state}: step {run.verdict.step} of {run.verdict.max_steps}; "
            "wait for its end and check again"
        )
    for layer, why in evidence_layers.broken(run, ending):
        return _refused(run, layer, why)
    if why := _replayed(run, work):
        return _refused(run, "replay", why, *_advice(run))
    if falls and (why := evidence_layers.fell(run)):
        return _refused(run, "fell", why)
    if work is not None:
        work.proofs[run.name] = run.proof()
    return None


def _replayed(run: RunEvidence, work: Work | None) -> str:
    """Why the steps of the run do not come out again; empty when they do.

    The other runs that the check has opened are replayed with it, in one process.
    """
    from workbench.lessons.replaying import replayed

    if not run.steps:
        return "it has no steps that could be replayed"
    if work is None:
        return replayed({run.dir: run.rows.rows}, None)[run.dir].why
    others = [each for each in work.opened if each.name != run.name and _replayable(each)]
    runs = {each.dir: each.rows.rows for each in (run, *others)}
    return replayed(runs, work.workspace.path / ".ava", told=work.told)[run.dir].why


def _replayable(run: RunEvidence) -> bool:
    """Whether a replay would say anything: it has ended, and nothing else is wrong with it."""
    ended = not run.alive and bool(run.steps)
    return ended and not next(evidence_layers.broken(run, run.state), None)


def _advice(run: RunEvidence) -> tuple[str, ...]:
    """Why an honest run may not come out again."""
    from workbench import __version__

    made = run.meta.get("workbench_version")
    if made != __version__:
        return (f"it was made by version {made}, and this is {__version__}: train it again",)
    return ("train it again with learn.launch(…, again=True), and leave its folder as it is",)


def _refused(run: RunEvidence, layer: str, why: str, *hints: str) -> Outcome:
    return fail(f"the run {run.name}: {why}", *hints, run=run.name, layer=layer)

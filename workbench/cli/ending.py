"""How a run ended, in words, in data, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.cli.output import relative
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir
    from workbench.runs.status import Verdict
    from workbench.runs.watch import Snapshot

_SAMPLE_LINES = 14


def exit_code(state: Verdict) -> int:
    """0 finished, 130 stopped, the error's own code when it failed in a known way, else 1."""
    if state.state == "finished":
        return 0
    if state.state in ("stopped", "paused"):
        return 130
    if state.error is not None:
        return WorkbenchError.from_dict(state.error).exit_code
    return 1


def outcome(run: RunDir, now: Snapshot) -> dict[str, Any]:
    """The outcome as data."""
    return {
        "name": run.name,
        "path": str(run.path.resolve()),
        "state": now.verdict.state,
        "reason": now.verdict.reason,
        "step": now.step,
        "error": now.verdict.error,
        "last": now.last,
        "summary": now.summary or None,
    }


def closing_lines(run: RunDir, now: Snapshot) -> list[str]:
    """What a person wants to know when a run has ended."""
    state, facts = now.verdict.state, now.summary
    if state in ("failed", "vanished"):
        return _failure(run, now)
    place = relative(run.path)
    lines = ["", _headline(now)]
    if "loss" in facts:
        lines += _losses(facts)
    if facts.get("sample"):
        lines += ["", "a sample of what it writes now:", *_sample(str(facts["sample"]))]
    lines += ["", f"the run      {place}/  (training_curves.png, training.log, checkpoints/)"]
    if state in ("stopped", "paused"):
        lines.append(f"go on with   ava train --resume {_reference(run)}")
    else:
        lines += [
            f"look at it   ava runs show {_reference(run)}   or   ava-tui",
            "try next     ava train tiny_cpu --data.path FILE_OR_FOLDER   (your own text)",
        ]
    return lines


def _headline(now: Snapshot) -> str:
    facts = now.summary
    text = f"{now.verdict.state} at step {facts.get('step', now.step)}"
    if "seconds" in facts:
        text += f" after {units.duration(float(facts['seconds']))}"
    if "tokens" in facts:
        text += f", {units.count(float(facts['tokens']))} tokens"
    return text


def _losses(facts: dict[str, Any]) -> list[str]:
    untrained = facts.get("untrained_loss")
    lines = [
        f"loss         {units.number(facts['loss'])}"
        + (
            f"   (untrained: {units.number(untrained)}, the logarithm of the vocabulary)"
            if untrained
            else ""
        )
    ]
    if facts.get("val_loss") is not None:
        lines.append(f"validation   {units.number(facts['val_loss'])}   (text it has never seen)")
    return lines


def _sample(text: str) -> list[str]:
    shown = text.expandtabs(4).splitlines()
    clipped = [f"  │ {line}" for line in shown[:_SAMPLE_LINES]]
    return clipped + (["  │ …"] if len(shown) > _SAMPLE_LINES else [])


def _failure(run: RunDir, now: Snapshot) -> list[str]:
    state = now.verdict
    if state.error is not None:
        lines = [WorkbenchError.from_dict(state.error).render()]
    else:
        verb = "vanished" if state.state == "vanished" else "failed"
        lines = [f"error: the run {run.name} {verb} at step {now.step}: {state.reason}"]
        if now.log:
            lines += ["  its last words:", *(f"    {line}" for line in now.log[-5:])]
    lines.append(f"  run:   {relative(run.path)}")
    if now.step:
        lines.append(f"  go on: ava train --resume {_reference(run)}")
    return lines


def _reference(run: RunDir) -> str:
    """How the run is named on a command line: by its path unless it lies in ./runs."""
    path = relative(run.path)
    return run.name if path == f"runs/{run.name}" else path

"""What has to hold of an honest run before it is worth a replay: cheap, and each with its reason.

Every layer is a function of the evidence that returns why it does not hold, or nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.lessons.evidence_run import RunEvidence

_NEAR: Final = 0.1
"""How far the first loss may be from ln(vocabulary), as a share: the first weights are small, so
that the first guesses are all but uniform. The lessons' model begins 2.5 % below; the widest ones
with few tokens a step have begun 5.2 % below. The replay, which comes after, knows it exactly."""
_SAME: Final = 1e-6
"""Relative difference that rounding may explain where the same numbers are added up again."""


def end(run: RunEvidence, ending: str) -> str:
    """The trainer has said the end, and the supervisor has seen it."""
    if run.state != ending:
        return _other_state(run, ending)
    if ending not in ("finished", "stopped"):
        return ""
    done = run.done
    if done is None:
        return "there is no end event of its trainer, which writes one when it is done"
    said = done.get("summary", {}).get("state") if isinstance(done.get("summary"), dict) else None
    if said != ending:
        return f"its end event says {said}, and not {ending}"
    if not run.exit:
        return "its supervisor has not seen it end: there is no exit.json of the last attempt"
    return ""


def _other_state(run: RunEvidence, ending: str) -> str:
    reason = f": {run.verdict.reason}" if run.verdict.reason else ""
    if ending == "finished":
        return f"it is {run.state}, and has not finished{reason}"
    return f"it is {run.state}, and should be {ending}{reason}"


def config(run: RunEvidence) -> str:
    """What the files of the run say of its config agrees."""
    from workbench.config.reading import read_document
    from workbench.errors import WorkbenchError
    from workbench.runs.compare import flat

    try:
        text = (run.dir.path / "config.yaml").read_text(encoding="utf-8")
        written = flat(read_document(text, "config.yaml").tree)
    except (OSError, UnicodeDecodeError, WorkbenchError):
        return "its config.yaml cannot be read"
    resolved = flat(run.config)
    for key in sorted(written.keys() | resolved.keys()):
        if not _alike(written.get(key), resolved.get(key)):
            return (
                f"its files disagree on {key}: config.yaml says {written.get(key)}, "
                f"config.resolved.json {resolved.get(key)}; one was edited after the launch"
            )
    vocabulary = run.ready.get("vocab_size")
    if vocabulary is not None and vocabulary != run.value("model.vocab_size"):
        return (
            f"its trainer was ready with a vocabulary of {vocabulary}, and the config says "
            f"{run.value('model.vocab_size')}"
        )
    return ""


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    if numbers and isinstance(a, bool) == isinstance(b, bool):
        return math.isclose(a, b, rel_tol=1e-9)
    empty: tuple[Any, ...] = (None, {}, [], ())
    return bool(a == b) or (a in empty and b in empty)


def steps(run: RunEvidence, ending: str) -> str:
    """The rows are those of steps 1 to the last, each once."""
    if run.rows.problem:
        return run.rows.problem
    if not run.environment:
        return "there is no environment.json, which the trainer writes when it begins"
    last = _last_step(run) if ending == "finished" else run.verdict.step
    there = run.steps
    every = run.value("training.logging_steps") or 1
    wanted = [step for step in range(1, last + 1) if step in {1, last} or step % every == 0]
    missing = sorted(set(wanted) - set(there))
    if ending != "finished" and missing and missing[-1] == last and last % every:
        missing.pop()  # a run that ends early has no row for the step where it happened to end
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        return f"it has {len(there)} steps of 1 to {last}: step {missing[0]}{more} missing"
    if there and there[-1] > last:
        return f"it has a step {there[-1]}, and was to end at {last}"
    return ""


def _last_step(run: RunEvidence) -> int:
    """Where a finished run ends: as its config says, or where it was stopped early."""
    summary = run.summary
    if summary.get("stopped_early") and run.value("training.early_stopping_patience"):
        return int(summary.get("step") or 0)
    given = "training.max_steps" in run.origins
    said = run.value("training.max_steps") if given else run.ready.get("max_steps")
    return int(said or 0)


def numbers(run: RunEvidence, ending: str) -> str:
    """The figures of the rows fit each other and the end event."""
    if ending == "finished":
        odd = [row["step"] for row in run.rows.rows if not math.isfinite(_float(row["loss"]))]
        if odd := [step for step in odd if step not in run.skipped]:
            return f"the loss of step {odd[0]} is no number, and the run went on"
    per_step = _float(run.rows.rows[0].get("tokens")) if run.rows.rows else 0.0
    for row in run.rows.rows:
        if run.steps[0] == 1 and _float(row.get("tokens")) != per_step * row["step"]:
            return (
                f"step {row['step']} counts {row.get('tokens')} tokens, not {per_step:.0f} a step"
            )
    return _smoothed(run) if ending == "finished" else ""


def _smoothed(run: RunEvidence) -> str:
    """The smoothed loss of the end event, added up again from the rows.

    It can be, where every step has a row: `workbench.training.progress.Progress` says how.
    """
    said, weight = run.summary.get("loss"), run.value("logging.loss_smoothing")
    whole = run.steps == list(range(1, len(run.steps) + 1))
    if run.config_changed or not whole or not isinstance(weight, int | float) or said is None:
        return ""
    average = total = 0.0
    for loss in run.losses:
        if math.isfinite(loss):
            average, total = weight * average + (1 - weight) * loss, weight * total + 1 - weight
    if total and not math.isclose(average / total, _float(said), rel_tol=_SAME):
        return (
            f"its end event says a smoothed loss of {_float(said):.4f}, and its rows come to "
            f"{average / total:.4f}: they are not the rows that it wrote"
        )
    return ""


def first_loss(run: RunEvidence, ending: str) -> str:
    """A model that knows nothing guesses evenly: its loss is the logarithm of the vocabulary."""
    del ending
    vocabulary, found = run.value("model.vocab_size"), run.first_loss
    if not run.starts_from_nothing or not vocabulary or found is None:
        return ""
    even = math.log(vocabulary)
    if math.isfinite(found) and abs(found - even) <= _NEAR * even:
        return ""
    return (
        f"its first loss is {found:.3f}, and a model that knows nothing begins near "
        f"ln({vocabulary}) = {even:.3f}"
    )


def fell(run: RunEvidence) -> str:
    """The loss is lower at the end than at the beginning: a tenth of the steps against another."""
    losses = [loss for loss in run.losses if math.isfinite(loss)]
    count = max(1, len(losses) // 10)
    if len(losses) < 2:
        return "it has too few steps to say whether the loss fell"
    first, last = sum(losses[:count]) / count, sum(losses[-count:]) / count
    if last < first:
        return ""
    return f"its loss did not fall: {first:.3f} at the beginning, {last:.3f} at the end"


LAYERS: Final[tuple[tuple[str, Callable[[RunEvidence, str], str]], ...]] = (
    ("end", end),
    ("config", lambda run, _: config(run)),
    ("steps", steps),
    ("first loss", first_loss),
    ("numbers", numbers),
)


def broken(run: RunEvidence, ending: str) -> Iterator[tuple[str, str]]:
    """The layers that do not hold, in order, each with its reason."""
    for name, layer in LAYERS:
        if why := layer(run, ending):
            yield name, why


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan

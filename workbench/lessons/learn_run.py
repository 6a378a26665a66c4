"""A run as a cell shows it: how it ended, its figures, its curve."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.lessons.evidence_run import RunEvidence
from workbench.lessons.learn_show import Curve, Table, svg_chart, text_chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.runs.directory import RunDir

_SIGNS = {"finished": "✓", "failed": "✗", "vanished": "✗", "stopped": "■", "paused": "■"}


class Run(RunEvidence):
    """A run of a lesson: the evidence it is, and how it looks.

    Args:
        run: Its directory.
        note: What happened to the request that it answers: ``it was there already``.
    """

    def __init__(self, run: RunDir, note: str = "") -> None:
        super().__init__(run)
        self.note = note
        self.interrupted = False
        """Whether somebody interrupted the cell while the run was being launched."""

    def refreshed(self) -> Run:
        """The same run as it is now."""
        return Run(self.dir, self.note)

    @property
    def headline(self) -> str:
        """One line on how it stands."""
        state, steps = self.verdict, self.verdict.max_steps or "?"
        sign = _SIGNS.get(self.state, "…")
        if self.finished:
            took = self.summary.get("seconds")
            parts = [f"{state.step} steps in {units.duration(float(took or 0))}"]
            if self.summary.get("tokens"):
                parts.append(f"{units.count(float(self.summary['tokens']))} tokens")
            return f"{sign} {self.name} finished: {', '.join(parts)}"
        reason = f": {state.reason}" if state.reason else ""
        return f"{sign} {self.name} {state.state} at step {state.step} of {steps}{reason}"

    @property
    def figures(self) -> list[str]:
        """What it came to, in a line or two."""
        lines = []
        if self.losses:
            last = units.number(self.final_loss)
            line = f"loss {units.number(self.first_loss)} → {last} (mean of the last tenth)"
            vocabulary = self.value("model.vocab_size")
            if self.starts_from_nothing and vocabulary:
                lines.append(line)
                line = f"knowing nothing is ln({vocabulary}) = {math.log(vocabulary):.3f}"
            lines.append(line)
        if self.val_loss is not None:
            lines.append(f"validation loss {units.number(self.val_loss)} (text it has never seen)")
        if self.measured.get("tokens_per_second"):
            lines.append(f"{units.count(self.measured['tokens_per_second'])} tokens/s")
        for label, key in (("why", "why"), ("try", "fix")):
            if self.error.get(key):
                lines.append(f"{label}: {self.error[key]}")
        return lines

    @property
    def curve(self) -> list[Curve]:
        """Its loss, and the loss of held-out text where it was measured more than once."""
        found = [Curve("loss", self.steps, self.losses)] if self.losses else []
        held_out = self.series("val_loss")
        if len(held_out) > 1:
            found.append(Curve("validation", list(held_out.steps), list(held_out.values)))
        return found

    def __repr__(self) -> str:
        lines = [self.headline, *(f"  {line}" for line in self.figures)]
        if len(self.losses) > 1:
            lines.append(text_chart(self.curve, title="loss"))
        return "\n".join(([self.note] if self.note else []) + lines)

    def html(self) -> str:
        """The run as HTML."""
        note = f"<div>{html.escape(self.note)}</div>" if self.note else ""
        figures = "".join(f"<div>{html.escape(line)}</div>" for line in self.figures)
        picture = svg_chart(self.curve, title=f"loss of {self.name}") if self.curve else ""
        return f"<div>{note}<div><b>{html.escape(self.headline)}</b></div>{figures}{picture}</div>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.html()}


class Comparison:
    """Several runs side by side: a table of figures and of what differs, and their curves.

    Args:
        runs: The runs, those that are there.
        missing: Names that no run has.
    """

    def __init__(self, runs: Sequence[RunEvidence], missing: Sequence[str] = ()) -> None:
        self.runs = list(runs)
        self.missing = list(missing)

    @property
    def table(self) -> Table:
        """The figures."""
        from workbench.lessons.evidence_compare import differing

        keys = differing(self.runs)
        shown = [key.rpartition(".")[2] for key in keys]
        rows = [
            [
                run.name,
                run.state,
                run.verdict.step,
                run.first_loss,
                run.final_loss,
                run.val_loss,
                run.measured.get("tokens_per_second"),
                *(_cell(run.values.get(key)) for key in keys),
            ]
            for run in self.runs
        ]
        notes = [f"there is no run {name} yet" for name in self.missing]
        headings = ["run", "state", "steps", "first loss", "loss", "validation", "tokens/s", *shown]
        return Table(headings, rows, notes=notes)

    @property
    def curves(self) -> list[Curve]:
        """The loss of each."""
        return [Curve(run.name, run.steps, run.losses) for run in self.runs if run.losses]

    def __repr__(self) -> str:
        parts = [repr(self.table)]
        if self.curves:
            parts.append(text_chart(self.curves, title="loss"))
        return "\n\n".join(parts)

    def html(self) -> str:
        """The comparison as HTML."""
        return f"<div>{self.table.html()}{svg_chart(self.curves, title='loss')}</div>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.html()}


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)

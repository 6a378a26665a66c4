"""A report as lines of text, each with the name of a style for faces that have colours."""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from workbench import units
from workbench.lessons.faults.report import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.faults.registry import Fault
    from workbench.lessons.faults.report import Curve, Phase, Report, Step

_CURVE_ROWS = 10
_WIDE = 20  # a larger quotient of largest and smallest value is drawn on a logarithmic axis
_MARGIN = "  │ "


class Row(NamedTuple):
    """One line: ``title``, ``head``, ``prose``, ``command``, ``output``, ``good`` or ``bad``."""

    style: str
    text: str


def page(report: Report, width: int) -> str:
    """The whole report."""
    rows = list(title(report.fault, width))
    phase: Phase | None = None
    for step in report.steps:
        rows += step_rows(step, phase, width)
        phase = step.phase
    rows += verdict(report)
    return "\n".join(row.text.rstrip() for row in rows)


def title(fault: Fault, width: int) -> Iterator[Row]:
    """How a report begins."""
    yield Row("title", fault.title)
    yield from (Row("prose", line) for line in textwrap.wrap(fault.what_happens, width - 2))


def step_rows(step: Step, before: Phase | None, width: int) -> Iterator[Row]:
    """The lines of a step.

    Args:
        step: The step.
        before: The phase of the step before it; another one gets its heading.
        width: Columns.
    """
    if step.phase != before:
        yield Row("prose", "")
        yield Row("head", HEADINGS[step.phase])
    if step.kind == "claim":
        sign, style = ("✓", "good") if step.holds else ("✗", "bad")
        text = step.text + (f": {step.found}" if step.found else "")
        yield from _wrapped(style, text, width, f"  {sign} ", "    ")
    elif step.kind == "curve":
        yield Row("prose", "")
        yield from (Row("output", f"  {line}") for line in _picture(step, width - 4))
    elif step.kind == "ran":
        yield Row("prose", "")
        yield from _command(step.command, width)
        for line in step.output.splitlines():
            yield from _wrapped("output", line, width, _MARGIN, _MARGIN + _hang(line))
        if step.exit_code:
            yield Row("prose", f"  exit code {step.exit_code}")
    else:
        yield from _wrapped("prose", step.text, width, "  ", "  ")


def verdict(report: Report) -> Iterator[Row]:
    """How a report ends."""
    count = len(report.claims)
    yield Row("prose", "")
    if report.verified:
        yield Row("good", f"Produced and repaired: {count} checks, all hold.")
        return
    failed = sum(not step.holds for step in report.claims)
    said = f"{failed} of {count} checks do not hold" if failed else "nothing was proved"
    yield Row("bad", f"Not as promised: {said}.")


def _wrapped(style: str, text: str, width: int, first: str, rest: str) -> Iterator[Row]:
    """The text in lines of at most so many columns; spaces within a line are kept."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        drop_whitespace=len(text) + len(first) > width,
        expand_tabs=True,
        replace_whitespace=False,
        break_on_hyphens=False,
    )
    yield from (Row(style, line) for line in lines or [first])


def _command(command: str, width: int) -> Iterator[Row]:
    """A command, in lines that can be copied into a shell."""
    # An option stays with its value: both are one word until the lines are made.
    words = re.sub(r"(--?[\w.]+) (?=[^-])", "\\1\N{NO-BREAK SPACE}", command)
    lines = [row.text for row in _wrapped("command", words, width - 2, "  $ ", "      ")]
    for place, line in enumerate(lines):
        end = " \\" if place + 1 < len(lines) else ""
        yield Row("command", line.replace("\N{NO-BREAK SPACE}", " ") + end)


def _hang(line: str) -> str:
    """How far the rest of a long line is set in: below its own text."""
    text = line.lstrip()
    label, colon, rest = text.partition(":")
    labelled = colon and rest.startswith("  ") and " " not in label
    inner = len(label) + 1 + len(rest) - len(rest.lstrip()) if labelled else 2
    return " " * (len(line) - len(text) + inner)


def _end(curve: Curve) -> str:
    return units.number(curve.values[-1]) if curve.values else "no value"


def _picture(step: Step, width: int) -> list[str]:
    from workbench.runs.braille import Line, plot

    # Without colours it is by their ends that lines are told apart.
    lines = [
        Line(curve.steps, curve.values, f"series-{place}", f"{curve.label}: {_end(curve)}")
        for place, curve in enumerate(step.curves)
    ]
    values = [value for curve in step.curves for value in curve.values if 0 < value < math.inf]
    wide = bool(values) and max(values) > _WIDE * min(values)
    rows = plot(lines, width, _CURVE_ROWS, title=step.text, x_label="step", y_log=wide)
    return ["".join(text for text, _ in row) for row in rows]

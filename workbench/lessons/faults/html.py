"""A report as HTML: no scripts, nothing from elsewhere, readable on light and dark pages."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

from workbench.lessons.faults.report import HEADINGS
from workbench.lessons.faults.text import verdict
from workbench.lessons.learn_show import Curve, svg_chart

if TYPE_CHECKING:
    from workbench.lessons.faults.report import Report, Step

_BLOCK: Final = (
    "margin:.4em 0;padding:.5em .8em;border-left:3px solid #8888;background:#8881;"
    "white-space:pre-wrap;overflow-wrap:anywhere"
)


def page(report: Report) -> str:
    """The whole report. Colours are those of the page; nothing is told by colour alone."""
    parts = [
        f"<h3>{escape(report.fault.title)}</h3>",
        f"<p>{escape(report.fault.what_happens)}</p>",
    ]
    phase = None
    for step in report.steps:
        if step.phase != phase:
            phase = step.phase
            parts.append(f"<h4>{escape(HEADINGS[phase])}</h4>")
        parts.append(_step(step))
    last = "".join(row.text for row in verdict(report))
    parts.append(f"<p><b>{escape(last)}</b></p>")
    return f'<div class="ava-fault">{"".join(parts)}</div>'


def _step(step: Step) -> str:
    if step.kind == "claim":
        sign, word = ("✓", "holds") if step.holds else ("✗", "does not hold")
        found = f": {escape(step.found)}" if step.found else ""
        return f'<p><b><span title="{word}">{sign}</span></b> {escape(step.text)}{found}</p>'
    if step.kind == "curve":
        if not any(math.isfinite(value) for each in step.curves for value in each.values):
            return f"<p>{escape(step.text)}: no finite value</p>"
        curves = [Curve(each.label, each.steps, each.values) for each in step.curves]
        picture = svg_chart(curves, title=step.text)
        return f"<figure><figcaption>{escape(step.text)}</figcaption>{picture}</figure>"
    if step.kind == "ran":
        code = f"\nexit code {step.exit_code}" if step.exit_code else ""
        told = f"\n{escape(step.output)}" if step.output else ""
        return f'<pre style="{_BLOCK}"><b>$ {escape(step.command)}</b>{told}{code}</pre>'
    return f"<p>{escape(step.text)}</p>"

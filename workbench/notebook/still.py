"""What a widget shows where no widgets run: on GitHub, in an exported page, in a terminal.

Plain text, and HTML that needs nothing else: tables and inline SVG, no script. Colours of the page,
and never a meaning in a colour alone.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from workbench.lessons.learn_show import Curve, Table, svg_chart, text_chart
from workbench.notebook import planview

if TYPE_CHECKING:
    from workbench.notebook.session import Session
    from workbench.notebook.watching import Watching
    from workbench.outlook import Outlook

Still = tuple[str, str]
"""As text, and as HTML."""

_WIDTH, _HEIGHT = 560, 26
_MOST_RUNS = 30


def plan_still(session: Session) -> Still:
    """A plan: does it fit, one step, memory by category, speed and money, findings."""
    with session.lock:
        draft, outlook = session.draft, session.outlook
        recipe = draft.base.recipe
        title = recipe.title if recipe else " → ".join(draft.plan.composed.stack)
        return outlook_still(title, outlook)


def outlook_still(title: str, outlook: Outlook) -> Still:
    """The same of an outlook."""
    meter = planview.meter_view(outlook)
    if not meter["known"]:
        words = "\n".join([meter["words"], *(each.render() for each in outlook.findings)])
        return f"{title}\n{words}", f"<p><b>{escape(title)}</b></p><pre>{escape(words)}</pre>"
    estimate = outlook.estimate
    equation = "" if estimate is None else estimate.batch.equation()
    memory = Table(
        ("memory of one device", "bytes", "share"),
        [[part["name"], part["size"], f"{part['of']:.0%}"] for part in meter["parts"]],
    )
    figures = Table(
        ("figure", "value", "range or reason"),
        [[row["label"], row["value"], row["note"]] for row in planview.figures_view(outlook)],
    )
    found = [f"{each['sign']} {each['message']}" for each in findings(outlook)]
    verdict = f"{meter['verdict']}: {meter['needed']}"
    verdict += f" of {meter['card']}" if meter["card"] else ""
    verdict += f" on {meter['device']}"
    verdict += f", {meter['lacking']}" if meter["lacking"] else ""
    text = "\n".join([title, verdict, equation, "", repr(memory), "", repr(figures), *found])
    html = (
        f"<p><b>{escape(title)}</b><br>{escape(verdict)}<br>{escape(equation)}</p>"
        f"{meter_svg(meter)}{memory.html()}{figures.html()}"
        + "".join(f"<div>{escape(line)}</div>" for line in found)
    )
    return text, html


def findings(outlook: Outlook) -> list[dict[str, Any]]:
    """The findings of an outlook as data."""
    return planview.findings_view(outlook.findings)


def meter_svg(meter: dict[str, Any]) -> str:
    """Memory by category against the card: what is beyond it is hatched."""
    inner = _WIDTH - 2
    x, bars = 1.0, []
    for place, part in enumerate(meter["parts"]):
        width = part["share"] * inner
        opacity = 0.75 - 0.5 * (place % 4) / 3
        bars.append(
            f'<rect x="{x:.1f}" y="1" width="{width:.1f}" height="{_HEIGHT - 2}" '
            f'fill="currentColor" fill-opacity="{opacity:.2f}" stroke="currentColor">'
            f"<title>{escape(part['name'])} {escape(part['size'])}</title></rect>"
        )
        x += width
    border = 1 + meter["border"] * inner
    over = ""
    if meter["fits"] is False:
        strokes = "".join(
            f"M{at:.0f},{_HEIGHT - 1}l{_HEIGHT - 2},-{_HEIGHT - 2}"
            for at in range(round(border), _WIDTH - _HEIGHT, 8)
        )
        over = f'<path d="{strokes}" stroke="currentColor" stroke-width="2"/>'
    mark = f'<path d="M{border:.1f},0V{_HEIGHT}" stroke="currentColor" stroke-width="3"/>'
    frame = (
        f'<rect x="1" y="1" width="{inner}" height="{_HEIGHT - 2}" fill="none" '
        'stroke="currentColor"/>'
    )
    return (
        f'<svg role="img" aria-label="{escape(meter["spoken"])}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" style="max-width:100%;height:auto">{"".join(bars)}{over}{frame}'
        f"{mark if meter['card'] else ''}</svg>"
    )


def chart_still(watching: Watching) -> Still:
    """The curves, and how far the front run is."""
    watching.judged()
    lines = watching.curves.lines(watching.followers)[::-1]
    curves = [Curve(line.name, line.x.tolist(), line.y.tolist()) for line in lines]
    metric = watching.look.metric
    names = ", ".join(watching.names)
    if not curves:
        words = f"{metric} of {names}: no step yet" if names else "no run is followed"
        return words, f"<p>{escape(words)}</p>"
    facts = watching.progress()
    words = f"{facts['run']}: {facts['sign']} {facts['state']}, {facts['words']}"
    title = f"{metric} of {names}"
    text = f"{words}\n{text_chart(curves, title=title)}"
    return text, f"<p>{escape(words)}</p>{svg_chart(curves, title=title)}"


def runs_still(watching: Watching) -> Still:
    """The runs of the folder as a table."""
    table = runs_table(watching.runs_dir())
    return repr(table), table.html()


def runs_table(folder: Any) -> Table:
    """The runs of a folder, the newest first."""
    from workbench.runs.overview import Overview

    overview = Overview(folder)
    overview.poll()
    shown = overview.entries[:_MOST_RUNS]
    left = len(overview.entries) - len(shown)
    return Table(
        ("run", "state", "step", "of", "loss"),
        [[each.name, each.state, each.step, each.max_steps, each.loss] for each in shown],
        notes=[f"and {left} older ones"] if left else ([] if shown else ["no runs yet"]),
    )

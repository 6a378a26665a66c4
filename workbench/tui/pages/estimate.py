"""The page of an estimate: does it fit, what is one step, how fast, how long, how much money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from workbench import units
from workbench.outlook import Figures, Outlook, dollars, hours
from workbench.tui.pages.key import finding_row
from workbench.tui.rows import Row, clip, columns, fit, heading, wrap

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.speed import Interval
    from workbench.tui.widgets.canvas import Page

__all__ = [
    "Figures",
    "Outlook",
    "dollars",
    "estimate_page",
    "finding_rows",
    "repairs",
    "short_page",
    "verdict_row",
]

_GLYPHS = {
    "weights": "█",
    "optimizer": "▓",
    "gradients": "▒",
    "activations": "░",
    "temporaries": "▚",
    "communication": "▞",
    "inputs": "▪",
    "process": "▫",
}
_ROOMY = 20  # rows from which on every category has a row of its own


def estimate_page(outlook: Outlook) -> Page:
    """Everything, as far as the height goes."""

    def page(width: int, height: int) -> list[Row]:
        estimate, now = outlook.estimate, outlook.now
        if estimate is None or now is None:
            rows: list[Row] = [[("✗ a value is none, so nothing can be said yet", "error")], []]
            return rows + finding_rows(outlook.findings, width)
        rows = [verdict_row(outlook, width)]
        rows += _memory(outlook, width, full=height >= _ROOMY)
        rows += [[], heading("One step", width), *_equation(estimate, width)]
        rows += [[], heading("Speed and money", width), *_money(outlook, width)]
        counted = _counted(outlook.findings)
        rows += [[], heading("Findings", width, counted), *finding_rows(outlook.findings, width)]
        return rows

    return page


def short_page(outlook: Outlook) -> Page:
    """The four rows that matter most, for a screen that has no more room."""

    def page(width: int, height: int) -> list[Row]:
        del height
        estimate, now = outlook.estimate, outlook.now
        if estimate is None or now is None:
            first = next((each for each in outlook.findings if each.severity == "error"), None)
            words = first.message if first else "a value is none"
            return [[("✗ ", "error"), *row] for row in wrap(words, width - 2)][:4]
        equation = estimate.batch
        step = (
            f"{equation.micro} × {equation.accumulation} × {equation.devices}"
            f" = {equation.sequences:,} sequences = {equation.tokens:,} tokens a step"
        )
        speed, counted = _speed_words(outlook), _counted(outlook.findings)
        return [
            verdict_row(outlook, width),
            _bar(outlook, width),
            columns([(step, "value")], [(counted, "warn" if "error" in counted else "dim")], width),
            [(clip(speed, width), "")],
        ]

    return page


def verdict_row(outlook: Outlook, width: int) -> Row:
    """Fits, does not fit, or nobody knows; by how much."""
    estimate, now = outlook.estimate, outlook.now
    assert estimate is not None, "there is an estimate"
    assert now is not None, "and its figures"
    card = outlook.card
    needed = units.size(now.needed)
    of = f" of {units.size(card)}" if card else ""
    title = estimate.hardware.title if estimate.hardware else "this machine"
    right: Row = [(title, "dim")]
    delta = _delta(now.needed, outlook.before and outlook.before.needed, units.size)
    fits = outlook.fits
    if fits is None:
        return columns([("? ", "warn"), (needed + of, "value"), delta], right, width)
    if fits:
        return columns([("✓ fits  ", "good"), (needed + of, "value"), delta], right, width)
    lacking = f", {units.size(now.needed - (card or 0))} too much"
    row: Row = [("✗ does not fit  ", "error"), (needed + of, "value"), (lacking, "error"), delta]
    return columns(row, right, width)


def _memory(outlook: Outlook, width: int, *, full: bool) -> list[Row]:
    estimate, now = outlook.estimate, outlook.now
    assert estimate is not None, "there is an estimate"
    assert now is not None, "and its figures"
    rows = [_bar(outlook, width)]
    memory = estimate.memory
    if full:
        before = outlook.before.categories if outlook.before is not None else None
        for name, size in now.categories.items():
            glyph = _GLYPHS.get(name, "█")
            row: Row = [(f" {glyph} ", f"cat:{name}"), (f"{name:<15}", "")]
            row += [(f"{units.size(size):>9}", "value"), (f"{size / now.needed:>6.0%}", "dim")]
            was = None if before is None else before.get(name, 0)
            row.append(_delta(size, was, units.size))
            rows.append(fit(row, width))
    rows.append(fit([("peak       ", "dim"), (memory.peak.name, "")], width))
    if now.largest is not None:
        words = f"{now.largest[0]}, {units.size(now.largest[1])}"
        rows.append(fit([("dominated  ", "dim"), (clip(words, width - 11), "")], width))
    return rows


def _bar(outlook: Outlook, width: int) -> Row:
    """Memory by category against the card; what is beyond the card stands behind its border."""
    estimate, now = outlook.estimate, outlook.now
    assert estimate is not None, "there is an estimate"
    assert now is not None, "and its figures"
    card = outlook.card or 0
    whole = max(card, now.needed, 1)
    cells = max(width - 1, 1)
    row: Row = []
    drawn = done = 0
    border = round(card / whole * cells) if card else cells
    categories = now.categories or {"weights": now.needed}
    for name, size in categories.items():
        done += size
        upto = round(done / whole * cells)
        row.append((_GLYPHS.get(name, "█") * (upto - drawn), f"cat:{name}"))
        drawn = upto
    row.append(("·" * max(border - drawn, 0), "faint"))
    flat = fit(row, cells)
    if not card:
        return flat
    return _with_border(flat, border)


def _with_border(row: Row, at: int) -> Row:
    """The row with the card's end between its cells."""
    result: Row = []
    place = 0
    for text, style in row:
        size = cell_len(text)
        if place <= at < place + size:
            result += [(text[: at - place], style), ("┃", "value"), (text[at - place :], style)]
        else:
            result.append((text, style))
        place += size
    return result if at < place else [*result, ("┃", "value")]


def _equation(estimate: Estimate, width: int) -> list[Row]:
    batch = estimate.batch
    first = (
        f"{batch.micro} sequences × {batch.accumulation} accumulation × {batch.devices} "
        f"device{'s' if batch.devices != 1 else ''}"
    )
    second = f"= {batch.sequences:,} sequences × {batch.length:,} = {batch.tokens:,} tokens"
    size = estimate.size
    active = f", {units.count(size.active)} active" if size.active != size.total else ""
    return [
        fit([(first, "value")], width),
        fit([(f"  {second}", "value")], width),
        fit([(f"{units.count(size.total)} parameters{active}", "dim")], width),
    ]


def _money(outlook: Outlook, width: int) -> list[Row]:
    estimate, now, before = outlook.estimate, outlook.now, outlook.before
    assert estimate is not None, "there is an estimate"
    assert now is not None, "and its figures"
    speed = estimate.speed
    if speed is None:
        why = estimate.no_speed
        return wrap(f"not known: {why.why}" if why is not None else "not known", width, "dim")
    rows: list[Row] = []

    def line(label: str, value: str, interval: str, delta: tuple[str, str]) -> None:
        row: Row = [(f"{label:<11}", "dim"), (value, "value"), (interval, "dim"), delta]
        rows.append(fit(row, width))

    rate = speed.tokens_per_second
    was = before.tokens_per_second if before is not None else None
    line("tokens/s", units.count(rate.likely), _between(rate, units.count),
         _delta(rate.likely, was, units.count))  # fmt: skip
    line(
        "MFU",
        f"{speed.mfu:.0%}",
        f"  of {units.count(speed.peak)}FLOP/s, {speed.precision}",
        ("", ""),
    )
    if estimate.time is not None:
        line("time", hours(estimate.time.likely), _between(estimate.time, hours),
             _delta(estimate.time.likely, before.hours if before else None, hours))  # fmt: skip
    else:
        line("time", "–", f"  {estimate.budget.because}", ("", ""))
    if estimate.cost is not None:
        cost, was = estimate.cost, before.dollars if before is not None else None
        delta = _delta(cost.likely, was, dollars)
        line("money", dollars(cost.likely), _between(cost, dollars), delta)
    if estimate.energy is not None:
        line("energy", f"{estimate.energy.likely:,.3g} kWh", "", ("", ""))
    return rows


def _speed_words(outlook: Outlook) -> str:
    estimate = outlook.estimate
    assert estimate is not None, "there is an estimate"
    if estimate.speed is None:
        return "speed not known: " + (estimate.no_speed.why if estimate.no_speed else "")
    words = f"{units.count(estimate.speed.tokens_per_second.likely)} tokens/s"
    if estimate.time is not None:
        words += f"   {hours(estimate.time.likely)}"
    if estimate.cost is not None:
        words += f"   {dollars(estimate.cost.likely)}"
    return words


def finding_rows(findings: list[Finding], width: int) -> list[Row]:
    """The findings, each with the number of the key that repairs it."""
    if not findings:
        return [[("✓ nothing to say", "good")]]
    rows: list[Row] = []
    number = 0
    for finding in findings:
        rows += finding_row(finding, width)
        if finding.fixes and number < 9:
            number += 1
            fix = clip(finding.fixes[0].title, width - 6)
            rows.append([("  ", ""), (f"{number}", f"key@fix({number})"), (f"  {fix}", "good")])
    return rows


def repairs(findings: list[Finding]) -> list[Finding]:
    """The findings that the keys 1 to 9 repair."""
    return [finding for finding in findings if finding.fixes][:9]


def _counted(findings: list[Finding]) -> str:
    parts = []
    for severity, words in (("error", "error"), ("warning", "warning"), ("hint", "hint")):
        number = sum(finding.severity == severity for finding in findings)
        if number:
            parts.append(f"{number} {words}{'s' if number > 1 else ''}")
    return ", ".join(parts)


def _delta(now: float, before: float | None, spell: object) -> tuple[str, str]:
    """The change since the last edit; nothing where there is none."""
    if before is None or not callable(spell) or abs(now - before) <= 1e-4 * abs(before):
        return "", ""
    more = now > before
    return f"  {'↑' if more else '↓'} {spell(abs(now - before))}", "warn"


def _between(interval: Interval, spell: object) -> str:
    assert callable(spell), "a function that spells numbers"
    return f"  {spell(interval.low)} to {spell(interval.high)}"

"""What is known about one key: the text behind F1, and the lines below the form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui.form import value_text
from workbench.tui.rows import Row, fit, heading, wrap

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.config.keys import Key
    from workbench.tui.form import Shown
    from workbench.tui.widgets.canvas import Page

SIGNS = {"error": ("✗ ", "error"), "warning": ("▲ ", "warn"), "hint": ("· ", "dim")}


def brief_page(key: Key | None, shown: Shown | None, findings: list[Finding]) -> Page:
    """The key in a few lines, with the worst that is to be said about it."""

    def page(width: int, height: int) -> list[Row]:
        if key is None or shown is None:
            return [[("no key is chosen", "dim")]]
        default = f"{key.kind}; default {value_text(key.default)}"
        buttons = _buttons(key, shown)
        left = fit([(key.path, "title"), (f"  {default}", "dim")], width - _cells(buttons))
        rows: list[Row] = [[*left, *buttons]]  # first, so that a button stays where it is
        for finding in findings[:1]:
            rows += finding_row(finding, width)
        rows += wrap(key.meaning, width)
        if key.changes:
            rows += wrap(f"moves: {key.changes}", width, "dim")
        return rows[:height]

    return page


def _buttons(key: Key, shown: Shown) -> Row:
    """What a mouse needs to change the value without typing."""
    words = [("undo", "reset")] if shown.edited else []
    if key.type in ("boolean", "choice", "integer", "number"):
        words += [("-", "turn(-1)"), ("+", "turn(1)")]
    words.append(("?", "explain"))
    return [part for text, act in words for part in ((" ", ""), (f" {text} ", f"choice@{act}"))]


def _cells(row: Row) -> int:
    return sum(len(text) for text, _ in row)


def full_page(key: Key, shown: Shown, findings: list[Finding]) -> Page:
    """Everything."""

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [[(key.path, "title")], [], *wrap(key.meaning, width), []]
        for label, text in _facts(key, shown):
            first, *rest = wrap(text, width - 11)
            rows += [[(f"{label:<11}", "dim"), *first], *([(" " * 11, ""), *row] for row in rest)]
        rows += [[], heading("Where the value comes from", width), *_origins(shown, width)]
        if findings:
            rows += [[], heading("What is to be said about it", width)]
            for finding in findings:
                rows += finding_row(finding, width)
        return rows

    return page


def _facts(key: Key, shown: Shown) -> list[tuple[str, str]]:
    facts = (
        ("takes", key.kind + (f", in {key.unit}" if key.unit else "")),
        ("default", value_text(key.default)),
        ("now", value_text(shown.value)),
        ("moves", key.changes),
        ("needs", key.needs),
        ("no effect", key.ignored),
        ("trainer", key.why_unhonoured(shown.value) or key.unhonoured),
        ("also", ", ".join(key.aliases)),
    )
    return [(label, text) for label, text in facts if text]


def _origins(shown: Shown, width: int) -> list[Row]:
    if shown.origin is None:
        return [[("no layer sets it: the default holds", "dim")]]
    rows: list[Row] = []
    for each in (shown.origin, *shown.origin.shadowed):
        text = f"  {each.place()}" + (f", as {each.alias}" if each.alias else "")
        rows.append(fit([(f"{value_text(each.value):<18}", "value"), (text, "dim")], width))
    return rows


def finding_row(finding: Finding, width: int) -> list[Row]:
    """A finding in as many rows as it takes."""
    sign, role = SIGNS[finding.severity]
    first, *rest = wrap(finding.message, width - 2)
    return [[(sign, role), *first], *([("  ", ""), *row] for row in rest)]

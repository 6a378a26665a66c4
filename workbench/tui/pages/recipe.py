"""The page of a recipe: what it is for, what one step is, and what is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.tui.pages.message import message_rows
from workbench.tui.rows import Row, columns, fit, heading, wrap

if TYPE_CHECKING:
    from workbench.plan import Plan, Recipe
    from workbench.tui.widgets.canvas import Page

# What a person looks for first; everything else is in `ava config show`.
_SETTINGS = (
    ("model", ("hidden_size", "num_layers", "num_attention_heads", "num_experts", "vocab_size")),
    ("training", ("max_steps", "batch_size", "learning_rate", "warmup_steps", "mixed_precision")),
    ("data", ("path", "tokenizer", "max_length")),
)
_UNSET = {"path": "the built-in text"}  # what null means, where a dash would not say it


def recipe_page(recipe: Recipe, made: Plan | WorkbenchError | None) -> Page:
    """The page; while there is no plan it shows what the recipe itself says."""

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [
            columns([(recipe.title, "title")], [("recipe ", "dim"), (recipe.name, "brand")], width),
            *wrap(recipe.summary, width),
            [],
            *_facts(recipe, width),
            [],
        ]
        if isinstance(made, WorkbenchError):
            return rows + message_rows(made, width)
        rows += [[(" enter  Launch ", "button@launch")], []]
        if made is None:
            return [*rows, [("reading the layers …", "dim")]]
        rows += [heading("One step", width), *_equation(made.equation, width), []]
        rows += [heading("Settings", width, "and the layer that each one comes from")]
        rows += _settings(made, width)
        if made.findings:
            rows += [[], heading("Worth knowing", width)]
            for finding in made.findings:
                sign = {"error": "✗", "warning": "▲"}.get(finding.severity, "·")
                role = {"error": "error", "warning": "warn"}.get(finding.severity, "dim")
                first, *rest = wrap(finding.message, width - 2)
                rows += [[(f"{sign} ", role), *first], *([("  ", ""), *row] for row in rest)]
        return rows

    return page


def _facts(recipe: Recipe, width: int) -> list[Row]:
    facts = (
        ("objective", recipe.objective),
        ("runs on", recipe.hardware),
        ("takes", recipe.budget),
        ("layers", " → ".join(recipe.stack)),
    )
    rows: list[Row] = []
    for label, text in facts:
        first, *rest = wrap(text, width - 12)
        rows += [[(f"{label:<12}", "dim"), *first], *([(" " * 12, ""), *row] for row in rest)]
    return rows


def _equation(equation: str, width: int) -> list[Row]:
    """The batch identity, broken before its equals signs where the line is too short."""
    if len(equation) <= width:
        return [[(equation, "value")]]
    parts = equation.split(" = ")
    return [
        row
        for index, part in enumerate(parts)
        for row in wrap(f"{'  = ' if index else ''}{part}", width, "value", indent="    ")
    ]


def _settings(plan: Plan, width: int) -> list[Row]:
    rows: list[Row] = []
    for section, keys in _SETTINGS:
        values = plan.tree.get(section, {})
        for key in keys:
            if key not in values:
                continue
            origin = plan.origins.get(f"{section}.{key}")
            layer = str(origin["layer"]) if origin else "default"
            label = [(f"{section}.", "dim"), (f"{key:<{_KEY_WIDTH - len(section)}}", "")]
            shown = _value(values[key]) if values[key] is not None else _UNSET.get(key, "–")
            rows.append(
                columns([*label, (shown, "value" if origin else "")], [(layer, "dim")], width)
                if width >= 44
                else fit([*label[1:], (shown, "value")], width)
            )
    return rows


_KEY_WIDTH = 28


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

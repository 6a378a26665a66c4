"""The form of a config, for every face: which keys are shown, and how a value reads.

Nothing here draws. The terminal makes rows of text from it, the notebook makes inputs.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.config.findings import Finding
    from workbench.config.keys import Key
    from workbench.config.origins import Origin
    from workbench.draft import Draft

# What a person looks for first, whether or not a layer sets it.
FIRST = (
    "run.hardware",
    "model.hidden_size",
    "model.num_layers",
    "model.num_attention_heads",
    "model.intermediate_size",
    "model.vocab_size",
    "training.batch_size",
    "training.gradient_accumulation_steps",
    "training.max_steps",
    "training.learning_rate",
    "training.optimizer",
    "training.mixed_precision",
    "training.gradient_checkpointing",
    "data.path",
    "data.max_length",
    "parallel.num_nodes",
    "parallel.devices_per_node",
    "parallel.strategy",
    "deepspeed.enabled",
    "deepspeed.zero_stage",
)


class FormLine(NamedTuple):
    """One line: a section's heading, or a key of it.

    Attributes:
        path: Dotted path of the section or key.
        is_key: Whether it is a key.
    """

    path: str
    is_key: bool


class Shown(NamedTuple):
    """What a key's row shows.

    Attributes:
        value: Its value.
        origin: Who set it; None for the default.
        edited: Whether it was set in this session.
        before: Its value in the plan that the session began with, where that is another.
        worst: The worst severity of the findings about it; empty where there is none.
    """

    value: Any
    origin: Origin | None
    edited: bool
    before: Any
    worst: str


def lines_of(paths: Iterable[str]) -> list[FormLine]:
    """The keys under headings of their sections."""
    lines: list[FormLine] = []
    section = None
    for path in paths:
        own = path.rpartition(".")[0]
        if own != section:
            lines.append(FormLine(own, is_key=False))
            section = own
        lines.append(FormLine(path, is_key=True))
    return lines


def found(words: str) -> list[str]:
    """The keys that a search finds, those whose name has the words first.

    Every word has to be in the key's path, in another spelling of it, or in its meaning.
    """
    wanted = words.lower().replace("-", "_").split()
    haystacks = _haystacks()
    named = [path for path in haystacks if all(word in path.lower() for word in wanted)]
    others = [
        path
        for path, text in haystacks.items()
        if all(word in text for word in wanted) and path not in set(named)
    ]
    return named + others


@cache
def _haystacks() -> dict[str, str]:
    from workbench.config.keys import keys

    return {
        path: " ".join((path, *key.aliases, key.meaning, key.changes or "")).lower()
        for path, key in keys().items()
    }


def unit_text(unit: str, value: Any) -> str:
    """The unit as it is said with this value: 1 block, 2 blocks."""
    if value != 1 or isinstance(value, bool) or not unit.endswith("s"):
        return unit
    return unit.removesuffix("es") if unit.endswith(("ches", "shes")) else unit.removesuffix("s")


def origin_text(shown: Shown) -> str:
    """Who set the value, in few characters."""
    if shown.origin is None:
        return "default"
    name = shown.origin.layer
    return name if len(name) <= 24 else "…" + name[-23:]


def value_text(value: Any) -> str:
    """A value as it stands in the form, which is as it would be typed."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value or "(empty)"
    return typed_text(value)


def typed_text(value: Any) -> str:
    """A value as it is typed."""
    from workbench.config.render import inline

    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(typed_text(each) for each in value)
    if isinstance(value, float) and 1e-4 <= abs(value) < 1e6:
        return f"{value:.10g}"
    return inline(value)


def stepped(key: Key, value: Any, by: int) -> Any:
    """The next value up (``by`` 1) or down (-1); the same value where there is none.

    Switches turn, choices go round, counts double or halve, other numbers go 1, 2, 5, 10.
    """
    if key.type == "boolean":
        return not value
    if key.type == "choice":
        place = key.choices.index(value) if value in key.choices else -by
        return key.choices[(place + by) % len(key.choices)]
    if key.type not in ("integer", "number") or isinstance(value, bool | str):
        return value
    start = 0 if value is None else value
    new = _next_count(int(start), by) if key.type == "integer" else _next_number(float(start), by)
    low, high = key.bounds.get("ge", key.bounds.get("gt")), key.bounds.get("le")
    if (low is not None and (new < low or (new == low and "gt" in key.bounds))) or (
        high is not None and new > high
    ):
        return value
    return new


def _next_count(value: int, by: int) -> int:
    if value <= 1:
        return max(value + by, 0)
    return value * 2 if by > 0 else value // 2


def _next_number(value: float, by: int) -> float:
    import math

    if value <= 0:
        return 0.1 if by > 0 else value
    exponent = math.floor(math.log10(value) + 1e-9)
    steps = [
        float(f"{digit}e{power}")
        for power in (exponent - 1, exponent, exponent + 1)
        for digit in (1, 2, 5)
    ]
    if by > 0:
        return next(step for step in steps if step > value * (1 + 1e-9))
    return next(step for step in reversed(steps) if step < value * (1 - 1e-9))


def worst_by_path(findings: Iterable[Finding]) -> dict[str, str]:
    """For each key that there are findings about, the worst severity."""
    order = {"hint": 0, "warning": 1, "error": 2}
    worst: dict[str, str] = {}
    for finding in findings:
        before = worst.get(finding.path)
        if before is None or order[finding.severity] > order[before]:
            worst[finding.path] = finding.severity
    return worst


def shown_paths(draft: Draft, words: str = "", *, everything: bool = False) -> list[str]:
    """The keys that a form shows: those that the search finds, all, or those that matter."""
    from workbench.config.keys import keys

    if words.strip():
        return found(words)
    if everything:
        return list(keys())
    wanted = set(FIRST) | draft.plan.composed.origins.keys() | draft.edits.keys()
    return [path for path in keys() if path in wanted]


def shown_of(draft: Draft, path: str, worst: str = "") -> Shown:
    """What a key's row shows.

    Args:
        draft: The editing session.
        path: The key.
        worst: The worst severity of the findings about it, see `worst_by_path`.
    """
    from workbench.config.keys import value_at

    value = draft.value(path)
    base = draft.base.typed
    return Shown(
        value,
        draft.plan.composed.origins.get(path),
        path in draft.edits,
        value if base is None else value_at(base, path),
        worst,
    )

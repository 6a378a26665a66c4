"""Whether a foreign value is one that a key of the schema takes."""

from __future__ import annotations

import math
from typing import Any

from workbench.config.keys import Key, keys
from workbench.config.scalars import resolve

_SWITCHES: dict[str | int, bool] = {
    **dict.fromkeys(("true", "yes", "on", 1), True),
    **dict.fromkeys(("false", "no", "off", 0), False),
}
_LARGEST = 10**18


class NoPlace(Exception):  # noqa: N818 - not an error: the value becomes residue
    """A value has no counterpart on the other side; the reason is its text."""


def fit(path: str, value: Any) -> Any:
    """The value as the key at `path` takes it: numbers and switches that are text become plain.

    Raises:
        NoPlace: The key does not take it.
    """
    key = keys()[path]
    if value is None:
        if key.optional:
            return None
        raise NoPlace(f"{path} takes {key.kind}, not null")
    if key.type == "list" and isinstance(value, list | tuple):
        return [_scalar(key, key.items or "text", item) for item in value]
    if key.type == "mapping" and isinstance(value, dict):
        return value
    if key.type in ("list", "mapping") or isinstance(value, dict | list | tuple):
        raise NoPlace(_refusal(key, value))
    return _scalar(key, key.type, value)


def _scalar(key: Key, kind: str, value: Any) -> Any:
    if kind == "choice":
        if value in key.choices:
            return value
    elif kind == "text":
        if isinstance(value, str) and len(value) <= key.bounds.get("max_length", math.inf):
            return value
    elif kind == "boolean":
        word = value.strip().lower() if isinstance(value, str) else value
        if isinstance(word, str | int) and word in _SWITCHES:
            return _SWITCHES[word]
    elif (number := _number(value, whole=kind == "integer")) is not None and _within(key, number):
        return number
    raise NoPlace(_refusal(key, value))


def _number(value: Any, *, whole: bool) -> float | None:
    number = resolve(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    if not whole or isinstance(number, int):
        return number
    return int(number) if number.is_integer() else None


def _within(key: Key, number: float) -> bool:
    bounds = key.bounds
    return (
        math.isfinite(number)
        and abs(number) <= _LARGEST
        and bounds.get("ge", -math.inf) <= number <= bounds.get("le", math.inf)
        and bounds.get("gt", -math.inf) < number < bounds.get("lt", math.inf)
    )


def _refusal(key: Key, value: Any) -> str:
    shown = str(value)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return f"{key.path} takes {key.kind}, not {shown}"

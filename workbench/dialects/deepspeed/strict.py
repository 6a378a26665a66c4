"""What DeepSpeed's strict sections would say to a value, in pydantic's words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.dialects.deepspeed.fields import INNER

if TYPE_CHECKING:
    from workbench.dialects.deepspeed.fields import Field, Section

_TRUE = {"1", "on", "t", "true", "y", "yes"}
_FALSE = {"0", "off", "f", "false", "n", "no"}
_NAMES = {"bool": "boolean", "int": "integer", "float": "number", "text": "string"}


class Complaint(NamedTuple):
    """What is wrong with a key of a strict section."""

    path: tuple[str, ...]
    message: str


def complaints(section: Section, tree: dict[str, Any], path: tuple[str, ...]) -> Iterator[Complaint]:
    """Everything that a strict section refuses in a mapping."""
    for name, value in tree.items():
        here = (*path, name)
        if isinstance(value, str) and value == "auto" and name != "replace_method":
            continue
        field = section.get(name)
        if field is None:
            yield Complaint(here, "Extra inputs are not permitted")
        elif field.section is not None:
            if isinstance(value, dict):
                yield from complaints(INNER[field.section], value, here)
            elif value is not None or not field.optional:
                yield Complaint(here, "Input should be a valid dictionary")
        elif (message := _refusal(field, value)) is not None:
            yield Complaint(here, message)


def number_of(value: Any) -> float | None:
    """A number as pydantic's loose mode understands it."""
    if isinstance(value, str):
        try:
            return float(value.replace("_", ""))
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


def truth_of(value: Any) -> bool | None:
    """A switch as pydantic's loose mode understands it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def _refusal(field: Field, value: Any) -> str | None:
    if value is None:
        name = _NAMES.get(field.kind, field.kind)
        return None if field.optional or field.kind == "any" else f"Input should be a valid {name}"
    if field.kind == "bool":
        return None if truth_of(value) is not None else (
            "Input should be a valid boolean, unable to interpret input"
        )
    if field.kind in ("int", "float"):
        return _number_refusal(field, value)
    if field.kind == "text":
        if not isinstance(value, str):
            return "Input should be a valid string"
        return _choice_refusal(field, value)
    if field.kind in ("list", "texts"):
        return _list_refusal(field, value)
    if field.kind == "mapping" and not isinstance(value, dict):
        return "Input should be a valid dictionary"
    return None


def _list_refusal(field: Field, value: Any) -> str | None:
    if not isinstance(value, list):
        return "Input should be a valid list"
    if field.kind == "list":
        return None
    if not all(isinstance(item, str) for item in value):
        return "Input should be a valid string"
    return next((said for item in value if (said := _choice_refusal(field, item))), None)


def _choice_refusal(field: Field, value: Any) -> str | None:
    if not field.choices or value in field.choices:
        return None
    *first, last = (repr(choice) for choice in field.choices)
    return f"Input should be {', '.join(first)} or {last}"


def _number_refusal(field: Field, value: Any) -> str | None:
    number = number_of(value)
    whole = field.kind == "int"
    if whole and isinstance(value, str) and not value.strip().lstrip("+-").replace("_", "").isdigit():
        number = number if number is not None and _is_plain_whole(value) else None
    if number is None:
        return (
            f"Input should be a valid {'integer' if whole else 'number'}, unable to parse string as "
            f"{'an integer' if whole else 'a number'}"
            if isinstance(value, str)
            else f"Input should be a valid {'integer' if whole else 'number'}"
        )
    if whole and (not math.isfinite(number) or number != int(number)):
        return "Input should be a valid integer, got a number with a fractional part"
    if field.choices:
        return _choice_refusal(field, number)
    for bound, holds, words in (
        (field.ge, lambda b: number >= b, "greater than or equal to"),
        (field.gt, lambda b: number > b, "greater than"),
        (field.le, lambda b: number <= b, "less than or equal to"),
        (field.lt, lambda b: number < b, "less than"),
    ):
        if bound is not None and not holds(bound):
            return f"Input should be {words} {bound:g}"
    return None


def _is_plain_whole(text: str) -> bool:
    """``8.0`` is a whole number to pydantic, ``8e0`` is not."""
    head, dot, tail = text.strip().partition(".")
    return bool(dot) and head.lstrip("+-").isdigit() and set(tail) <= {"0"}

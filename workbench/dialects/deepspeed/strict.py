"""What DeepSpeed's strict sections would say to a value, in pydantic's words."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.dialects.deepspeed.fields import INNER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.dialects.deepspeed.fields import Field, Section

_TRUE = {"1", "on", "t", "true", "y", "yes"}
_FALSE = {"0", "off", "f", "false", "n", "no"}
_NAMES = {"bool": "boolean", "int": "integer", "float": "number", "text": "string"}


class Complaint(NamedTuple):
    """What is wrong with a key of a strict section."""

    path: tuple[str, ...]
    message: str


def complaints(
    section: Section, tree: dict[str, Any], path: tuple[str, ...]
) -> Iterator[Complaint]:
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
    if field.kind == "any":
        return None
    if value is None:
        name = _NAMES.get(field.kind, field.kind)
        return None if field.optional else f"Input should be a valid {name}"
    return _CHECKS[field.kind](field, value)


def _truth(_field: Field, value: Any) -> str | None:
    if truth_of(value) is not None:
        return None
    return "Input should be a valid boolean, unable to interpret input"


def _text(field: Field, value: Any) -> str | None:
    return _choice(field, value) if isinstance(value, str) else "Input should be a valid string"


def _mapping(_field: Field, value: Any) -> str | None:
    return None if isinstance(value, dict) else "Input should be a valid dictionary"


def _dtype(_field: Field, _value: Any) -> str:
    return "Input should be an instance of dtype"  # which no JSON value is


def _list(field: Field, value: Any) -> str | None:
    if not isinstance(value, list):
        return "Input should be a valid list"
    if field.kind == "list":
        return None
    return next((said for item in value if (said := _text(field, item)) is not None), None)


def _choice(field: Field, value: Any) -> str | None:
    if not field.choices or value in field.choices:
        return None
    *first, last = (repr(choice) for choice in field.choices)
    return f"Input should be {', '.join(first)} or {last}"


def _number(field: Field, value: Any) -> str | None:
    if field.choices:
        return _choice(field, value)
    number = number_of(value)
    whole = field.kind == "int"
    if number is None or (whole and isinstance(value, str) and not _WHOLE.fullmatch(value.strip())):
        name = "integer" if whole else "number"
        unable = ", unable to parse string as a" + ("n integer" if whole else " number")
        return f"Input should be a valid {name}" + (unable if isinstance(value, str) else "")
    if whole and (not math.isfinite(number) or number != int(number)):
        return "Input should be a valid integer, got a number with a fractional part"
    if whole and isinstance(value, float) and abs(value) >= _LARGEST:
        return "Unable to parse input string as an integer, exceeded maximum size"
    return _outside(field, number)


_LARGEST = 2**63
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]*(\.0*)?")
"""``8.0`` is a whole number to pydantic, ``8e0`` is not."""


def _outside(field: Field, number: float) -> str | None:
    for bound, outside, words in (
        (field.ge, number < (field.ge or 0), "greater than or equal to"),
        (field.gt, number <= (field.gt or 0), "greater than"),
        (field.le, number > (field.le or 0), "less than or equal to"),
        (field.lt, number >= (field.lt or 0), "less than"),
    ):
        if bound is not None and outside:
            return f"Input should be {words} {bound:g}"
    return None


_CHECKS = {
    "bool": _truth,
    "int": _number,
    "float": _number,
    "text": _text,
    "list": _list,
    "texts": _list,
    "mapping": _mapping,
    "dtype": _dtype,
}

"""Values in the system's words and in ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.dialects.claims import SILENT
from workbench.dialects.fitting import NoPlace

Convert = Callable[[Any], Any]


def words(known: dict[Any, Any], what: str) -> tuple[Convert, Convert]:
    """Both directions of a table of words."""
    reverse = {ours: theirs for theirs, ours in known.items()}

    def there(value: Any) -> Any:
        key = value.lower() if isinstance(value, str) else value
        if not isinstance(key, str | int | bool) or key not in known:
            raise NoPlace(f"{what} {value!r} has no counterpart here")
        return known[key]

    def back(value: Any) -> Any:
        if value not in reverse:
            raise NoPlace(f"the system has no {what} {value!r}")
        return reverse[value]

    return there, back


def switch(word: str) -> tuple[Convert, Convert]:
    """A switch that chooses a precision by itself; off says nothing."""

    def there(value: Any) -> Any:
        if value is True:
            return word
        if value is False:
            return SILENT
        raise NoPlace(f"a switch is true or false, not {value!r}")

    return there, lambda value: value == word


def bf16_alone(value: Any) -> Any:
    """What ``use_bf16`` means where no other switch is on."""
    return "bf16" if value is True else "no"


def says_nothing(value: Any) -> Any:
    """A switch that gives way to others: fp8 training computes the rest in bf16."""
    if isinstance(value, bool):
        return SILENT
    raise NoPlace(f"a switch is true or false, not {value!r}")


def is_bf16(value: Any) -> bool:
    """Whether a precision computes in bf16 somewhere."""
    return value in ("bf16", "fp8")


def either(on: str, off: str) -> tuple[Convert, Convert]:
    """A switch that chooses between two words."""

    def there(value: Any) -> Any:
        if isinstance(value, bool):
            return on if value else off
        raise NoPlace(f"a switch is true or false, not {value!r}")

    def back(value: Any) -> Any:
        if value not in (on, off):
            raise NoPlace(f"the system has a switch for {on} and {off}, not for {value}")
        return bool(value == on)

    return there, back


def prefers(on: str, off: str) -> tuple[Convert, Convert]:
    """A switch whose off side says nothing against another word."""

    def there(value: Any) -> Any:
        if value is True:
            return on
        if value is False:
            return SILENT
        raise NoPlace(f"a switch is true or false, not {value!r}")

    def back(value: Any) -> Any:
        if value not in (on, off):
            raise NoPlace(f"the system has no word for {value}")
        return bool(value == on)

    return there, back


def zero_is_none(value: Any) -> Any:
    """0 says that there is none."""
    return None if value == 0 and not isinstance(value, bool) else value


def none_is_zero(value: Any) -> Any:
    """The way back of `zero_is_none`."""
    return 0 if value is None else value

"""What another spelling's value means in the key's own words.

A conversion takes the value as written and the value that the key has so far, and gives the key's
new value, or `KEEP` when the spelling says nothing against the present one: ``fp16: false`` leaves
bf16 as it is. A value that a conversion does not understand passes through unchanged, so that the
schema refuses it with file and line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

Convert: TypeAlias = Callable[[Any, Any], Any]


class _Keep:
    """The type of `KEEP`."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()


def flag(on: str, off: str) -> Convert:
    """True chooses the word `on`; false takes `off` where the word is `on`."""

    def convert(value: Any, current: Any) -> Any:
        if value is True:
            return on
        if value is False:
            return off if current == on else KEEP
        return value

    return convert


def unless(off: str, on: str) -> Convert:
    """False chooses the word `off`; true takes `on` where the word is `off`."""

    def convert(value: Any, current: Any) -> Any:
        if value is False:
            return off
        if value is True:
            return on if current == off else KEEP
        return value

    return convert


def words(**meanings: str) -> Convert:
    """Words in other systems' spelling, in any case; ``auto`` leaves the matter open."""

    def convert(value: Any, _current: Any) -> Any:
        if not isinstance(value, str):
            return value
        word = value.lower()
        return KEEP if word == "auto" else meanings.get(word, word)

    return convert


def number(value: Any, _current: Any) -> Any:
    """DeepSpeed's ``auto`` leaves the matter open; all else is the number itself."""
    return KEEP if value == "auto" else value


def negated(value: Any, _current: Any) -> Any:
    """True means false."""
    return not value if isinstance(value, bool) else value


def item(index: int) -> Convert:
    """One of two numbers in a list; ``auto`` leaves the matter open."""

    def convert(value: Any, _current: Any) -> Any:
        if value == "auto":
            return KEEP
        if isinstance(value, list) and len(value) == 2:
            return value[index]
        return value if isinstance(value, list) else str(value)  # one number is no pair

    return convert


def listed(value: Any, _current: Any) -> Any:
    """Words with commas between them."""
    if not isinstance(value, str):
        return value
    return [word.strip() for word in value.split(",") if word.strip()]


def enabled(value: Any, _current: Any) -> Any:
    """Tenstorrent's ``enabled`` and ``disabled``."""
    return (
        {"enabled": True, "disabled": False}.get(value, value) if isinstance(value, str) else value
    )


def loss_scale(value: Any, _current: Any) -> Any:
    """``dynamic`` finds the scale by itself, which is 0 here."""
    return 0.0 if value == "dynamic" else value


def smoothing(value: Any, current: Any) -> Any:
    """A switch where we have an amount."""
    if value is False:
        return 0.0
    if value is True:
        return KEEP if current else 0.9
    return value

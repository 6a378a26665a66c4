"""Functions of sections that remember what they said: sections never change once they are made."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_MOST = 64
"""Results that a function remembers: plans that differ in something else share their sections."""


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """The function, asked once for the same objects.

    The very objects count, not their values: to compare two sections takes longer than most
    functions do. They are held on to as long as the result is, so that nothing else gets their
    place in memory.

    Args:
        function: A function that nothing but its arguments has an influence on; named arguments
            are not remembered.
    """
    known: dict[tuple[int, ...], tuple[object, T]] = {}

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            return function(*args, **kwargs)
        key = tuple(map(id, args))
        found = known.get(key)
        if found is None:
            if len(known) >= _MOST:
                known.pop(next(iter(known)), None)
            found = known[key] = args, function(*args, **kwargs)
        return found[1]

    return ask

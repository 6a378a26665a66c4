"""A fault: a disaster that the lab can really produce, and the list of them all."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.lessons.faults.stage import Stage

_FAMILIES: Final = (
    "memory",
    "numbers",
    "experts",
    "learning",
    "data",
    "checkpoints",
    "disk",
    "processes",
    "ranks",
    "configs",
)
"""Modules with faults; the order is that of the list a person sees."""

_START_SECONDS: Final = 8
"""From a launch to its end for the model of the lessons, on 2 shared cores (2026-11-21): most of it
is the start of torch."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One disaster.

    Attributes:
        id: What `ava break` knows it by.
        title: What it is, in a few words.
        what_happens: What goes wrong, in a line.
        see: By what one knows it.
        recover: What puts it right.
        starts: Processes that import torch, from the disaster to the end of the repair.
        waits: Seconds that pass in waiting, beside those.
        act: Produces it on a stage and repairs it.
    """

    id: str
    title: str
    what_happens: str
    see: str
    recover: str
    starts: int
    waits: int
    act: Callable[[Stage], None]

    @property
    def seconds(self) -> int:
        """About how long it takes, on two cores."""
        return 4 + _START_SECONDS * self.starts + self.waits


_known: dict[str, Fault] = {}


def fault(
    id: str,  # noqa: A002 - the word of the interface
    title: str,
    *,
    what_happens: str,
    see: str,
    recover: str,
    starts: int,
    waits: int = 0,
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register the function below as the fault of this name; see `Fault`."""

    def register(act: Callable[[Stage], None]) -> Callable[[Stage], None]:
        assert id not in _known, f"two faults are called {id}"
        _known[id] = Fault(id, title, what_happens, see, recover, starts, waits, act)
        return act

    return register


def every() -> list[Fault]:
    """All faults, in the order of their families."""
    for family in _FAMILIES:
        import_module(f"workbench.lessons.faults.{family}")
    return list(_known.values())


def find(id: str) -> Fault:  # noqa: A002 - the word of the interface
    """The fault of this name.

    Raises:
        UsageError: There is none.
    """
    found = {each.id: each for each in every()}
    if id not in found:
        close = difflib.get_close_matches(id, found, n=1, cutoff=0.5)
        raise UsageError(
            f"there is no fault {id!r}",
            fix=f"ava break {close[0]}" if close else "ava break lists them",
        )
    return found[id]

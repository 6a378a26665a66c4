"""What goes over the wire: JSON with buffers, and the parts of a widget that make and take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.errors import WorkbenchError


class Message(NamedTuple):
    """One message to the views.

    Attributes:
        content: JSON-ready data; its ``type`` says which part of a view it is for.
        buffers: Arrays of float64 that the content refers to by their place.
    """

    content: dict[str, Any]
    buffers: tuple[bytes, ...] = ()


class Later(Protocol):
    """Does something slow in a thread of its own."""

    def __call__(self, slow: Callable[[], Any], then: Callable[[Any], Iterable[Message]]) -> None:
        """Do it; then, under the widget's lock, send what follows from its result or its error."""
        ...


class Part(Protocol):
    """One part of a widget: what a view shows of it, and what a view may ask of it.

    A part draws nothing and starts no thread. Its widget calls it under one lock.
    """

    def opening(self) -> Iterable[Message]:
        """Everything that a view without a past has to be told."""
        ...

    def hear(self, asked: dict[str, Any]) -> Iterable[Message] | None:
        """Do what a view asks; None where that is for another part.

        Raises:
            WorkbenchError: It cannot be done.
        """
        ...

    def tick(self, count: int) -> Iterable[Message]:
        """What is new; called ten times a second while somebody looks."""
        ...


def trouble(error: WorkbenchError, about: str = "") -> Message:
    """An error as every view shows it.

    Args:
        error: What went wrong.
        about: The key whose input it belongs to; empty for the widget as a whole.
    """
    facts = error.to_dict()
    facts["text"] = error.render().removeprefix("error: ")
    return Message({"type": "trouble", "about": about} | facts)


def said(words: str) -> Message:
    """A sentence for the status line, which screen readers speak."""
    return Message({"type": "said", "words": words})

"""What an engine sees of a pass."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["fetch", "fetch back", "release", "release back", "come", "hold", "let go"]
"""A module begins or ends, forwards or backwards; a gradient comes; or something begins or ends to
hold the memory that a weight has now, and keeps it from being given back."""


class Event(NamedTuple):
    """Something that an engine sees.

    Attributes:
        place: Allocations before it.
        live: The storages that exist then.
        kind: What happens.
        name: Of which module, or of which weight.
    """

    place: int
    live: int
    kind: Kind
    name: str

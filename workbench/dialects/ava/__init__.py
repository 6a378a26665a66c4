"""Ava: layered YAML files, and the result of its learning-rate search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.dialects.ava.reading import SYSTEM, read, recognise

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Foreign, Guess, Reading, Writing


class Ava:
    """The dialect."""

    name = SYSTEM
    title = "Ava"

    def recognise(self, foreign: Foreign) -> Guess | None:
        """How much a text looks like one of Ava's files."""
        return recognise(foreign)

    def read(self, foreign: Foreign) -> Reading:
        """Understand a preset, a part of one, or the result of a search."""
        return read(foreign)

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a plan in Ava's words."""
        from workbench.dialects.ava.writing import write

        return write(config, chosen)


DIALECT = Ava()

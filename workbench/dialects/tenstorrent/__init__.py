"""Tenstorrent: tt-train in both generations of its schema, tt-blacksmith, and the toolkit.

A training of tt-train is a pair of files: one with ``training_config`` and ``device_config``, and
the model's own with ``transformer_config``, which the first one names. Both are read together, and
written together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Dialect, Foreign, Guess, Reading, Writing


class _Tenstorrent:
    name = "tenstorrent"
    title = "Tenstorrent (tt-train, tt-blacksmith)"

    def recognise(self, foreign: Foreign) -> Guess | None:
        """By its sections."""
        from workbench.dialects.parsing import peek
        from workbench.dialects.tenstorrent.shapes import recognise

        tree = peek(foreign)
        return None if tree is None else recognise(tree)

    def read(self, foreign: Foreign) -> Reading:
        """Understand a file, and the one that it names."""
        from workbench.dialects.tenstorrent.reading import read

        return read(foreign)

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a config as the pair of files, or in the schema that it was read from."""
        from workbench.dialects.tenstorrent.writing import write

        return write(config, chosen=chosen)


DIALECT: Final[Dialect] = _Tenstorrent()

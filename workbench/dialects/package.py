"""A system whose words stand in a package: its modules are imported when they are needed.

A package has ``recognising.recognise(foreign)``, ``reading.read(foreign)`` and
``writing.write(config, chosen=…)``; their docstrings say what they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Foreign, Guess, Reading, Writing


@dataclass(frozen=True, slots=True)
class Package:
    """The dialect of the package ``workbench.dialects.NAME``.

    Attributes:
        name: Its name, which ``--from`` takes.
        title: The system's own name.
    """

    name: str
    title: str

    def recognise(self, foreign: Foreign) -> Guess | None:
        """How much a text looks like this system's; None where it cannot be."""
        found: Guess | None = self._module("recognising").recognise(foreign)
        return found

    def read(self, foreign: Foreign) -> Reading:
        """Understand a text.

        Raises:
            ConfigError: It cannot be understood.
        """
        found: Reading = self._module("reading").read(foreign)
        return found

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a config in this system's words."""
        made: Writing = self._module("writing").write(config, chosen=chosen)
        return made

    def _module(self, name: str) -> Any:
        return import_module(f"workbench.dialects.{self.name}.{name}")

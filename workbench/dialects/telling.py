"""Making a `Writing`: begin with the residue, say what the plan says, name what was not said.

teller = Teller("deepspeed", config, chosen)
teller.apply(TABLE)                               # every To of the table that was chosen
teller.say("zero_optimization.stage", 2, ours="deepspeed.zero_stage")
teller.writing({"ds_config.json": dumps(teller.tree)}, command="deepspeed …")
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from workbench.config.keys import value_at
from workbench.dialects.base import Lost, Writing
from workbench.dialects.building import Path, Table, To, names, plant
from workbench.dialects.fitting import NoPlace

if TYPE_CHECKING:
    from workbench.config.schema import Config


def residue_of(config: Config, system: str) -> dict[str, Any]:
    """The foreign keys that an earlier import from a system left over; a copy."""
    if config.imported.system == system:
        return copy.deepcopy(config.imported.keys)
    others = config.imported.others.get(system)
    return copy.deepcopy(others) if isinstance(others, dict) else {}


class Teller:
    """A writing in the making.

    Args:
        system: Name of the dialect; its residue is where `tree` begins.
        config: What is to be said.
        chosen: The keys that a layer set.
    """

    def __init__(self, system: str, config: Config, chosen: frozenset[str]) -> None:
        self.system = system
        self.config = config
        self.chosen = chosen
        self.tree = residue_of(config, system)
        self._said: set[str] = set()
        self._lost: dict[str, Lost] = {}

    def our(self, path: str) -> Any:
        """The value of a key here."""
        return value_at(self.config, path)

    def apply(self, table: Table, *, below: Path = (), everything: bool = False) -> None:
        """Say the keys of a table that were chosen; with `everything`, the defaults too.

        Of several foreign keys that mean one of ours, those with ``writes`` are said.
        """
        above = names(below)
        for written, meaning in table.items():
            if not isinstance(meaning, To) or not meaning.writes:
                continue
            if not everything and meaning.ours not in self.chosen:
                continue
            value = self.our(meaning.ours)
            try:
                theirs = meaning.back(value) if meaning.back else value
            except NoPlace as error:
                self.lose(meaning.ours, str(error))
                continue
            self.say((*above, *names(written)), theirs, ours=meaning.ours)

    def say(self, path: Path, value: Any, *, ours: str | tuple[str, ...] = ()) -> None:
        """Set a foreign key; it says these keys of ours."""
        plant(self.tree, names(path), value)
        self.said(*((ours,) if isinstance(ours, str) else ours))

    def said(self, *ours: str) -> None:
        """These keys of ours are in the files, or go without saying there."""
        self._said.update(ours)
        for path in ours:
            self._lost.pop(path, None)

    def unsay(self, ours: str, reason: str) -> None:
        """A key of ours that was said is not in the files after all."""
        self._said.discard(ours)
        self.lose(ours, reason)

    def lose(self, ours: str, reason: str) -> None:
        """A key of ours cannot be said, for that reason."""
        if ours not in self._said:
            self._lost[ours] = Lost(ours, self.our(ours), reason)

    def writing(
        self, files: dict[str, str], *, command: str = "", rest: str = "it has no such key"
    ) -> Writing:
        """The files, and every chosen key that is not in them, for the reason `rest`."""
        for path in sorted(self.chosen - self._said - set(self._lost)):
            if not path.startswith("imported."):
                self.lose(path, rest)
        return Writing(files, tuple(self._lost.values()), command)

"""What a lesson is once its file is read: words and cells in order, and what it says of itself.

Two digests say what a result was about. A lesson's digest covers everything that can change what
running it does: its id and its cells, not its words. A check cell's digest covers that cell alone.
So a better paragraph voids nothing, a changed cell voids the lesson's validation, and a changed
check cell voids the passes that it gave.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.lessons.calls import CheckCall, check_call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SETUP: Final = "ava-setup"
EDIT: Final = "ava-edit"
CONFIG: Final = "ava-config"
CHECK: Final = "ava-check"
TAGS: Final = (SETUP, EDIT, CONFIG, CHECK)

CATEGORIES: Final = ("Basics", "Memory and speed", "Architectures", "Practice")
HARDWARE: Final = ("cpu", "gpu")
CONFIG_MAGIC: Final = "%%config"


@dataclass(frozen=True, slots=True)
class Text:
    """Words between two cells, as CommonMark.

    Attributes:
        markdown: The text, without blank lines around it.
        line: The line of the file where it starts.
    """

    markdown: str
    line: int


@dataclass(frozen=True)
class Cell:
    """One cell of code.

    Attributes:
        id: Its ``ava.id``, unique in the lesson.
        title: What it is for, in a few words; may be empty.
        tags: Its tags; see `TAGS` for those that mean something to us.
        source: The code, without its options.
        options: Everything that stands above the code, as plain values.
        line: The line of its opening fence.
        source_line: The line of the first line of code.
    """

    id: str
    title: str
    tags: tuple[str, ...]
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    line: int = 1
    source_line: int = 1

    @property
    def is_setup(self) -> bool:
        """Whether it makes the lesson's ``learn`` object."""
        return SETUP in self.tags

    @property
    def is_edit(self) -> bool:
        """Whether the learner is to change it."""
        return EDIT in self.tags

    @property
    def is_config(self) -> bool:
        """Whether it holds a config layer for the learner to edit."""
        return CONFIG in self.tags

    @property
    def is_check(self) -> bool:
        """Whether it judges the learner's work."""
        return CHECK in self.tags

    @property
    def expects_error(self) -> bool:
        """Whether its error is the lesson: ``ava: {expect: error}``."""
        ava = self.options.get("ava")
        return isinstance(ava, dict) and ava.get("expect") == "error"

    @cached_property
    def _magic(self) -> tuple[str, ...]:
        first = self.source.partition("\n")[0]
        if first.split(None, 1)[:1] != [CONFIG_MAGIC]:
            return ()
        try:
            return tuple(shlex.split(first)[1:])
        except ValueError:  # a quote that is never closed
            return tuple(first.split()[1:])

    @property
    def config_name(self) -> str | None:
        """The file that a ``%%config`` cell writes; None where it writes none."""
        return self._magic[0] if self._magic else None

    @property
    def config_arguments(self) -> tuple[str, ...]:
        """What stands behind the file's name: arguments for `ava`."""
        return self._magic[1:]

    @property
    def config_text(self) -> str:
        """The YAML of a ``%%config`` cell."""
        return self.source.partition("\n")[2] if self._magic else self.source

    @cached_property
    def call(self) -> CheckCall | None:
        """The call of ``learn.check`` in a check cell; None where there is none."""
        return check_call(self.source) if self.is_check else None

    @property
    def check(self) -> str | None:
        """The check that the cell runs: what its call names, else its own id."""
        if not self.is_check:
            return None
        return self.call.check if self.call else self.id

    @cached_property
    def digest(self) -> str:
        """Hash of what the cell does: its id and its code, whatever the line ends."""
        return _digest([self.id, _code(self.source)])


Block: TypeAlias = Text | Cell


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        id: Its name in commands, in receipts and in other lessons' prerequisites.
        title: What people read.
        description: One sentence on what one can do afterwards.
        category: One of `CATEGORIES`.
        tags: Words to find it by.
        supported_hardware: Where it runs: ``cpu``, ``gpu``.
        prerequisites: Ids of lessons that come first.
        estimated_minutes: Time that a learner needs, in minutes.
        path: Its file.
        number: Its place in the course, from the file's name; 0 where the name has none.
        blocks: Words and cells in order.
    """

    id: str
    title: str
    description: str
    category: str
    tags: tuple[str, ...]
    supported_hardware: tuple[str, ...]
    prerequisites: tuple[str, ...]
    estimated_minutes: int
    path: Path
    number: int
    blocks: tuple[Block, ...]

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells in order."""
        return tuple(block for block in self.blocks if isinstance(block, Cell))

    @cached_property
    def checks(self) -> tuple[str, ...]:
        """The ids of the checks in order."""
        return tuple(cell.check for cell in self.cells if cell.check is not None)

    def cell(self, cell_id: str) -> Cell | None:
        """The cell of that id."""
        return next((cell for cell in self.cells if cell.id == cell_id), None)

    def check_cell(self, check: str) -> Cell | None:
        """The cell that runs a check."""
        return next((cell for cell in self.cells if cell.check == check), None)

    def digest_of(self, check: str) -> str:
        """Digest of the cell of a check, for its receipts; of the lesson where it has no cell."""
        cell = self.check_cell(check)
        return self.digest if cell is None else cell.digest

    @property
    def notebook_name(self) -> str:
        """The name of its notebook in a workspace."""
        return f"{self.path.stem}.ipynb"

    @cached_property
    def digest(self) -> str:
        """Hash of everything that can change what running the lesson does; not of its words."""
        cells = [[*sorted(cell.tags), cell.id, _code(cell.source)] for cell in self.cells]
        return _digest([self.id, cells])


def _code(source: str) -> str:
    """Code without what no run depends on: kinds of line ends, blanks at the end."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _digest(data: object) -> str:
    """16 hex digits of SHA-256: enough to tell versions apart, short enough to read."""
    return hashlib.sha256(json.dumps(data, ensure_ascii=False).encode()).hexdigest()[:16]

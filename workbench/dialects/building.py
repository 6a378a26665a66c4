"""Making a `Reading`: which foreign keys have been understood, and what became of each.

    builder = Builder("deepspeed", foreign, document, remarks)
    builder.apply({"gradient_clipping": To("training.max_gradient_norm"),
                   "dump_state": Keep("it is a debugging aid")})
    builder.put("parallel.num_nodes", 2)         # of no single key: say why with `assume`
    builder.assume("parallel.num_nodes", "2 nodes: …")
    return builder.reading()                     # what is left over becomes residue

Foreign paths are dotted where no name holds a dot, and tuples of names anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.config.keys import keys
from workbench.config.layers import Layer
from workbench.dialects.base import Kind, Reading, Remark, Residue, Verdict
from workbench.dialects.fitting import NoPlace, fit
from workbench.dialects.parsing import leaves

if TYPE_CHECKING:
    from workbench.config.document import Document, KeyPath
    from workbench.config.origins import Mark
    from workbench.dialects.base import Foreign

__all__ = ["ABSENT", "Builder", "Keep", "NoPlace", "Table", "To"]

ABSENT: Final = object()
"""What `Builder.value` gives where the file has no such key."""

Path: TypeAlias = str | tuple[str, ...]
Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class To:
    """A foreign key that is a key here.

    Attributes:
        ours: The key here.
        convert: Their value as ours; it raises `NoPlace` where there is no counterpart.
        back: Our value as theirs, for writing; without both the values are equal.
        note: What is said about the translation, where it is worth a word.
        writes: Whether writing says the key; false for an old spelling of another.
    """

    ours: str
    convert: Convert | None = None
    back: Convert | None = None
    note: str = ""
    writes: bool = True


@dataclass(frozen=True, slots=True)
class Keep:
    """A foreign key that has no place here and is kept as residue.

    Attributes:
        reason: Why it has none.
        verdict: What upstream does with it, where a remark should say so.
    """

    reason: str
    verdict: Verdict | None = None


Table: TypeAlias = Mapping[str, To | Keep]


class Builder:
    """A reading in the making.

    Args:
        system: Name of the dialect.
        foreign: The text.
        tree: Its values; the leaves are what has to be understood.
        marks: The place of each key, by its names.
        remarks: What opening and parsing had to say.
    """

    def __init__(
        self,
        system: str,
        foreign: Foreign,
        tree: dict[str, Any],
        marks: Mapping[KeyPath, Mark],
        remarks: tuple[Remark, ...] = (),
    ) -> None:
        self.system = system
        self.foreign = foreign
        self.tree = tree
        self.remarks: list[Remark] = list(remarks)
        self._marks = marks
        self._left: dict[tuple[str, ...], Any] = dict(leaves(tree))
        self._ours: dict[str, Any] = {}
        self._our_marks: dict[KeyPath, Mark] = {}
        self._places: dict[str, list[str]] = {}
        self._residue: list[Residue] = []

    @classmethod
    def of(
        cls, system: str, foreign: Foreign, document: Document, remarks: tuple[Remark, ...] = ()
    ) -> Builder:
        """A builder of a parsed text."""
        return cls(system, foreign, document.tree, document.marks, remarks)

    # ------------------------------------------------------------ looking

    def value(self, path: Path, default: Any = ABSENT) -> Any:
        """A foreign value, section or leaf; it does not count as understood by that."""
        value: Any = self.tree
        for name in names(path):
            if not isinstance(value, dict) or name not in value:
                return default
            value = value[name]
        return value

    def has(self, path: Path) -> bool:
        """Whether the file has the key."""
        return self.value(path) is not ABSENT

    def is_left(self, path: Path) -> bool:
        """Whether the leaf has not been understood yet."""
        return names(path) in self._left

    def left(self, section: Path = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
        """The leaves below a section that nothing has been said about yet."""
        above = names(section)
        yield from [(p, v) for p, v in self._left.items() if p[: len(above)] == above]

    def line(self, path: Path) -> int | None:
        """The line of a key."""
        mark = self._marks.get(names(path))
        return mark.line if mark else None

    def ours(self, path: str, default: Any = None) -> Any:
        """What has been put at a key here so far."""
        return self._ours.get(path, default)

    # ------------------------------------------------------------ understanding

    def apply(self, table: Table, *, below: Path = ()) -> None:
        """Understand all keys of a table that the file has, in the order of the table."""
        above = names(below)
        for written, meaning in table.items():
            path = (*above, *names(written))
            value = self.value(path)
            if value is ABSENT:
                continue
            if isinstance(meaning, Keep):
                self.keep(path, meaning.reason, verdict=meaning.verdict)
            else:
                self.translate(path, value, meaning)

    def translate(self, path: Path, value: Any, meaning: To) -> bool:
        """Put a foreign value where it belongs; where it cannot be, it becomes residue."""
        try:
            ours = meaning.convert(value) if meaning.convert else value
            self.put(meaning.ours, ours, source=path)
        except NoPlace as error:
            self.keep(path, str(error))
            return False
        if meaning.note:
            self.remark(path, "translated", meaning.note)
        return True

    def put(self, ours: str, value: Any, *, source: Path = (), said_by: Path = ()) -> None:
        """Set a key here, from the foreign key `source`, which counts as understood.

        Args:
            ours: The key here.
            value: Its value.
            source: The foreign key.
            said_by: The foreign key that says so without being used up by it.

        Raises:
            NoPlace: The key does not take the value; nothing was set.
        """
        assert ours in keys(), ours
        self._ours[ours] = fit(ours, value)
        if source:
            self.understood(source, ours)
        if (mark := self._marks.get(names(source or said_by))) is not None:
            self._our_marks[tuple(ours.split("."))] = mark

    def understood(self, path: Path, *ours: str) -> None:
        """A foreign key, or all leaves of a section, went to these keys here."""
        for leaf in self._below(path):
            self._left.pop(leaf, None)
        if ours:
            places = self._places.setdefault(dotted(path), [])
            places += [each for each in ours if each not in places]

    def give_up(self, path: Path, reason: str) -> None:
        """Make a key residue that had been understood: another one counts, or it is no good."""
        leaf = names(path)
        self._places.pop(dotted(path), None)
        self._left.pop(leaf, None)
        self._residue.append(Residue(leaf, self.value(leaf), reason, self.line(leaf)))

    def keep(self, path: Path, reason: str, *, verdict: Verdict | None = None) -> None:
        """Make a foreign key, or all leaves of a section, residue."""
        for leaf in self._below(path):
            if leaf in self._left:
                value = self._left.pop(leaf)
                self._residue.append(Residue(leaf, value, reason, self.line(leaf)))
        if verdict is not None:
            self.remark(path, "upstream", reason, verdict)

    def remark(self, path: Path, kind: Kind, message: str, verdict: Verdict | None = None) -> None:
        """Say something about a key; an empty path is the whole file."""
        self.remarks.append(Remark(dotted(path), kind, message, verdict, self.line(path)))

    def refused(self, path: Path, message: str) -> None:
        """Upstream refuses this, with that message."""
        self.remark(path, "upstream", message, "refused")

    def ignored(self, path: Path, message: str) -> None:
        """Upstream ignores this."""
        self.remark(path, "upstream", message, "ignored")

    def assume(self, path: Path, message: str) -> None:
        """A guess of ours, which the file does not say."""
        self.remark(path, "assumed", message)

    # ------------------------------------------------------------ the result

    def reading(self, *, rest: str = "there is no such key here") -> Reading:
        """Everything understood; what is left over becomes residue, for the reason `rest`."""
        for leaf in list(self._left):
            comment = leaf[-1].lstrip().startswith(("_comment", "//", "#", "_"))
            self.keep(leaf, "a comment" if comment else rest)
        residue: dict[str, Any] = {}
        for each in self._residue:
            plant(residue, each.path, each.value)
        imported: dict[str, Any] = {"system": self.system, "source": self.foreign.path.name[:4096]}
        if residue:
            imported["keys"] = residue
        tree: dict[str, Any] = {}
        for path in sorted(self._ours, key=_order().__getitem__):
            plant(tree, tuple(path.split(".")), self._ours[path])
        tree["imported"] = imported
        file = str(self.foreign.path)
        return Reading(
            self.system,
            Layer(file, tree, file, self._our_marks),
            tuple(self._residue),
            tuple(self.remarks),
            {path: tuple(ours) for path, ours in self._places.items()},
        )

    def _below(self, path: Path) -> list[tuple[str, ...]]:
        above = names(path)
        if above in self._left:
            return [above]
        return [leaf for leaf in self._left if leaf[: len(above)] == above]


def names(path: Path) -> tuple[str, ...]:
    """A foreign path as its names."""
    return tuple(path.split(".")) if isinstance(path, str) and path else tuple(path)


def dotted(path: Path) -> str:
    """A foreign path as a person reads it."""
    return path if isinstance(path, str) else ".".join(path)


def plant(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in a nested tree."""
    for name in path[:-1]:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    tree[path[-1]] = value


def _order() -> dict[str, int]:
    return {path: index for index, path in enumerate(keys())}

"""A config file once it is read: plain values, and the place of everything in the text.

Both readers (YAML, JSON) make the same nodes; nodes carry character spans, because saving edits the
text and not the values. Aliases and merge keys are followed here, with a count, so that a few bytes
of a hostile file cannot become a few billion values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from workbench.config.origins import Mark
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.config.scalars import Scalar

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_DEPTH = 64
MAX_NODES = 20_000  # checked within a second; the largest real config of the five systems has 400

LINE_BREAK = re.compile(r"\r\n|\n|\r")


def line_at(text: str, index: int) -> int:
    """The number of the line that holds the character at `index`, counted from 1."""
    return len(LINE_BREAK.findall(text, 0, index)) + 1


def line_starts(text: str) -> list[int]:
    """Where each line starts; with `bisect` the lines of many places at once."""
    return [0, *(found.end() for found in LINE_BREAK.finditer(text))]


@dataclass(slots=True, eq=False)
class Node:
    """A value in the text, from `start` up to `end`; line and column count from 1."""

    start: int
    end: int
    line: int
    column: int


@dataclass(slots=True, eq=False)
class ScalarNode(Node):
    """A single value; `style` is empty when it is unquoted, else its quote or block indicator."""

    value: Scalar
    style: str
    anchor: str | None = None


@dataclass(slots=True, eq=False)
class ListNode(Node):
    """A list; `flow` when it is written in brackets."""

    items: list[Node]
    flow: bool
    anchor: str | None = None


@dataclass(slots=True, eq=False)
class MappingNode(Node):
    """A mapping; `flow` when it is written in braces."""

    entries: list[Entry]
    flow: bool
    anchor: str | None = None

    def entry(self, key: str | int) -> Entry | None:
        """The entry that this mapping itself writes for a key, without merged ones."""
        return next((e for e in self.entries if e.key == key and not e.merge), None)


@dataclass(slots=True, eq=False)
class AliasNode(Node):
    """``*name``: another node once more."""

    target: Node


@dataclass(slots=True, eq=False)
class Entry:
    """A key with its value; `start` and `end` are the key's. `merge` marks an unquoted ``<<``."""

    key: str
    start: int
    end: int
    line: int
    column: int
    value: Node
    merge: bool = False


class Repeated(NamedTuple):
    """A key that stands twice, and the lines of both."""

    path: KeyPath
    first: int
    second: int


@dataclass(slots=True)
class Document:
    """A file as plain values with their places.

    Attributes:
        name: What the file is called in messages.
        tree: The values, nested as in the file.
        marks: The place of every key and list item.
        text: The text that was read.
        root: The top-level mapping as nodes; None when the file is empty.
        format: How the text is written.
    """

    name: str
    tree: dict[str, Any]
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    text: str = ""
    root: MappingNode | None = None
    format: Literal["yaml", "json"] = "yaml"

    @property
    def notes(self) -> list[Finding]:
        """What deserves a look although the file could be read; see `workbench.config.notes`."""
        from workbench.config.notes import notes

        return notes(self)

    def node(self, path: KeyPath) -> Node | None:
        """The node written at that path; None where only an alias or a merge leads."""
        here: Node | None = self.root
        for part in path:
            if isinstance(here, MappingNode):
                entry = here.entry(part)
                here = entry.value if entry else None
            elif isinstance(here, ListNode) and isinstance(part, int) and part < len(here.items):
                here = here.items[part]
            else:
                return None
        return here


def document(
    root: MappingNode | None,
    text: str,
    name: str,
    fmt: Literal["yaml", "json"],
    repeated: list[Repeated] | None = None,
) -> Document:
    """Values and marks from nodes.

    Args:
        root: The top-level mapping.
        text: The text of the file.
        name: What the file is called in messages.
        fmt: How it is written.
        repeated: Takes the keys that stand twice, of which the last counts; without it they are
            refused.

    Raises:
        ConfigError: A duplicate key, a wrong merge, or more values than a config can need.
    """
    made = Document(name, {}, text=text, root=root, format=fmt)
    if root is not None:
        made.tree = _Values(made, repeated).mapping(root, (), 1)
    return made


def too_much(depth: int, where: str) -> ConfigError:
    """The refusal of a file that goes over `MAX_DEPTH` or `MAX_NODES`."""
    if depth > MAX_DEPTH:
        return ConfigError(
            f"the file is nested deeper than {MAX_DEPTH} levels",
            where=where,
            fix="no config needs so many: look for brackets that are never closed",
        )
    return ConfigError(
        f"the file holds more than {MAX_NODES:,} values (aliases count each time)",
        where=where,
        fix="no config needs so many: is it the right file?",
    )


class _Values:
    """Makes plain values from nodes, counting what it makes."""

    def __init__(self, into: Document, repeated: list[Repeated] | None) -> None:
        self._name = into.name
        self._repeated = repeated
        self._marks = into.marks
        self._nodes = 0

    def mapping(self, node: MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for entry in self._entries(node, path, depth):
            here = (*path, entry.key)
            self._marks[here] = Mark(entry.line, entry.column)
            tree[entry.key] = self._value(entry.value, here, depth + 1)
        return tree

    def _value(self, node: Node, path: KeyPath, depth: int) -> Any:
        if isinstance(node, AliasNode):
            node = node.target
        self._count(1, depth, node.line)
        if isinstance(node, ScalarNode):
            return node.value
        if isinstance(node, MappingNode):
            return self.mapping(node, path, depth)
        assert isinstance(node, ListNode)
        items = []
        for index, item in enumerate(node.items):
            here = (*path, index)
            self._marks[here] = Mark(item.line, item.column)
            items.append(self._value(item, here, depth + 1))
        return items

    def _count(self, more: int, depth: int, line: int) -> None:
        self._nodes += more
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise too_much(depth, f"{self._name}:{line}")

    def _entries(self, node: MappingNode, path: KeyPath, depth: int) -> list[Entry]:
        """A mapping's own entries, then merged ones; its own win, then the earlier source."""
        own: dict[str, Entry] = {}
        merges: list[Entry] = []
        for entry in node.entries:
            first = merges[0] if entry.merge and merges else own.get(entry.key)
            if first is not None:
                if self._repeated is None or entry.merge:
                    raise self._duplicate(first, entry, path)
                self._repeated.append(Repeated((*path, entry.key), first.line, entry.line))
            if entry.merge:
                merges.append(entry)
            else:
                own[entry.key] = entry
        for entry in merges:
            for source in self._sources(entry):
                self._count(1 + len(source.entries), depth, entry.line)
                for merged in self._entries(source, path, depth + 1):
                    own.setdefault(merged.key, merged)
        return list(own.values())

    def _sources(self, entry: Entry) -> list[MappingNode]:
        value = entry.value.target if isinstance(entry.value, AliasNode) else entry.value
        given = value.items if isinstance(value, ListNode) else [value]
        plain = [item.target if isinstance(item, AliasNode) else item for item in given]
        sources = [item for item in plain if isinstance(item, MappingNode)]
        if len(sources) != len(given):
            raise ConfigError(
                "'<<' merges mappings: an alias such as *base, or a list of them",
                where=f"{self._name}:{entry.line}",
            )
        return sources

    def _duplicate(self, first: Entry, second: Entry, path: KeyPath) -> ConfigError:
        shown = ".".join(map(str, (*path, second.key)))
        return ConfigError(
            f"the key {shown!r} stands twice, in line {first.line} and in line {second.line}",
            where=f"{self._name}:{second.line}",
            why="readers disagree about which of the two counts",
            fix="keep one of the two",
        )

"""YAML text to nodes.

PyYAML's parser gives events with positions; the rest is ours, because PyYAML's own construction
follows YAML 1.1, keeps the last of two equal keys, and follows aliases without limit.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from workbench.config.document import (
    MAX_DEPTH,
    MAX_NODES,
    AliasNode,
    Document,
    Entry,
    ListNode,
    MappingNode,
    Node,
    Repeated,
    ScalarNode,
    document,
    line_at,
    too_much,
)
from workbench.config.scalars import resolve
from workbench.config.yaml_errors import explain, unreadable_character
from workbench.errors import ConfigError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ANCHOR = re.compile(r"&[\w-]+[ \t]*")
# YAML 1.1 breaks a line at these, YAML 1.2 and every editor do not: a comment would end unseen.
_SEPARATORS = re.compile("[\x85\u2028\u2029]")
# Unquoted, these look like spaces or like nothing, and would become part of a key.
INVISIBLE = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff]"
)


def read_yaml(text: str, name: str, *, repeated: list[Repeated] | None = None) -> Document:
    """Parse one YAML document whose top level is a mapping; an empty file is an empty mapping.

    Args:
        text: The text of the file.
        name: What the file is called in messages.
        repeated: Takes keys that stand twice, of which the last counts; without it they are
            refused.

    Raises:
        ConfigError: Not YAML, several documents, a duplicate key, a key that is no text, a tag,
            or more nesting, nodes or alias expansion than a config can need.
    """
    text = text.removeprefix("\ufeff")
    if (found := _SEPARATORS.search(text)) is not None:
        raise ConfigError(
            f"the line holds the invisible line separator U+{ord(found[0]):04X}",
            where=f"{name}:{line_at(text, found.start())}",
            fix="delete it, or write a line break",
        )
    try:
        loader = _Loader(text)
        try:
            root = _Parser(loader, text, name).root()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise explain(error, text, name) from None
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        raise unreadable_character(text, name) from None
    return document(root, text, name, "yaml", repeated)


class _Parser:
    """Events to nodes, refusing early what a config cannot hold."""

    def __init__(self, loader: Any, text: str, name: str) -> None:
        self._loader = loader
        self._text = text
        self._name = name
        self._nodes = 0
        self._anchors: dict[str, Node | None] = {}

    def root(self) -> MappingNode | None:
        """The top-level mapping, or None for an empty file."""
        self._next()  # stream start
        if isinstance(self._next(), StreamEndEvent):
            return None
        node = self._node(self._next(), 1)
        self._next()  # document end
        after = self._next()
        line = after.start_mark.line + 1
        if isinstance(after, DocumentStartEvent):
            raise ConfigError(
                "the file holds several YAML documents; a config is one",
                where=f"{self._name}:{line}",
                fix="remove the line '---', or split the file",
            )
        if isinstance(node, ScalarNode) and node.value is None and not node.style:
            return None
        if not isinstance(node, MappingNode):
            raise ConfigError(
                "a config file is a mapping of sections, such as 'training:' with keys below it",
                where=f"{self._name}:{node.line}",
                fix="is it the right file? its first line would be a key with a colon behind it",
            )
        return node

    def _next(self) -> Any:
        return self._loader.get_event()

    def _node(self, event: Any, depth: int) -> Node:
        self._nodes += 1
        start: int = event.start_mark.index
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        end: int = event.end_mark.index
        if isinstance(event, AliasEvent):
            return AliasNode(start, end, line, column, self._target(event))
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise too_much(depth, f"{self._name}:{line}")
        if event.tag is not None:
            self._refuse_tag(event.tag, line)
        anchor: str | None = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None  # until its node is complete, an alias to it is a circle
            if (skipped := _ANCHOR.match(self._text, start)) is not None:
                start = skipped.end()
        if isinstance(event, ScalarEvent):
            node: Node = self._scalar(event, start)
        elif isinstance(event, SequenceStartEvent):
            items, end = self._items(depth)
            node = ListNode(start, end, line, column, items, bool(event.flow_style), anchor)
        else:
            entries, end = self._entries(depth)
            node = MappingNode(start, end, line, column, entries, bool(event.flow_style), anchor)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _scalar(self, event: Any, start: int) -> ScalarNode:
        end: int = event.end_mark.index
        style: str = event.style or ""
        if style in ("|", ">"):  # the event ends where the next token starts
            end = start + len(self._text[start:end].rstrip())
        value = event.value if style else resolve(event.value)
        mark = event.start_mark
        return ScalarNode(
            start, max(start, end), mark.line + 1, mark.column + 1, value, style, event.anchor
        )

    def _items(self, depth: int) -> tuple[list[Node], int]:
        """The items of a list, and where the list ends."""
        items: list[Node] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items, _end(event, items[-1].end if items else None)

    def _entries(self, depth: int) -> tuple[list[Entry], int]:
        """The entries of a mapping, and where the mapping ends."""
        entries: list[Entry] = []
        while not isinstance(event := self._next(), MappingEndEvent):
            entries.append(self._entry(event, depth))
        return entries, _end(event, entries[-1].value.end if entries else None)

    def _entry(self, event: Any, depth: int) -> Entry:
        start, end = event.start_mark, event.end_mark
        line = start.line + 1
        if not isinstance(event, ScalarEvent):
            self._refuse_key("a list, a mapping or an alias cannot be a key", line)
        if event.tag is not None:
            self._refuse_tag(event.tag, line)
        if event.anchor is not None:
            self._refuse_key("a key cannot carry an anchor", line)
        key, plain = str(event.value), not event.style
        if event.style in ("|", ">") or (plain and not key):
            self._refuse_key("the key before ':' is missing", line)
        if plain and not key.isascii() and (found := INVISIBLE.search(key)) is not None:
            self._refuse_invisible(found[0], key, line)
        value = self._node(self._next(), depth + 1)
        merge = plain and key == "<<"
        return Entry(key, start.index, end.index, line, start.column + 1, value, merge)

    def _target(self, event: Any) -> Node:
        name = str(event.anchor)
        where = f"{self._name}:{event.start_mark.line + 1}"
        if name not in self._anchors:
            raise ConfigError(
                f"there is no anchor &{name} above the alias *{name}",
                where=where,
                fix="quotes make it text: " + f'"*{name}"',
            )
        target = self._anchors[name]
        if target is None:
            raise ConfigError(f"the alias *{name} stands inside its own anchor", where=where)
        return target

    def _refuse_key(self, why: str, line: int) -> NoReturn:
        raise ConfigError("a key must be a word", where=f"{self._name}:{line}", why=why)

    def _refuse_tag(self, tag: str, line: int) -> NoReturn:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        raise ConfigError(
            f"the tag {shown!r} is not allowed in a config",
            where=f"{self._name}:{line}",
            why="a config is plain values; tags make readers build objects or run code",
            fix="remove the tag; text is written in quotes, a tuple as a list [a, b]",
        )

    def _refuse_invisible(self, character: str, key: str, line: int) -> NoReturn:
        no_break = character == "\u00a0"
        raise ConfigError(
            "the line is indented with no-break spaces"
            if no_break and key.startswith(character)
            else f"the key {INVISIBLE.sub('', key)!r} holds the invisible character "
            f"U+{ord(character):04X}",
            where=f"{self._name}:{line}",
            why="it looks like a space or like nothing, but makes another key",
            fix="delete it and type ordinary spaces" if no_break else "delete it",
        )


def _end(event: Any, last: int | None) -> int:
    """A flow collection ends with its bracket, a block collection with its last value."""
    end: int = event.end_mark.index
    return end if last is None or end > event.start_mark.index else last

"""HJSON text to nodes: JSON for people, which DeepSpeed's loader reads (https://hjson.github.io).

Comments with ``#``, ``//`` and ``/* */``; quotes, commas and the outermost braces may be missing;
text without quotes goes to the end of its line; three single quotes hold text of several lines.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NoReturn

from workbench.config.document import (
    MAX_DEPTH,
    MAX_NODES,
    Document,
    Entry,
    ListNode,
    MappingNode,
    Node,
    Repeated,
    ScalarNode,
    document,
    line_starts,
    too_much,
)
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.scalars import Scalar

_GAP = re.compile(r"(?:\s|#[^\r\n]*|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_QUOTED = re.compile(r""""(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*'""")
_BLOCK = re.compile(r"'''(.*?)'''", re.DOTALL)
_KEY = re.compile(r"[^\s,:\[\]{}\"']+")
_PLAIN = re.compile(r"(true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)[ \t]*"
                    r"(?=[,\]}\r\n#]|//|/\*|\Z)")  # fmt: skip
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 4000


def read_hjson(text: str, name: str, *, repeated: list[Repeated] | None = None) -> Document:
    """Parse an HJSON object.

    Raises:
        ConfigError: Not HJSON, not an object, a key that stands twice (unless `repeated` takes
            it), or more than a config can need.
    """
    text = text.removeprefix("\ufeff")
    return document(_Reader(text, name).root(), text, name, "json", repeated)


class _Reader:
    """A recursive descent over the text."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0
        self._nodes = 0
        self._lines = line_starts(text)

    def root(self) -> MappingNode:
        self._skip()
        braced = self._char() == "{"
        root = self._object(1, braced=braced)
        self._skip()
        if self._char():
            self._fail("something follows after the object")
        if not braced and not root.entries:
            self._fail("a config is one object, { train_batch_size: 8 }")
        return root

    def _char(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        """Move over spaces and comments."""
        found = _GAP.match(self._text, self._at)
        self._at = found.end() if found else self._at
        if self._text.startswith("/*", self._at):
            self._fail("the comment '/*' is never closed")

    def _skip_comma(self) -> None:
        """Move over what stands behind a member; one comma may be there."""
        self._skip()
        if self._char() == ",":
            self._at += 1
            self._skip()

    def _object(self, depth: int, *, braced: bool) -> MappingNode:
        self._count(depth)
        start = self._at
        self._at += braced
        entries: list[Entry] = []
        self._skip()
        while True:
            char = self._char()
            if char == "}" and braced:
                self._at += 1
                break
            if not char:
                if braced:
                    self._fail(
                        f"the file ends before the '{{' of line {self._line(start)} is closed"
                    )
                break
            entries.append(self._entry(depth))
            self._skip_comma()
        return MappingNode(start, self._at, *self._place(start), entries, flow=True)

    def _entry(self, depth: int) -> Entry:
        start = self._at
        if self._char() in ('"', "'"):
            key = self._quoted()
        elif (found := _KEY.match(self._text, start)) is not None:
            key = found[0]
            self._at = found.end()
        else:
            self._fail(f"{self._char()!r} where a key should be")
        end = self._at
        self._skip()
        if self._char() != ":":
            self._fail(f"a ':' is missing after the key {key[:40]!r}")
        self._at += 1
        self._skip()
        return Entry(key, start, end, *self._place(start), self._value(depth + 1))

    def _value(self, depth: int) -> Node:
        char = self._char()
        if char == "{":
            return self._object(depth, braced=True)
        if char == "[":
            return self._list(depth)
        self._count(depth)
        start = self._at
        if (block := _BLOCK.match(self._text, start)) is not None:
            self._at = block.end()
            return self._scalar(start, block[1].strip("\r\n"), "'")
        if char in ('"', "'"):
            return self._scalar(start, self._quoted(), '"')
        if (plain := _PLAIN.match(self._text, start)) is not None:
            self._at = plain.end(1)
            return self._scalar(start, self._plain(plain[1]), "")
        if not char or char in ",:]}":
            self._fail(f"{char!r} where a value should be" if char else "the file ends early")
        line = self._text[start:].splitlines()[0].rstrip()
        self._at += len(line)
        return self._scalar(start, line, '"')

    def _plain(self, word: str) -> Scalar:
        if word in _WORDS:
            return _WORDS[word]
        if word.lstrip("-").isdigit():
            if len(word) > _MAX_DIGITS:
                self._fail(f"a number of {len(word):,} digits")
            return int(word)
        value = float(word)
        if value in (float("inf"), float("-inf")):
            self._fail(f"{word[:40]} is larger than a float can be")
        return value

    def _quoted(self) -> str:
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            self._fail("the quotes are not closed on their line")
        self._at = found.end()
        inner = found[0][1:-1]
        if "\\" not in inner:
            return inner
        if found[0][0] == "'":
            inner = inner.replace("\\'", "'").replace('"', '\\"')
        try:
            value: str = json.loads(f'"{inner}"', strict=False)
            value.encode()
        except ValueError:
            self._fail("no such escape in JSON")
        return value

    def _list(self, depth: int) -> ListNode:
        self._count(depth)
        start = self._at
        self._at += 1
        items: list[Node] = []
        self._skip()
        while True:
            if self._char() == "]":
                self._at += 1
                return ListNode(start, self._at, *self._place(start), items, flow=True)
            if not self._char():
                self._fail_open("[", start)
            items.append(self._value(depth + 1))
            self._skip_comma()

    def _scalar(self, start: int, value: Scalar, style: str) -> ScalarNode:
        return ScalarNode(start, self._at, *self._place(start), value, style)

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise too_much(depth, f"{self._name}:{self._line(self._at)}")

    def _line(self, index: int) -> int:
        return bisect_right(self._lines, index)

    def _place(self, index: int) -> tuple[int, int]:
        line = self._line(index)
        return line, index - self._lines[line - 1] + 1

    def _fail_open(self, bracket: str, start: int) -> NoReturn:
        self._fail(f"the file ends before the {bracket!r} of line {self._line(start)} is closed")

    def _fail(self, what: str) -> NoReturn:
        line, column = self._place(min(self._at, len(self._text)))
        raise ConfigError(f"not valid HJSON: {what}", where=f"{self._name}:{line}:{column}")

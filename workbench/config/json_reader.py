"""JSON text to nodes, with the place of everything and a reason for every refusal.

The standard library's reader gives no positions, keeps the last of two equal keys and accepts NaN;
the packages that give positions read neither comments nor broken files.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NoReturn

from workbench.config.document import (
    LINE_BREAK,
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
from workbench.config.scalars import Scalar, resolve, spell
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?(?:\*/|\Z)|#[^\r\n]*", re.DOTALL)
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"']+")
_WORDS = {"true": True, "false": False, "null": None}
_MEANT = {
    **dict.fromkeys(("True", "TRUE", "yes", "Yes", "on", "On"), "true"),
    **dict.fromkeys(("False", "FALSE", "no", "No", "off", "Off"), "false"),
    **dict.fromkeys(("None", "Null", "NULL", "nil", "undefined", "~"), "null"),
}
_NOT_FINITE = {"NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"}
_CUT = "the file is cut off here: fetch it again, whole"
_MAX_DIGITS = 4000  # int() refuses longer text


def read_json(
    text: str, name: str, *, comments: bool = False, repeated: list[Repeated] | None = None
) -> Document:
    """Parse a JSON object.

    Args:
        text: The text of the file.
        name: What the file is called in messages.
        comments: Accept ``//`` and ``/* */`` comments and a comma after the last item.
        repeated: Takes keys that stand twice, of which the last counts; without it they are
            refused.

    Raises:
        ConfigError: Not JSON, not an object, a duplicate key, or more than a config can need.
    """
    text = text.removeprefix("\ufeff")
    root = _Reader(text, name, comments=comments).root()
    return document(root, text, name, "json", repeated)


def plain_json(text: str, name: str) -> str:
    """The text without comments and trailing commas; everything else stays where it is.

    Raises:
        ConfigError: Something else is wrong with it, too.
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader(text, name, comments=True)
    reader.root()
    pieces, at = [], 0
    for start, end in reader.extras:
        kept = text[at:start]
        if end == len(text) or text[end] in "\r\n":
            kept = kept.rstrip(" \t")
        pieces += [kept, *LINE_BREAK.findall(text, start, end)]
        at = end
    return "".join(pieces) + text[at:]


class _Reader:
    """A recursive descent over the text."""

    def __init__(self, text: str, name: str, *, comments: bool) -> None:
        self._text = text
        self._name = name
        self._comments = comments
        self._at = 0
        self._nodes = 0
        self._lines = line_starts(self._text)
        self.extras: list[tuple[int, int]] = []  # comments and trailing commas

    def root(self) -> MappingNode | None:
        """The object that the text is; None when it is empty."""
        try:
            self._text.encode()
        except UnicodeEncodeError as error:
            self._fail(error.start, "half of a surrogate pair is no character", "delete it")
        self._skip()
        if not self._char():
            return None
        if self._char() != "{":
            self._fail(
                self._at,
                'a JSON config is one object, { "training": { … } }',
                {'"': "the first brace is missing: put { before it", "[": "this is a list"}.get(
                    self._char(), "is it YAML? then call the file .yaml"
                ),
            )
        root = self._object(1)
        self._skip()
        if self._char():
            self._fail(self._at, "something follows after the object's closing brace", "remove it")
        return root

    def _char(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        """Move over spaces and comments."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            comment = _COMMENT.match(self._text, self._at)
            if comment is None:
                return
            if not self._comments or comment[0].startswith("#"):
                self._fail(self._at, "JSON has no comments", "remove the comment, or write YAML")
            if comment[0].startswith("/*") and not (
                len(comment[0]) > 3 and comment[0].endswith("*/")
            ):
                self._fail(self._at, "the comment '/*' is never closed", "add */")
            self.extras.append(comment.span())
            self._at = comment.end()

    def _value(self, depth: int) -> Node:
        char = self._char()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._list(depth)
        self._count(depth)
        start = self._at
        if char == '"':
            value: Scalar = self._string("text")
            return self._scalar(start, value, '"')
        found = _WORD.match(self._text, start)
        word = found[0] if found else ""
        if word in _WORDS:
            value = _WORDS[word]
        elif _NUMBER.fullmatch(word):
            value = self._number(word)
        else:
            self._refuse_value(word)
        self._at += len(word)
        return self._scalar(start, value, "")

    def _scalar(self, start: int, value: Scalar, style: str) -> ScalarNode:
        line, column = self._place(start)
        return ScalarNode(start, self._at, line, column, value, style)

    def _number(self, word: str) -> int | float:
        if word.lstrip("-").isdigit():
            if len(word) > _MAX_DIGITS:
                self._fail(self._at, f"a number of {len(word):,} digits", "shorten it")
            return int(word)
        value = float(word)
        if value in (float("inf"), float("-inf")):
            self._fail(self._at, f"{word} is larger than a float can be", "shorten it")
        return value

    def _string(self, noun: str) -> str:
        start = self._at
        found = _STRING.match(self._text, start)
        if found is None:
            self._fail(
                start, f"the quotes of this {noun} are not closed on its line", 'add the missing "'
            )
        self._at = found.end()
        if "\\" not in found[0]:
            return found[0][1:-1]
        try:
            value: str = json.loads(found[0])
            value.encode()
        except json.JSONDecodeError as error:
            self._fail(start + error.pos, "no such escape in JSON", r"a backslash is written \\")
        except UnicodeEncodeError:
            self._fail(start, "half of a surrogate pair is no character", r"write both \u halves")
        return value

    def _object(self, depth: int) -> MappingNode:
        self._count(depth)
        start = self._at
        entries: list[Entry] = []
        for _ in self._members("}", start):
            key_start = self._at
            if self._char() != '"':
                self._refuse_key()
            key = self._string("key")
            key_end = self._at
            self._skip()
            if self._char() != ":":
                self._fail(self._at, f"a ':' is missing after the key {key!r}", f'"{key}": value')
            self._at += 1
            self._skip()
            value = self._value(depth + 1)
            entries.append(Entry(key, key_start, key_end, *self._place(key_start), value))
        return MappingNode(start, self._at, *self._place(start), entries, flow=True)

    def _list(self, depth: int) -> ListNode:
        self._count(depth)
        start = self._at
        items = [self._value(depth + 1) for _ in self._members("]", start)]
        return ListNode(start, self._at, *self._place(start), items, flow=True)

    def _members(self, close: str, start: int) -> Iterator[None]:
        """Stand at each member in turn, and behind `close` at the end."""
        self._at += 1
        comma: int | None = None
        while True:
            self._skip()
            if self._char() == close:
                if comma is not None:
                    self._trailing_comma(comma)
                self._at += 1
                return
            yield
            after = self._at
            self._skip()
            char = self._char()
            if char == ",":
                comma = self._at
                self._at += 1
            elif char == close:
                comma = None
            elif not char:
                line = self._place(start)[0]
                self._fail(
                    len(self._text),
                    f"the file ends before the {self._text[start]!r} of line {line} is closed",
                    f"add {close}",
                )
            else:
                self._fail(after, f"a comma or {close!r} is missing here", "add a comma")

    def _trailing_comma(self, at: int) -> None:
        if not self._comments:
            self._fail(at, "JSON has no comma after the last item", "remove this comma")
        self.extras.append((at, at + 1))

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise too_much(depth, self._where(self._at))

    def _place(self, index: int) -> tuple[int, int]:
        line = bisect_right(self._lines, index)
        return line, index - self._lines[line - 1] + 1

    def _where(self, index: int) -> str:
        line, column = self._place(index)
        return f"{self._name}:{line}:{column}"

    def _fail(self, index: int, what: str, fix: str | None) -> NoReturn:
        raise ConfigError(f"not valid JSON: {what}", where=self._where(index), fix=fix)

    def _refuse_key(self) -> NoReturn:
        char = self._char()
        found = _WORD.match(self._text, self._at)
        if char == "'" or found:
            shown = found[0] if found else self._text[self._at + 1 :].partition("'")[0]
            self._fail(self._at, "a key stands in double quotes", f'"{shown[:80]}"')
        what = f"{char!r} where a key should be" if char else "the file ends where a key should be"
        self._fail(self._at, what, "remove it" if char else _CUT)

    def _refuse_value(self, word: str) -> NoReturn:
        char = self._char()
        if char == "'":
            self._fail(self._at, "text stands in double quotes", "replace each ' by \"")
        if word in _MEANT:
            self._fail(self._at, f"{word} is no JSON word", f"write {_MEANT[word]}")
        if word in _NOT_FINITE:
            self._fail(self._at, f"{word} is no JSON number", "write a number or null")
        if word:
            meant = resolve(word)
            if isinstance(meant, int | float) and not isinstance(meant, bool):
                self._fail(self._at, f"{word[:80]} is no JSON number", f"write {spell(meant)}")
            self._fail(self._at, "text stands in double quotes", f'"{word[:80]}"')
        what = (
            f"{char!r} where a value should be" if char else "the file ends where a value should be"
        )
        self._fail(self._at, what, "put a value before it" if char else _CUT)

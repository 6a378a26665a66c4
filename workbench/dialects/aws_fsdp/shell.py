"""A shell text as words, with the place of each: as bash splits it, as far as flags need it.

Quotes, comments, line continuations, arrays, and substitutions that stay as they are (``$VAR``,
``${VAR:-8}``, ``$(hostname)``). Nothing is ever run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Sort = Literal["word", "break", "open", "close"]

_BREAKS = "\n;&|"
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?[-=]([^}]*))?\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a shell text.

    Attributes:
        sort: A word, the end of a command, or a bracket of an array.
        text: A word without its quotes.
        start: Where it begins in the text.
        end: Where it ends.
        line: Its line, from 1.
        single: Whether some of it stood in single quotes, where ``$`` means nothing.
    """

    sort: Sort
    text: str
    start: int
    end: int
    line: int
    single: bool = False


def tokens(text: str, name: str) -> list[Token]:
    """The tokens of a shell text.

    Args:
        text: The text.
        name: What it is called in messages.

    Raises:
        ConfigError: A quote is never closed.
    """
    return _Scanner(text, name).run()


def assignments(found: list[Token]) -> dict[str, str]:
    """Variables that are set by ``NAME=value``; of several the last one that is no substitution."""
    values: dict[str, str] = {}
    for token in found:
        match = _ASSIGNMENT.match(token.text) if token.sort == "word" else None
        if match and match[2] and not token.text.startswith("-"):
            values[match[1]] = resolve(match[2], values)
    return values


def resolve(text: str, values: Mapping[str, str]) -> str:
    """A word with the variables that are known put in; the others stay as they are."""

    def put(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2])
        if known is not None and "$" not in known:
            return known
        return match[0] if match[3] is None or "$" in match[3] else match[3]

    return _VARIABLE.sub(put, text)


def is_placeholder(text: str) -> bool:
    """Whether a word still has to be filled in: ``$VAR``, ``${VAR}``, ``{{ VAR }}``."""
    return bool(re.search(r"\$[A-Za-z_{(]|\{\{.*\}\}|`", text))


class _Scanner:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0
        self._line = 1
        self._found: list[Token] = []

    def run(self) -> list[Token]:
        text = self._text
        while self._at < len(text):
            character = text[self._at]
            if character in _BREAKS:
                self._single("break")
            elif character == "(":
                self._single("open")
            elif character == ")":
                self._single("close")
            elif character.isspace():
                self._at += 1
            elif character == "#":
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif (after := self._continuation(self._at)) is not None:
                self._at = after
            else:
                self._word()
        return self._found

    def _continuation(self, at: int) -> int | None:
        """Where the text goes on behind a backslash at the end of a line."""
        match = re.compile(r"\\\r?(\n|\Z)").match(self._text, at)
        if match is None:
            return None
        self._line += match[0].count("\n")
        return match.end()

    def _single(self, sort: Sort) -> None:
        token = Token(sort, self._text[self._at], self._at, self._at + 1, self._line)
        self._line += token.text == "\n"
        self._found.append(token)
        self._at += 1

    def _word(self) -> None:
        text, start, line, single = self._text, self._at, self._line, False
        made: list[str] = []
        while self._at < len(text):
            character = text[self._at]
            if character.isspace() or character in _BREAKS or character in "()":
                break
            if character == "'":
                made.append(self._quoted("'"))
                single = True
            elif character == '"':
                made.append(self._quoted('"'))
            elif character == "\\":
                if (after := self._continuation(self._at)) is not None:
                    self._at = after
                    continue
                made.append(text[self._at + 1 : self._at + 2])
                self._line += made[-1] == "\n"
                self._at += 2
            elif text.startswith(("$(", "${"), self._at):
                made.append(self._substitution())
            else:
                made.append(character)
                self._at += 1
        self._found.append(Token("word", "".join(made), start, self._at, line, single))

    def _quoted(self, quote: str) -> str:
        end = self._at + 1
        made: list[str] = []
        while end < len(self._text) and self._text[end] != quote:
            if (
                quote == '"'
                and self._text[end] == "\\"
                and self._text[end + 1 : end + 2] in '"\\$`\n'
            ):
                end += 1
                made.append("" if self._text[end : end + 1] == "\n" else self._text[end : end + 1])
            else:
                made.append(self._text[end])
            end += 1
        if end >= len(self._text):
            raise ConfigError(
                f"the quote {quote} is never closed",
                where=f"{self._name}:{self._line}",
                fix=f"close it with {quote} where the value ends",
            )
        self._line += self._text.count("\n", self._at, end)
        self._at = end + 1
        return "".join(made)

    def _substitution(self) -> str:
        """``$(…)`` or ``${…}``, brackets inside included; an open one ends with its line."""
        opening = self._text[self._at + 1]
        closing = ")" if opening == "(" else "}"
        depth, end = 0, self._at + 1
        while end < len(self._text) and self._text[end] != "\n":
            depth += (self._text[end] == opening) - (self._text[end] == closing)
            end += 1
            if depth == 0:
                break
        made = self._text[self._at : end]
        self._at = end
        return made

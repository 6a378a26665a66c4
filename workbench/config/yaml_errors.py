"""What a YAML syntax error means to the person who wrote the file, and the line that repairs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from workbench.config.document import LINE_BREAK, line_at
from workbench.errors import ConfigError

if TYPE_CHECKING:
    import yaml

_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200b\u202f\u205f\u3000\ufeff]")
# Possessive throughout: a line of a megabyte must not be tried in a million ways.
_GLUED = re.compile(
    r"(?P<indent>\s*+)(?P<first>[\w.-]++:\s++"
    r"(?:true|false|null|[-+]?(?:\d[\d_]*+(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+|"
    r"\"[^\"]*+\"|'[^']*+'|\[[^][]*+\]|\{[^{}]*+\}))"
    r"\s*+(?P<second>[A-Za-z_]\w*+:(?:\s.*)?)\Z"
)
# What the parser says, and what that means in a config.
_MEANING = (
    ("mapping values are not allowed", "this line has a second ': ', or is indented too far"),
    ("did not find expected key", "the indentation does not fit the lines above"),
    ("did not find expected '-' indicator", "the items of a list must be indented alike"),
    ("could not find expected ':'", "a key without ': ' after it"),
    ("did not find expected ',' or '}'", "a mapping in braces is not closed, or lacks a comma"),
    ("did not find expected ',' or ']'", "a list in brackets is not closed, or lacks a comma"),
    ("found unexpected end of stream", "quotes are opened and never closed"),
    (
        "found unknown escape character",
        "a backslash in double quotes: double it, or use single quotes",
    ),
    ("did not find expected node content", "a key or a value is missing here"),
    ("block sequence entries are not allowed", "a list item '- ' cannot stand here"),
)
_INDICATOR = "found character that cannot start any token"


@dataclass(frozen=True, slots=True)
class Glued:
    """A line that lost its line break, ``a: falseb:``, as the two lines it was."""

    line: int
    first: str
    second: str


def explain(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    """A parser's error as ours."""
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    lines = LINE_BREAK.split(text)
    line = lines[number - 1] if number <= len(lines) else ""
    problem = error.problem or "the text is no YAML"
    where = f"{name}:{number}" + (f"  {line.strip()[:80]!r}" if line.strip() else "")
    if (halves := glued(lines, number)) is not None:
        return ConfigError(
            "not valid YAML: a line break is missing between two keys",
            where=where,
            fix=f"make two lines of it: {halves.first.strip()!r} and {halves.second.strip()!r}",
        )
    if "\t" in line[: _indent(line)]:
        return ConfigError(
            "not valid YAML: the line is indented with a tab",
            where=where,
            fix="indent with spaces; YAML does not allow tabs",
        )
    before = lines[number - 2] if number > 1 else ""
    if (odd := _ODD_SPACE.search(line) or _ODD_SPACE.search(before)) is not None:
        noun = "the line" if odd[0] in line else "the line above"
        return ConfigError(
            f"not valid YAML: {noun} holds U+{ord(odd[0]):04X}, which only looks like a space",
            where=where,
            fix="delete it and type an ordinary space",
        )
    column = mark.column if mark else 0
    if _INDICATOR in problem and column < len(line):
        return ConfigError(
            f"not valid YAML: a value cannot start with {line[column]!r}",
            where=where,
            fix="put the value in quotes" if line[column] != "\t" else "replace the tab by spaces",
        )
    meaning = next((words for start, words in _MEANING if problem.startswith(start)), None)
    opened = error.context_mark
    if meaning is not None and opened is not None and "closed" in meaning:
        meaning += f"; it opens in line {opened.line + 1}"
    return ConfigError(
        f"not valid YAML: {meaning or problem}",
        where=where,
        why=error.context if meaning is None else f"the parser says: {problem}",
    )


def unreadable_character(text: str, name: str) -> ConfigError:
    """The first character that YAML does not allow."""
    found = _NOT_YAML.search(text)
    if found is None:
        return ConfigError("the text holds a character that YAML does not allow", where=name)
    line = line_at(text, found.start())
    code = ord(found[0])
    garbled = 0x80 <= code < 0xA0
    return ConfigError(
        f"the control character U+{code:04X} is not allowed in YAML",
        where=f"{name}:{line}",
        why="the text was UTF-8 once and was read as Latin-1 or Windows-1252" if garbled else None,
        fix="save it again from the original, as UTF-8" if garbled else "delete it",
    )


def glued(lines: list[str], number: int) -> Glued | None:
    """The two halves of line `number` (from 1) when a line break went missing in it."""
    if number > len(lines) or (found := _GLUED.match(lines[number - 1])) is None:
        return None
    indent, second = found["indent"], found["second"]
    if second.partition(" #")[0].rstrip().endswith(":"):
        # A section: it stands where the nearest line stands that has less indent than its keys.
        children = next((_indent(line) for line in islice(lines, number, None) if line.strip()), 0)
        above = (_indent(lines[index]) for index in range(number - 1, -1, -1))
        indent = " " * next((width for width in above if width < children), 0)
    return Glued(number, f"{found['indent']}{found['first']}", f"{indent}{second}")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())

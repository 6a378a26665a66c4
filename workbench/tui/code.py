"""Code in colours: words, strings, comments and numbers, by one pass of a regular expression.

No tree-sitter: textual's own highlighting loads it, and versions of it end the process
(reference/tui.md, section 4).
"""

from __future__ import annotations

import keyword
import re
from functools import cache

from workbench.tui.rows import Row, Segment, clip, plain

_PYTHON = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<string>[rbfRBF]{0,2}(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'))"
    r"|(?P<number>\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)"
    r"|(?P<word>\b(?:" + "|".join(keyword.kwlist) + r")\b)"
    r"|(?P<magic>^\s*[%!]{1,2}\w+.*)"
)
_YAML = re.compile(
    r"(?P<comment>(?:^|(?<=\s))\#.*)"
    r"|(?P<word>^\s*(?:-\s+)?[\w.\"'-]+(?=\s*:(?:\s|$)))"
    r"|(?P<magic>^%%\w+.*)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'[^']*')"
    r"|(?P<number>(?<=\s)-?\d[\d_]*(?:\.\d*)?(?:e[+-]?\d+)?(?=\s|$|,|\]))"
)
_SHELL = re.compile(r"(?P<comment>(?:^|(?<=\s))\#.*)|(?P<word>^\s*(?:ava-tui|ava)\b(?: [a-z]+)?)")
_WORDS = {"yaml": _YAML, "yml": _YAML, "bash": _SHELL, "sh": _SHELL, "shell": _SHELL}
_STYLES = {
    "comment": "dim",
    "string": "string",
    "number": "number",
    "word": "keyword",
    "magic": "keyword",
}


def code_rows(source: str, language: str, width: int) -> list[Row]:
    """The lines of a text, each in one row; what is too long for the width is cut, and says so."""
    if source.startswith("%%config"):
        language = "yaml"
    return [_row(line, language, width) for line in source.split("\n")]


@cache
def _row(line: str, language: str, width: int) -> Row:
    text = clip(plain(line).rstrip(), width)
    if language in ("text", "", "none"):
        return [(text, "")]
    pattern = _WORDS.get(language.partition(" ")[0], _PYTHON)
    row: list[Segment] = []
    end = 0
    for match in pattern.finditer(text):
        if match.start() > end:
            row.append((text[end : match.start()], ""))
        row.append((match.group(), _STYLES[match.lastgroup or "word"]))
        end = match.end()
    if end < len(text):
        row.append((text[end:], ""))
    return row

"""Rules on what not every face can show.

Tried with Textual 8.2 and JupyterLab 4.6. Neither renders GitHub's alerts. Textual drops HTML, and
shows mathematics, footnotes, boxes to tick and MyST's marks as they are typed. Directives would
need an extension that replaces JupyterLab's renderer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.lessons.calls import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.linting import Subject
    from workbench.lessons.markup import Fence
    from workbench.lessons.problems import Problem

LANGUAGES: Final = (
    "",
    "text",
    "bash",
    "console",
    "yaml",
    "json",
    "python",
    "ini",
    "diff",
    "markdown",
)
_ALERT: Final = re.compile(r"^\[!\w+\]")
_MATHS: Final = re.compile(r"(?<!\\)\$[^$]*(?<!\\)\$|\\\\[(\[]", re.DOTALL)
# in the source, because CommonMark gives them no meaning of their own
_LINES: Final = (
    (re.compile(r":{3,}\s*\{?\w"), "a directive with colons", "write it as a paragraph"),
    (re.compile(r"\+\+\+(\s|$)"), "a block break +++", "leave a blank line"),
    (re.compile(r"%\s"), "a comment of MyST, which is no comment elsewhere", "delete it"),
    (re.compile(r"\([\w-]+\)=\s*$"), "a label of MyST", "name the section in words"),
    (re.compile(r"\[\^[^\]]+\]:"), "a footnote", "write it into the text"),
    (re.compile(r"\s*[-*] \[[ xX]\] "), "a box to tick, which nobody can tick", "- …"),
)


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of these rules."""
    for found in subject.markups:
        for html, line in found.html:
            message = f"raw HTML is dropped in the terminal: {html[:40]!r}"
            yield subject.problem(line, "face", message, "write it in Markdown")
        for prose, line in found.prose:
            yield from _prose(subject, prose, line)
        for fence in found.fences:
            yield from _fence(subject, fence)
    yield from _lines(subject)


def _prose(subject: Subject, prose: str, line: int) -> Iterator[Problem]:
    if _ALERT.match(prose):
        message = "an alert of GitHub shows as its brackets elsewhere"
        yield subject.problem(line, "face", message, "> **Tip.** …")
    if (maths := _MATHS.search(prose)) is not None:
        at = line + prose[: maths.start()].count("\n")
        message = f"mathematics shows as it is typed in the terminal: {maths[0][:40]!r}"
        fix = "write it in words and Unicode; two amounts of money: USD, or \\$"
        yield subject.problem(at, "face", message, fix)


def _fence(subject: Subject, fence: Fence) -> Iterator[Problem]:
    language = fence.info.split(" ")[0]
    if language.startswith("{code-cell}"):
        message = "a cell inside a list or a quotation is no cell, it is only shown"
        yield subject.problem(fence.line, "face", message, "begin its fence at the left margin")
    elif language.startswith("{"):
        message = f"the directive {language} shows as code everywhere"
        yield subject.problem(fence.line, "face", message, "> **Tip.** …  or plain words")
    elif language not in LANGUAGES:
        message = f"not every face can show a block of {language!r}"
        fix = f"one of: {', '.join(filter(None, LANGUAGES))}"
        yield subject.problem(fence.line, "face", message, fix)
    elif language == "python" and parsed(fence.content) is None:
        yield subject.problem(
            fence.line, "code", "this is not valid Python", "```text, if it is none"
        )


def _lines(subject: Subject) -> Iterator[Problem]:
    fenced = set[int]()
    for found in subject.markups:
        for fence in found.fences:
            fenced.update(range(fence.line, fence.line + fence.content.count("\n") + 2))
    for cell in subject.lesson.cells:
        fenced.update(range(cell.line, cell.source_line + cell.source.count("\n") + 2))
    lines = subject.text.split("\n")
    start = next((n for n, line in enumerate(lines, 1) if n > 1 and line.rstrip() == "---"), 0)
    for number, line in enumerate(lines, start=1):
        if number <= start or number in fenced:
            continue
        for shape, what, fix in _LINES:
            if shape.match(line):
                message = f"{what} shows as it is typed in some faces"
                yield subject.problem(number, "face", message, fix)

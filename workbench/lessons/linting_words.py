"""Rules on characters, front matter for jupytext, headings, and commands that lessons name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.config import mojibake
from workbench.config.document import line_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.linting import Subject
    from workbench.lessons.markup import Heading
    from workbench.lessons.problems import Problem

# Some programs end a line at these and some do not; the others cannot be seen at all.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_FILTER: Final = "notebook_metadata_filter: ava,-jupytext.text_representation.jupytext_version"
_COMMAND: Final = re.compile(
    r"(?:^|[;&|(]\s*|\$ )ava[ \t]+([^\s;&|)`'\"]+)(?:[ \t]+([^\s;&|)`'\"]+))?", re.MULTILINE
)
_WITH_RECIPE: Final = ("train", "launch")


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of these rules."""
    yield from _characters(subject)
    yield from _jupytext(subject)
    yield from _headings(subject)
    yield from _commands(subject)


def _characters(subject: Subject) -> Iterator[Problem]:
    for found in mojibake.find(subject.text):
        message = f"{found.seen!r} is garbled: it was {found.meant!r}"
        fix = "save the file again from the original, as UTF-8; or write the character"
        yield subject.problem(line_at(subject.text, found.start), "mojibake", message, fix)
    for line in mojibake.lost_lines(subject.text):
        message = "a character is lost: something else stood where the replacement character is"
        yield subject.problem(line, "mojibake", message, "write it again")
    for invisible in _INVISIBLE.finditer(subject.text.replace("\r\n", "\n")):
        message = f"U+{ord(invisible[0]):04X} cannot be seen, or ends a line for some programs only"
        line = line_at(subject.text, invisible.start())
        yield subject.problem(line, "mojibake", message, "delete it")


def _jupytext(subject: Subject) -> Iterator[Problem]:
    front = subject.text.split("\n---", 1)[0]
    if "format_name: myst" not in front or "notebook_metadata_filter:" not in front:
        message = "without its jupytext map, saving the lesson in JupyterLab loses the 'ava:' map"
        fix = (
            f"jupytext:\n  text_representation: {{extension: .md, format_name: myst}}\n  {_FILTER}"
        )
        yield subject.problem(1, "jupytext", message, fix)
    elif not re.search(r"notebook_metadata_filter:.*\bava\b", front):
        message = "the filter keeps no 'ava': saving the lesson in JupyterLab loses it"
        yield subject.problem(1, "jupytext", message, _FILTER)
    if not re.search(r"\bname: *[\"']?ava-workbench\b", front):
        message = "the kernel is not that of the workbench, so the lesson may find no workbench"
        fix = "kernelspec: {display_name: Ava Workbench, language: python, name: ava-workbench}"
        yield subject.problem(1, "jupytext", message, fix)


def _headings(subject: Subject) -> Iterator[Problem]:
    headings = [each for found in subject.markups for each in found.headings]
    title = subject.lesson.title
    if not headings:
        yield subject.problem(1, "title", "the lesson has no heading", f"# {title}")
        return
    first, *rest = headings
    if first.level != 1 or first.words != title:
        message = f"the first heading is {first.words!r}, the title in the front matter {title!r}"
        yield subject.problem(first.line, "title", message, f"# {title}")
    yield from _levels(subject, first, rest)
    for cell in subject.lesson.cells:
        if not cell.title and (cell.is_check or cell.is_edit or cell.is_config):
            message = f"the cell {cell.id} has no title, which learners see above it"
            yield subject.problem(
                cell.line, "title", message, f':ava: {{id: {cell.id}, title: "…"}}'
            )


def _levels(subject: Subject, first: Heading, rest: list[Heading]) -> Iterator[Problem]:
    above = first.level
    for heading in rest:
        if heading.level == 1:
            message = f"a second title: {heading.words!r}"
            yield subject.problem(heading.line, "title", message, f"## {heading.words}")
        elif heading.level > above + 1:
            message = f"the heading {heading.words!r} skips a level: readers by ear lose their way"
            fix = f"{'#' * (above + 1)} {heading.words}"
            yield subject.problem(heading.line, "title", message, fix)
        above = heading.level


def _commands(subject: Subject) -> Iterator[Problem]:
    if subject.commands is None:
        return
    for text, line in _shell(subject):
        for found in _COMMAND.finditer(text):
            at = line + text[: found.start(1)].count("\n")
            yield from _command(subject, found[1], found[2], at)


def _shell(subject: Subject) -> Iterator[tuple[str, int]]:
    """Shell commands in a lesson: fences of bash, code spans that begin with ava, learn.shell."""
    for found in subject.markups:
        for fence in found.fences:
            if fence.info.split(" ")[0] in ("bash", "sh", "shell", "console"):
                yield fence.content, fence.line + 1
        for span, line in found.spans:
            if span.startswith("ava "):
                yield span, line
    for cell in subject.lesson.cells:
        for call in re.finditer(r"learn\.shell\(\s*f?[\"'](ava [^\"'\n]*)", cell.source):
            yield call[1], cell.source_line + cell.source[: call.start(1)].count("\n")


def _command(subject: Subject, name: str, word: str | None, line: int) -> Iterator[Problem]:
    import difflib

    assert subject.commands is not None
    if name.startswith("-") or name in ("…", "...", "COMMAND", "help", "version"):
        return
    if name not in subject.commands:
        close = difflib.get_close_matches(name, subject.commands, n=1)
        fix = f"ava {close[0]}" if close else "ava --help lists the commands"
        yield subject.problem(line, "command", f"there is no command 'ava {name}'", fix)
    elif name in _WITH_RECIPE and word is not None and re.fullmatch(r"[a-z][a-z0-9_]*", word):
        from workbench.plan import recipes

        known = [recipe.name for recipe in recipes()]
        if word not in known:
            close = difflib.get_close_matches(word, known, n=1)
            fix = f"ava {name} {close[0]}" if close else "ava train --help lists the recipes"
            yield subject.problem(line, "command", f"there is no recipe {word!r}", fix)

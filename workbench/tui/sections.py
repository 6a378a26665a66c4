"""A lesson cut into sections, one to a screen: at its headings of the first and second order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.lesson_file import Block, Cell, Lesson

_HEADING = re.compile(r" {0,3}(#{1,2})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Section(NamedTuple):
    """A part of a lesson.

    Attributes:
        title: Its heading; that of the lesson where it has none.
        blocks: Markdown and cells, in order; the heading is in the first Markdown.
    """

    title: str
    blocks: tuple[str | Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Its cells."""
        return tuple(block for block in self.blocks if not isinstance(block, str))


def sections(lesson: Lesson) -> list[Section]:
    """The sections of a lesson, at least one."""
    found: list[tuple[str, list[str | Cell]]] = []
    for block in lesson.blocks:
        for title, part in _parts(block):
            # A heading with nothing below it but another heading opens no page of its own.
            if title is not None and not (found and _bare(found[-1][1])):
                found.append((title, []))
            elif not found:
                found.append((lesson.title, []))
            found[-1][1].append(part)
    return [Section(title, tuple(parts)) for title, parts in found] or [Section(lesson.title, ())]


def _bare(parts: list[str | Cell]) -> bool:
    """Whether there is nothing in it but a heading."""
    return all(isinstance(part, str) and not part.partition("\n")[2].strip() for part in parts)


def _parts(block: Block) -> Iterator[tuple[str | None, str | Cell]]:
    """A block cut before each heading; a title for each part that begins with one."""
    markdown = getattr(block, "markdown", None)
    if markdown is None:
        yield None, block  # type: ignore[misc]
        return
    title: str | None = None
    lines: list[str] = []
    fence = ""
    for line in str(markdown).splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1][:3]
        elif mark and mark[1].startswith(fence):
            fence = ""
        heading = None if fence else _HEADING.fullmatch(line)
        if heading:
            if any(each.strip() for each in lines):
                yield title, "\n".join(lines)
            title, lines = re.sub(r"[*_`]", "", heading[2]), []
        lines.append(line)
    if any(each.strip() for each in lines):
        yield title, "\n".join(lines)

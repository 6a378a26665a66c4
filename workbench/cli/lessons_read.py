"""`ava lessons read`: a lesson in the terminal, to read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from workbench.cli.output import console, print_json
from workbench.lessons.lesson_file import Cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from workbench.lessons.lesson_file import Lesson

_WIDTH = 100  # longer lines are hard to read


def read(lesson: Lesson, *, json: bool) -> int:
    """Print a lesson; on a screen, page by page."""
    if json:
        print_json(_data(lesson))
        return 0
    out = console()
    out.soft_wrap = False
    width = min(out.width, _WIDTH)
    with out.capture() as captured:
        for part in _parts(lesson):
            out.print(part, width=width)
    if sys.stdout.isatty() and sys.stdin.isatty():
        import os
        import pydoc

        os.environ.setdefault("LESS", "FRX")  # colours; no paging of what fits; as git does it
        pydoc.pager(captured.get())
    else:
        sys.stdout.write(captured.get())
    return 0


def _parts(lesson: Lesson) -> Iterator[RenderableType]:
    from rich.markdown import Markdown
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.text import Text as Line

    hardware = ", ".join(lesson.supported_hardware)
    head = f"{lesson.category} · {lesson.estimated_minutes} minutes · {hardware}"
    if lesson.prerequisites:
        head += f" · after {', '.join(lesson.prerequisites)}"
    yield Line(head, style="dim")
    for block in lesson.blocks:
        if not isinstance(block, Cell):
            yield Padding(Markdown(block.markdown), (0, 0, 1, 0))
            continue
        language = "yaml" if block.config_name else "python"
        kind = _kind(block)
        yield Panel(
            Syntax(block.source, language, theme="ansi_dark", word_wrap=True),
            title=Line(f"{block.title or block.id}{kind}"),
            title_align="left",
            border_style="dim",
        )


def _kind(cell: Cell) -> str:
    if cell.is_check:
        return " · check"
    return " · yours to change" if cell.is_edit or cell.is_config else ""


def _data(lesson: Lesson) -> dict[str, object]:
    blocks: list[dict[str, object]] = [
        {
            "cell": block.id,
            "title": block.title,
            "tags": list(block.tags),
            "source": block.source,
            "line": block.line,
        }
        if isinstance(block, Cell)
        else {"text": block.markdown, "line": block.line}
        for block in lesson.blocks
    ]
    return {"id": lesson.id, "title": lesson.title, "path": str(lesson.path), "blocks": blocks}

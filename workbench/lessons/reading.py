"""Reading a lesson: one Markdown file to words and cells.

The file is parsed as CommonMark, with the parser and the settings of jupytext, so that a cell here
is a cell in JupyterLab: fences of any length, of backticks or tildes, and no cell inside a list.
The front matter and the options of cells are read by our own YAML reader, so that every problem has
its line.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ConfigError, LessonError
from workbench.lessons.front_matter import Front, read_front
from workbench.lessons.lesson_file import Cell, Lesson, Text
from workbench.lessons.problems import Problem, from_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from workbench.config.document import Document
    from workbench.lessons.lesson_file import Block

CELL = "{code-cell}"
_NUMBER = re.compile(r"(\d+)-")


def read_lesson(path: Path | str) -> Lesson:
    """Read a lesson file.

    Raises:
        LessonError: It cannot be read as a lesson; the first problem, and how many there are.
    """
    lesson, problems = scan(Path(path))
    if lesson is None or problems:
        first, *rest = problems
        more = f"and {len(rest)} more: ava lessons lint {path}" if rest else None
        raise LessonError(
            first.message,
            where=f"{first.path}:{first.line}",
            fix="\n".join(line for line in (first.fix, more) if line) or None,
        )
    return lesson


def scan(path: Path) -> tuple[Lesson | None, list[Problem]]:
    """Read a lesson file and say everything that keeps it from being one.

    Returns:
        The lesson, as far as it can be read (None without a usable front matter), and the problems.

    Raises:
        LessonError: The file is missing, binary, far too large or not UTF-8.
    """
    from workbench.config.reading import read_text

    try:
        text = read_text(path)
    except ConfigError as error:
        what = error.what.replace("config file", "lesson file").replace("a config", "a lesson")
        raise LessonError(what, where=error.where, why=error.why, fix=error.fix) from None
    return parse(text, path)


def parse(text: str, path: Path) -> tuple[Lesson | None, list[Problem]]:
    """Read the text of a lesson; see `scan`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    tokens = parser().parse(text + "\n")
    problems: list[Problem] = []
    front, start = None, 0
    if tokens and tokens[0].type == "front_matter" and tokens[0].map is not None:
        # A blank line for the opening ---, so that positions are those of the file.
        front = read_front("\n" + tokens[0].content, str(path), problems)
        start = tokens[0].map[1]
    else:
        problems.append(
            Problem(
                str(path),
                1,
                "front-matter",
                "a lesson begins with its front matter between two lines '---'",
                "lessons/README.md shows one to copy",
            )
        )
    blocks = tuple(_blocks(tokens, lines, start, str(path), problems))
    problems += _repeated(blocks, str(path))
    return (_lesson(front, path, blocks) if front else None), problems


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables, front matter and block breaks, as jupytext reads it; blocks only."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.front_matter import front_matter_plugin
    from mdit_py_plugins.myst_blocks import myst_block_plugin

    markdown = MarkdownIt("commonmark").enable("table")
    return markdown.use(front_matter_plugin).use(myst_block_plugin).disable("inline", True)


def _lesson(front: Front, path: Path, blocks: tuple[Block, ...]) -> Lesson:
    number = _NUMBER.match(path.name)
    return Lesson(
        id=front.id,
        title=front.title,
        description=front.description,
        category=front.category,
        tags=front.tags,
        supported_hardware=front.supported_hardware,
        prerequisites=front.prerequisites,
        estimated_minutes=front.estimated_minutes,
        path=path,
        number=int(number[1]) if number else 0,
        blocks=blocks,
    )


def _blocks(
    tokens: list[Token], lines: list[str], start: int, name: str, problems: list[Problem]
) -> Iterator[Block]:
    """Cells, and the words between them; a line ``+++`` parts words, as it does for jupytext."""
    depth = 0
    for token in tokens:
        depth += token.nesting
        if depth or token.map is None:
            continue
        is_cell = token.type == "fence" and token.info.strip().startswith(CELL)
        if not is_cell and token.type != "myst_block_break":
            continue
        yield from _text(lines, start, token.map[0])
        if is_cell:
            yield _cell(token, name, problems)
        start = token.map[1]
    yield from _text(lines, start, len(lines))


def _text(lines: list[str], start: int, end: int) -> Iterator[Text]:
    while start < end and not lines[start].strip():
        start += 1
    if words := "\n".join(lines[start:end]).rstrip():
        yield Text(words, start + 1)


def _cell(token: Token, name: str, problems: list[Problem]) -> Cell:
    """The cell in a fence; what is wrong with its options becomes a problem."""
    assert token.map is not None
    line = token.map[0] + 1
    options, body = _split_options(token.content.removesuffix("\n").split("\n"))
    skipped = len(token.content.removesuffix("\n").split("\n")) - len(body)
    if body and not body[0].strip():
        body, skipped = body[1:], skipped + 1
    read = _read_options(options, line, name, problems)
    ava = read.tree.get("ava") if read else None

    def wrong(key: str, message: str, fix: str) -> None:
        path = tuple(key.split("."))
        mark = read.marks.get(path) if read else None
        problems.append(Problem(name, mark.line if mark else line, "cell", message, fix))

    ava = ava if isinstance(ava, dict) else {}
    cell_id = ava.get("id")
    if read is not None and not (isinstance(cell_id, str) and _ID.fullmatch(cell_id)):
        what = "the cell has no ava.id" if cell_id is None else f"{cell_id!r} is no id of a cell"
        wrong(
            "ava.id",
            what,
            ":ava: {id: first-run, title: ...}   small letters, digits, - and _ only",
        )
    title = ava.get("title")
    if title is not None and not isinstance(title, str):
        wrong("ava.title", f"the title {title!r} is no text", 'write it in quotes: title: "..."')
    tags = read.tree.get("tags", []) if read else []
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        wrong("tags", f"tags are a list of words, not {tags!r}", ":tags: [ava-check]")
        tags = []
    return Cell(
        id=cell_id if isinstance(cell_id, str) else f"line-{line}",
        title=title if isinstance(title, str) else "",
        tags=tuple(tags),
        source="\n".join(body).rstrip(),
        options=read.tree if read else {},
        line=line,
        source_line=line + 1 + skipped,
    )


# A notebook's cell ids have 64 characters at most, and the words around a cell take theirs from it.
_ID = re.compile(r"(?!.{51})[a-z0-9]+(?:[_-][a-z0-9]+)*")


def _split_options(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines of YAML above the code, in place, and the rest; of ``:key:`` lines or a block."""
    if lines[0].startswith("---"):
        end = next((n for n, line in enumerate(lines) if n and line.startswith("---")), len(lines))
        return ["", *lines[1:end]], lines[end + 1 :]
    count = 0
    while count < len(lines) and lines[count].lstrip().startswith(":"):
        count += 1
    return [line.lstrip()[1:] for line in lines[:count]], lines[count:]


def _read_options(
    options: list[str], line: int, name: str, problems: list[Problem]
) -> Document | None:
    """The options of a cell with their places in the file; None, and a problem, if not YAML."""
    from workbench.config.yaml_reader import read_yaml

    try:
        return read_yaml("\n" * line + "\n".join(options), name)
    except ConfigError as error:
        problems.append(from_error(error, name, line, "cell"))
        return None


def _repeated(blocks: tuple[Block, ...], name: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for cell in blocks:
        if isinstance(cell, Cell) and cell.id in seen:
            yield Problem(
                name,
                cell.line,
                "cell",
                f"the cell id {cell.id!r} stands twice, here and in line {seen[cell.id]}",
                "give one of the two another id",
            )
        elif isinstance(cell, Cell):
            seen[cell.id] = cell.line

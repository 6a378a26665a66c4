"""The words of a paragraph or a table, broken into rows between words, with their styles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from workbench.tui.rows import Row, Segment, clip, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

_MARKS = {"strong_open": "strong", "em_open": "em", "link_open": "link"}
_NARROWEST = 4  # cells of a column


def inline(token: Token, base: str) -> Iterable[Segment]:
    """The words of a block with their styles; a line break stands alone."""
    styles = [base]
    for child in token.children or []:
        if child.type in _MARKS:
            styles.append(_MARKS[child.type])
        elif child.type in ("strong_close", "em_close", "link_close"):
            styles.pop()
        elif child.type == "code_inline":
            yield plain(child.content), "code"
        elif child.type == "softbreak":
            yield " ", styles[-1]
        elif child.type == "hardbreak":
            yield "\n", ""
        elif child.type == "image":
            yield f"▣ {plain(child.content)}", "em"
        elif child.content:
            yield plain(child.content), styles[-1]


def wrapped(token: Token, width: int, base: str = "") -> list[Row]:
    """The words of a block in rows of at most a width, broken between words."""
    rows: list[Row] = [[]]
    used = 0
    for word, pieces in _words(inline(token, base)):
        if word == "\n":
            rows.append([])
            used = 0
            continue
        size = cell_len(word)
        blank = 1 if used and word.startswith(" ") else 0
        body = size - (1 if word.startswith(" ") else 0)
        if used and used + blank + body > width:
            rows.append([])
            used = blank = 0
        for number, (text, style) in enumerate(pieces):
            piece = text.lstrip(" ") if number == 0 and not used else text
            piece = clip(piece, width)
            if piece:
                rows[-1].append((piece, style))
        used += blank + body if used else min(body, width)
    return rows


def _words(segments: Iterable[Segment]) -> Iterable[tuple[str, list[Segment]]]:
    """Words with the blank before them; a word may have several styles, code is never broken."""
    word: list[Segment] = []
    for text, style in segments:
        if text == "\n":
            if word:
                yield "".join(part for part, _ in word), word
            word = []
            yield "\n", []
            continue
        parts = _split(text) if style != "code" or len(text) > 40 else [text]
        for part in parts:
            if part.startswith(" ") and word:
                yield "".join(each for each, _ in word), word
                word = []
            if part:
                word.append((part, style))
    if word:
        yield "".join(part for part, _ in word), word


def _split(text: str) -> list[str]:
    """The text before every blank; a run of blanks is one."""
    words = text.split()
    if not words:
        return [" "] if text else []
    first = (" " if text[0] == " " else "") + words[0]
    parts = [first, *(f" {word}" for word in words[1:])]
    return [*parts, " "] if text[-1] == " " else parts


def table_rows(tokens: list[Token], width: int) -> list[Row]:
    """A table: columns as wide as their cells where there is room, else folded.

    Args:
        tokens: From ``table_open`` on.
        width: Cells that it may take.
    """
    lines, right, head = _read_table(tokens)
    sizes = [
        max((_size(line[column]) for line in lines if column < len(line)), default=0)
        for column in range(max(map(len, lines)))
    ]
    gaps = 2 * (len(sizes) - 1)
    while sum(sizes) + gaps > width and max(sizes) > _NARROWEST:
        sizes[sizes.index(max(sizes))] -= 1
    rows: list[Row] = []
    for number, line in enumerate(lines):
        style = "heading" if number < head else ""
        rows += [
            [(text, kind or style) for text, kind in row] for row in _table_line(line, sizes, right)
        ]
        if number == head - 1:
            rows.append([("─" * (sum(sizes) + gaps), "faint")])
    return rows


def _read_table(tokens: list[Token]) -> tuple[list[list[Row]], list[bool], int]:
    """The cells line by line, which columns are set to the right, and how many lines are heads."""
    lines: list[list[Row]] = []
    right: list[bool] = []
    head = 0
    for token in tokens:
        if token.type == "tr_open":
            lines.append([])
        elif token.type == "thead_close":
            head = len(lines)
        elif token.type == "th_open":
            right.append("right" in str(token.attrGet("style") or ""))
        elif token.type == "inline":
            lines[-1].append([segment for segment in inline(token, "") if segment[0] != "\n"])
    return lines, right, head


def _table_line(line: list[Row], sizes: list[int], right: list[bool]) -> list[Row]:
    """One line of a table, in as many rows as its highest cell."""
    folded = [_fold(cell, size) for cell, size in zip(line, sizes, strict=False)]
    rows: list[Row] = []
    for place in range(max(map(len, folded), default=0)):
        row: Row = []
        for column, parts in enumerate(folded):
            cell = parts[place] if place < len(parts) else []
            pad: Segment = (" " * (sizes[column] - _size(cell)), "")
            row += [pad, *cell] if right[column] else [*cell, pad]
            row.append(("  ", ""))
        rows.append(row[:-1])
    return rows


def _fold(cell: Row, size: int) -> list[Row]:
    """The words of a cell in rows of its column's width."""
    rows: list[Row] = [[]]
    used = 0
    for word, pieces in _words(cell):
        length = cell_len(word)
        if used and used + length > size:
            rows.append([])
            used = 0
        for number, (text, style) in enumerate(pieces):
            piece = clip(text.lstrip(" ") if not used and number == 0 else text, size)
            rows[-1].append((piece, style))
        used = _size(rows[-1])
    return rows


def _size(row: Row) -> int:
    return sum(cell_len(text) for text, _ in row)

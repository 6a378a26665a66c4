"""CommonMark as rows: paragraphs, lists, tables and code of a lesson, without a widget for each.

Textual's own `Markdown` mounts a widget per block, 342 of them and a second of CPU for a lesson of
14 kB (textual 8.2.8). Here a section is parsed once and laid out for a width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

from workbench.tui.code import code_rows
from workbench.tui.rows import Row, Segment, clip, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MARKS = {"strong_open": "strong", "em_open": "em", "link_open": "link"}
_HEADS = {"h1": "title", "h2": "title", "h3": "strong", "h4": "strong", "h5": "em", "h6": "em"}
_NARROWEST = 4  # cells of a column
_parsers: list[MarkdownIt] = []


class _Frame(NamedTuple):
    """What stands at the left of every row of a block, and at the first one."""

    first: Row
    rest: Row


def parse(text: str) -> list[Token]:
    """The tokens of a text in CommonMark with tables."""
    if not _parsers:
        from markdown_it import MarkdownIt

        _parsers.append(MarkdownIt("commonmark").enable("table"))
    return _parsers[0].parse(text)


def prose_rows(text: str, width: int) -> list[Row]:
    """A text laid out in a width, blocks set apart by an empty row."""
    return _Layout(width).rows(parse(text))


class _Layout:
    """Lays out one text."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[Row] = []
        self._left: list[_Frame] = []  # of the lists and quotations around the current block
        self._numbers: list[int | None] = []

    def rows(self, tokens: list[Token]) -> list[Row]:
        """All tokens, in order."""
        place = 0
        while place < len(tokens):
            place = self._block(tokens, place)
        while self._rows and not self._rows[-1]:
            self._rows.pop()
        return self._rows

    def _block(self, tokens: list[Token], at: int) -> int:
        """Lay out the block that begins here; returns where the next one does."""
        token = tokens[at]
        name = token.type.removesuffix("_open")
        if name in ("heading", "paragraph"):
            style = _HEADS[token.tag] if name == "heading" else ""
            self._put(_wrapped(tokens[at + 1], self._room, style), gap=not token.hidden)
            return at + 3
        if name == "table":
            end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
            self._put(table_rows(tokens[at:end], self._room))
            return end + 1
        if token.nesting == 0:
            self._put(self._leaf(token))
        elif token.nesting > 0:
            self._enter(token)
        else:
            self._leave(token)
        return at + 1

    def _leaf(self, token: Token) -> list[Row]:
        if token.type == "hr":
            return [[("─" * self._room, "faint")]]
        if token.type == "html_block":
            return [[(plain(line), "dim")] for line in token.content.splitlines()]
        rows = code_rows(token.content.rstrip("\n"), token.info.strip(), self._room - 2)
        return [[("  ", ""), *row] for row in rows]

    def _enter(self, token: Token) -> None:
        if token.type == "blockquote_open":
            self._left.append(_Frame([("▎ ", "quote")], [("▎ ", "quote")]))
        elif token.type == "bullet_list_open":
            self._numbers.append(None)
        elif token.type == "ordered_list_open":
            self._numbers.append(int(token.attrGet("start") or 1))
        elif token.type == "list_item_open":
            self._item()

    def _leave(self, token: Token) -> None:
        if token.type == "list_item_close":
            self._left.pop()
        elif token.type == "blockquote_close":
            while self._rows and all(style == "quote" for _, style in self._rows[-1]):
                self._rows.pop()
            self._left.pop()
            self._gap()
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._numbers.pop()
            self._gap()

    def _item(self) -> None:
        number = self._numbers[-1]
        sign = "• " if number is None else f"{number}. "
        if number is not None:
            self._numbers[-1] = number + 1
        self._left.append(_Frame([(sign, "key")], [(" " * len(sign), "")]))

    @property
    def _room(self) -> int:
        used = sum(cell_len(text) for frame in self._left for text, _ in frame.rest)
        return max(self._width - used, 8)

    def _put(self, rows: list[Row], *, gap: bool = True) -> None:
        """Add the rows of a block behind what stands at its left."""
        for row in rows:
            left = [segment for frame in self._left for segment in frame.first]
            self._rows.append([*left, *row])
            self._left = [_Frame(frame.rest, frame.rest) for frame in self._left]
        if gap:
            self._gap()

    def _gap(self) -> None:
        if not self._rows or not self._rows[-1]:
            return
        quoted = [s for frame in self._left for s in frame.rest if s[1] == "quote"]
        if quoted and self._rows[-1] != quoted:
            self._rows.append(quoted)
        elif not quoted:
            self._rows.append([])


def _inline(token: Token, base: str) -> Iterable[Segment]:
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


def _wrapped(token: Token, width: int, base: str = "") -> list[Row]:
    """The words of a block in rows of at most a width, broken between words."""
    rows: list[Row] = [[]]
    used = 0
    for word, pieces in _words(_inline(token, base)):
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
            lines[-1].append([segment for segment in _inline(token, "") if segment[0] != "\n"])
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

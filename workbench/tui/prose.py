"""CommonMark as rows: paragraphs, lists, tables and code of a lesson, without a widget for each.

Textual's own `Markdown` mounts a widget per block, 342 of them and a second of CPU for a lesson of
14 kB (textual 8.2.8). Here a section is parsed once and laid out for a width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

from workbench.tui.code import code_rows
from workbench.tui.prose_lines import table_rows, wrapped
from workbench.tui.rows import Row, plain

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_HEADS = {"h1": "title", "h2": "title", "h3": "strong", "h4": "strong", "h5": "em", "h6": "em"}
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
            self._put(wrapped(tokens[at + 1], self._room, style), gap=not token.hidden)
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

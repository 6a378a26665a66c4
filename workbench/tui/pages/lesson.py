"""The page of one section of a lesson: words, cells, what they showed, what the checks say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.tui import learner
from workbench.tui.code import code_rows
from workbench.tui.pages.lessons import CHECKS
from workbench.tui.pages.message import message_rows
from workbench.tui.prose import prose_rows
from workbench.tui.rows import Row, clip, fit, fold, wrap

if TYPE_CHECKING:
    from workbench.lessons.lesson_file import Cell
    from workbench.tui.study import CellState, Study

_MOST_ROWS = 60  # of one cell's output; the newest are shown
_WIDEST = 100  # columns of running text: longer lines are hard to read
_STATUS = {
    "waiting": ("…", "dim", "waits"),
    "running": ("●", "live", "runs"),
    "done": ("✓", "good", "done"),
    "error": ("✗", "error", "error"),
    "interrupted": ("■", "warn", "stopped"),
}


def _folded(line: str, width: int) -> list[str]:
    """A line of output in pieces: a sentence between words, a table or a picture as it comes."""
    body = line.strip()
    if "  " in body or not any(letter.isalpha() for letter in body):
        return fold(line, width)
    indent = " " * (len(line) - len(line.lstrip()))
    return [indent + row[0][0] for row in wrap(body, max(width - len(indent), 1))]


class Place(NamedTuple):
    """Where a cell stands on the page, in rows: its title, its code, and what follows."""

    title: int
    code: int
    end: int


class SectionPage:
    """The section that is open, for one width; knows afterwards where each cell stands.

    Args:
        study: The lesson.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.chosen = ""
        self.editing = 0
        """Rows that the editor takes in place of the chosen cell's code; 0 for none."""
        self.places: dict[str, Place] = {}
        self._prose: dict[tuple[str, int], list[Row]] = {}

    def __call__(self, width: int, height: int) -> list[Row]:
        """The rows."""
        del height
        rows: list[Row] = []
        self.places = {}
        if self._study.trouble is not None:
            rows += [*message_rows(self._study.trouble, width), []]
        for block in self._study.here.blocks:
            if isinstance(block, str):
                rows += self._words(block, min(width, _WIDEST))
            else:
                rows += self._cell(block, width, len(rows))
            rows.append([])
        return [*rows, *self._foot()]

    def _words(self, text: str, width: int) -> list[Row]:
        key = text, width
        if key not in self._prose:
            self._prose[key] = prose_rows(text, width)
        return self._prose[key]

    def _cell(self, cell: Cell, width: int, top: int) -> list[Row]:
        state = self._study.cells[cell.id]
        chosen = cell.id == self.chosen
        rows = [self._title(cell, state, width, chosen=chosen)]
        bar: Row = [("▌ " if chosen else "▏ ", "key~" if chosen else "faint~")]
        code = top + len(rows)
        if chosen and self.editing:
            rows += [fit(bar, width, "~") for _ in range(self.editing)]
        elif not cell.is_check or chosen:
            language = "yaml" if cell.is_config else "python"
            for row in code_rows(state.source, language, width - 3):
                shaded = [(text, f"{style}~") for text, style in row]
                rows.append(fit([*bar, *shaded], width, "~"))
        rows += self._shown(cell, state, width)
        self.places[cell.id] = Place(top, code, top + len(rows))
        return rows

    def _title(self, cell: Cell, state: CellState, width: int, *, chosen: bool) -> Row:
        mark = "!" if chosen else "~"
        act = f"{mark}@choose('{cell.id}')"
        sign, role, words = _STATUS.get(state.status, ("▸", "key", ""))
        kind = "check" if cell.is_check else "config" if cell.is_config else ""
        kind = kind or ("exercise" if cell.is_edit else "")
        if cell.is_check and state.verdict:
            status = str(state.verdict.get("status", "error"))
            if state.status not in ("waiting", "running"):
                sign, role, words = CHECKS.get(status, CHECKS["error"])
        if self._study.is_edited(cell.id):
            kind = f"{kind}, edited" if kind else "edited"
        left: Row = [(f"{sign} ", role + act), (cell.title or cell.id, "title" + act)]
        if kind:
            left.append((f"  {kind}", "dim" + act))
        right: Row = [(f"{words}  ", "dim" + mark)] if words else []
        if state.status in ("idle", "done", "error", "interrupted"):
            word = " Check " if cell.is_check else " Run "
            right.append((word, f"button@run_cell('{cell.id}')"))
        room = width - sum(len(text) for text, _ in right)
        return [*fit(left, max(room, 1), mark), *right]

    def _shown(self, cell: Cell, state: CellState, width: int) -> list[Row]:
        rows: list[Row] = []
        for output in state.outputs:
            is_error = output["output_type"] == "error"
            if cell.is_check and learner.verdict_of(output):
                continue
            style = "error" if is_error else "sample"
            for line in learner.shown(output).splitlines():
                rows += [[("  ", ""), (part, style)] for part in _folded(line, width - 2)]
        hidden = len(rows) - _MOST_ROWS
        if hidden > 0:
            rows = [[(f"  {hidden:,} rows above", "dim")], *rows[hidden:]]
        if cell.is_check and state.verdict:
            why = str(state.verdict.get("why", ""))
            rows += (
                [[("  ", ""), *row] for row in wrap(why, min(width - 2, _WIDEST))] if why else []
            )
        for number, hint in enumerate(state.hints, start=1):
            first, *rest = wrap(hint, min(width, _WIDEST) - 12)
            rows.append([(f"  hint {number}:  ", "warn"), *first])
            rows += [[(" " * 11, ""), *row] for row in rest]
        if state.hints and state.left == 0:
            rows.append([("  that was the last hint", "dim")])
        return rows

    def _foot(self) -> list[Row]:
        """To the section before, and to the next."""
        study = self._study
        row: Row = []
        if study.section:
            row += [(" ← Back ", "choice@section(-1)"), ("  ", "")]
        if study.section + 1 < len(study.sections):
            title = clip(study.sections[study.section + 1].title, 44)
            row += [(f" →  {title} ", "button@section(1)")]
        else:
            row += [(" }  Next lesson ", "button@lesson(1)")]
        return [row]

"""A question with a few answers, each on a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.tui.keymap import shown
from workbench.tui.widgets.canvas import Canvas, Page

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.widgets import Input

    from workbench.tui.rows import Row


class Answer(NamedTuple):
    """One way out of a dialog: its keys, its words, and what the dialog returns."""

    keys: tuple[str, ...]
    words: str
    value: str | None


class Dialog(ModalScreen[str | None]):
    """Shows a page and waits for an answer; with a field, the answer's value is what was typed."""

    def __init__(
        self, title: str, page: Page, answers: list[Answer], *, field: str | None = None
    ) -> None:
        super().__init__()
        self._title, self._page, self._answers, self._field = title, page, answers, field

    def compose(self) -> ComposeResult:
        """A box with the page, perhaps a field, and the answers."""
        with Vertical(id="box") as box:
            box.border_title = self._title
            yield Canvas(self._page, id="words")
            if self._field is not None:
                from textual.widgets import Input

                yield Input(placeholder=self._field, id="field", compact=True)
            yield Canvas(self._buttons, id="answers")

    def on_resize(self) -> None:
        """Leave room for the frame, the field and the answers; the words scroll."""
        room = self.size.height - 6 - (2 if self._field is not None else 0)
        self.query_one("#words").styles.max_height = max(room, 1)

    def on_mount(self) -> None:
        """The keys go to the field when there is one."""
        self.query_one("#field" if self._field is not None else "#words").focus()

    def _buttons(self, _width: int, _height: int) -> list[Row]:
        row: Row = []
        for index, answer in enumerate(self._answers):
            look = "button" if index == 0 else "choice"
            text = f" {shown(answer.keys[0])}  {answer.words} "
            row += [(text, f"{look}@answer({index})"), ("  ", "")]
        return [[], row]

    def on_key(self, event: events.Key) -> None:
        """The first answer that has the key."""
        for index, answer in enumerate(self._answers):
            if event.key in answer.keys:
                event.stop()
                self.action_answer(index)
                return
        if event.key in ("ctrl+c", "ctrl+q"):
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the field is the first answer."""
        event.stop()
        self.action_answer(0)

    def action_answer(self, index: int) -> None:
        """Close with this answer; a field's text stands for the first one."""
        value = self._answers[index].value
        if index == 0 and self._field is not None:
            from textual.widgets import Input

            value = self.query_one("#field", Input).value.strip()
        self.dismiss(value)

"""Jump mode: a letter at everything that can be pressed, after posting's jump overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from textual.screen import ModalScreen

from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.form import Form

if TYPE_CHECKING:
    from textual import events

    from workbench.tui.screens.place import Place

_LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class Target(NamedTuple):
    """A place that a letter leads to: on which canvas, where, and what pressing it does."""

    canvas: Canvas | Form
    row: int
    column: int
    action: str


def targets(screen: Place[Any]) -> list[Target]:
    """Everything on the screen that a click would do, each once, from the top."""
    found: dict[str, Target] = {}
    both: list[Canvas | Form] = [*screen.query(Canvas), *screen.query(Form)]
    canvases = sorted(both, key=lambda each: (each.region.y, each.region.x))
    for canvas in canvases:
        if not canvas.display or not canvas.size.height:
            continue
        top = int(canvas.scroll_y)
        for row, column, action in canvas.actions():
            if top <= row < top + canvas.size.height and action not in ("jump", "help"):
                found.setdefault(action, Target(canvas, row, column, action))
    return list(found.values())


def labels(count: int) -> list[str]:
    """So many labels: one letter each, or two where there are too many."""
    if count <= len(_LETTERS):
        return list(_LETTERS[:count])
    return [a + b for a in _LETTERS for b in _LETTERS][:count]


def jump(screen: Place[Any]) -> None:
    """Show the letters, and do what the typed one stands at."""
    found = targets(screen)
    by_label = dict(zip(labels(len(found)), found, strict=False))
    for canvas in {target.canvas for target in found}:
        canvas.label(
            {
                (target.row, target.column): label
                for label, target in by_label.items()
                if target.canvas is canvas
            }
        )

    def go(label: str | None) -> None:
        for canvas in {target.canvas for target in found}:
            canvas.label({})
        if label is not None:
            screen.call_later(screen.run_action, by_label[label].action)

    screen.app.push_screen(Jump(set(by_label)), go)


class Jump(ModalScreen[str | None]):
    """Waits for the letters of one label; anything else leads back.

    Args:
        known: The labels.
    """

    def __init__(self, known: set[str]) -> None:
        super().__init__()
        self._known = known
        self._typed = ""

    def on_key(self, event: events.Key) -> None:
        """One letter more."""
        event.stop()
        self._typed += event.character or " "
        if self._typed in self._known:
            self.dismiss(self._typed)
        elif not any(label.startswith(self._typed) for label in self._known):
            self.dismiss(None)

    def on_click(self) -> None:
        """A click leads back."""
        self.dismiss(None)

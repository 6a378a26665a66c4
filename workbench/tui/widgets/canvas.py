"""A widget that shows a page: rows of styled text, made for its size, redrawn where changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui import look
from workbench.tui.faults import as_error
from workbench.tui.pages.message import message_rows
from workbench.tui.rows import Row

if TYPE_CHECKING:
    from textual import events

Page = Callable[[int, int], list[Row]]
"""From width and height to rows. More rows than the height can be scrolled to."""


class Canvas(ScrollView, inherit_bindings=False):
    """Draws one page. Nothing is mounted per row, and an unchanged row costs no output."""

    DEFAULT_CSS = """
    Canvas {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", show=False),
        Binding("down,j", "scroll_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
    ]

    def __init__(self, page: Page | None = None, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._page: Page = page or (lambda _width, _height: [])
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._base: Style | None = None
        self._labels: dict[int, list[tuple[int, str]]] = {}

    def show(self, page: Page, *, top: bool = False) -> None:
        """Draw this page from now on; with ``top``, scrolled to its beginning."""
        self._page = page
        if top and self.scroll_y:
            self.scroll_to(y=0, animate=False)
        self.redraw()

    def redraw(self, *, everything: bool = False) -> None:
        """Ask the page again and refresh the rows that have changed."""
        width, height = self._room
        if not width or not height:
            return
        before, self._rows = self._rows, self._make(width, height)
        styles = look.plain_styles() if self.app.no_color else look.styles(self.app.theme)
        # A page that fits is as high as the room: another number of rows is then no new layout.
        self.virtual_size = Size(width, max(len(self._rows), height))
        if everything:
            self._strips = [strip_of(row, styles) for row in self._rows]
            self.refresh()
            return
        top = int(self.scroll_y)
        del self._strips[len(self._rows) :]
        for index, (old, new) in enumerate(zip_longest(before, self._rows)):
            if old == new:
                continue
            if index == len(self._strips) and new is not None:
                self._strips.append(strip_of(new, styles))
            elif new is not None:
                self._strips[index] = strip_of(new, styles)
            if 0 <= index - top < height:
                self.refresh(Region(0, index - top, width, 1))

    @property
    def rows(self) -> list[Row]:
        """What is drawn, scrolled out of sight or not."""
        return self._rows

    def actions(self) -> Iterator[tuple[int, int, str]]:
        """Row, column and action of everything that can be clicked."""
        for number, row in enumerate(self._rows):
            column, before = 0, ""
            for text, style in row:
                action = style.partition("@")[2]
                if action and action != before:
                    yield number, column, action
                column, before = column + cell_len(text), action

    def label(self, labels: dict[tuple[int, int], str]) -> None:
        """Lay labels over the page, by row and column; none to take them away."""
        self._labels = {}
        for (row, column), text in sorted(labels.items()):
            self._labels.setdefault(row, []).append((column, text))
        self.refresh()

    @property
    def _room(self) -> tuple[int, int]:
        """Width and height without the scroll bar; known as soon as there is a size at all."""
        return max(self.size.width - self.scrollbar_gutter.width, 0), self.size.height

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the page has when nothing limits it; for ``height: auto``."""
        del container, viewport
        return len(self._make(width, 0))

    def _make(self, width: int, height: int) -> list[Row]:
        """The page's rows; a page that stumbles over damaged files says so in its place."""
        try:
            return self._page(width, height)
        except Exception as error:  # noqa: BLE001  (the other pages still work)
            return message_rows(as_error(error), width)

    def on_mount(self) -> None:
        """Draw again in the new colours when the theme changes."""
        super().on_mount()  # type: ignore[no-untyped-call]
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw(everything=True))

    def on_resize(self, event: events.Resize) -> None:
        """Make the page again for the new size."""
        del event
        self.redraw(everything=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the arrow keys to the screen while there is nothing to scroll."""
        del parameters
        return not action.startswith(("scroll", "page")) or self.max_scroll_y > 0

    def render_line(self, y: int) -> Strip:
        """One row of the page on this widget's background."""
        index = y + int(self.scroll_y)
        width, _ = self._room
        strip = self._strips[index] if index < len(self._strips) else Strip.blank(width)
        if self._base is None:
            self._base = self.rich_style
        strip = strip.adjust_cell_length(width).apply_style(self._base)
        if index in self._labels:
            styles = look.plain_styles() if self.app.no_color else look.styles(self.app.theme)
            strip = labelled(strip, self._labels[index], width, styles["button"])
        return strip

    def notify_style_update(self) -> None:
        """The background may be another one now."""
        super().notify_style_update()
        self._base = None


def labelled(strip: Strip, labels: list[tuple[int, str]], width: int, style: Style) -> Strip:
    """A row with labels laid over it, each from its column on."""
    for column, text in labels:
        end = min(column + len(text), width)
        parts = [strip.crop(0, column), Strip([Segment(text, style)]), strip.crop(end, width)]
        strip = Strip.join(parts).adjust_cell_length(width)
    return strip


def strip_of(row: Row, styles: dict[str, Style]) -> Strip:
    """A row in its styles."""
    return Strip([Segment(text, _style(name, styles)) for text, name in row if text])


def _style(name: str, styles: dict[str, Style]) -> Style:
    name, _, action = name.partition("@")
    style = styles.get(name.rstrip("!~")) or styles[""]
    if name.endswith(("!", "~")):
        style += styles[name[-1]]
    return style + Style.from_meta({"@click": f"screen.{action}"}) if action else style

"""Learn: the lessons, how far one is in each, and what each is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal
from textual.message import Message

from workbench.tui import keymap, learner
from workbench.tui.faults import as_error
from workbench.tui.pages.lessons import lesson_page, list_rows
from workbench.tui.pages.message import message_rows
from workbench.tui.rows import Row, clip, columns
from workbench.tui.screens.place import Place
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from workbench.errors import WorkbenchError
    from workbench.lessons.progress import Progress


@dataclass
class CourseRead(Message):
    """The lessons have been read, or could not be."""

    course: list[Progress]
    validated: dict[str, str]
    error: WorkbenchError | None = None


class Learn(Place[None]):
    """The course beside what is chosen in it."""

    TABLE = keymap.LEARN_KEYS
    OWN_KEYS = "lessons"
    BINDINGS: ClassVar[list[BindingType]] = [*keymap.bindings(TABLE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "#lessons"

    def __init__(self) -> None:
        super().__init__()
        self._course: list[Progress] | None = None
        self._validated: dict[str, str] = {}
        self._error: WorkbenchError | None = None
        self._chosen = 0
        self._top = 0
        self._places: list[int | None] = []

    @property
    def place(self) -> str:
        """Learn."""
        return "learn"

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on."""
        return frozenset({"lesson"} if self._course else ())

    def compose(self) -> ComposeResult:
        """Header, list, detail, footer."""
        yield Canvas(self._header_page, id="header")
        with Horizontal():
            yield Canvas(self._list_page, id="lessons")
            yield Canvas(self._detail_page, id="about")
        yield Canvas(self._footer_page, id="footer")

    def on_screen_resume(self) -> None:
        """Read lessons and progress anew: a lesson may have been worked through meanwhile."""
        self.when_drawn(self._read)

    def _read(self) -> None:
        if not self.is_current:
            return  # a lesson lies on it, which was asked for by its name
        place = self.ava.places.workspace

        def work() -> None:
            try:
                found = learner.course(place)
                message = CourseRead(found, learner.validated(found))
            except Exception as error:  # noqa: BLE001  (shown in place of the lessons)
                message = CourseRead([], {}, as_error(error))
            self.post_message(message)

        self.run_worker(work, thread=True, exit_on_error=False, exclusive=True)

    def on_course_read(self, message: CourseRead) -> None:
        """Show them; at first the lesson to go on with is chosen."""
        first = self._course is None
        self._course, self._error = message.course, message.error
        self._validated = message.validated
        if first:
            self._chosen = next(
                (number for number, each in enumerate(message.course) if not each.done), 0
            )
        self.refresh_all()

    def refresh_all(self) -> None:
        """Draw everything again."""
        for canvas in self.query(Canvas):
            canvas.redraw()

    def _header_page(self, width: int, _height: int) -> list[Row]:
        course = self._course or []
        done = sum(each.done for each in course)
        left: Row = [("Learn", "brand"), (f"   {clip(str(self.ava.places.workspace), 50)}/", "dim")]
        right: Row = [(f"{done} of {len(course)} lessons done", "dim")] if course else []
        return [self.places_row(width), columns(left, right, width)]

    def _footer_page(self, width: int, _height: int) -> list[Row]:
        return [self.footer_row(width)]

    def _list_page(self, width: int, height: int) -> list[Row]:
        if self._course is None:
            return [[(" reading …", "dim")]]
        rows, self._places = list_rows(self._course, self._chosen, width, focused=True)
        at = self._places.index(self._chosen) if self._course else 0
        self._top = max(min(self._top, at - 1), at - height + 1, 0)
        self._places = self._places[self._top :]
        return rows[self._top : self._top + height]

    def _detail_page(self, width: int, height: int) -> list[Row]:
        if self._error is not None:
            return message_rows(self._error, width)
        if not self._course:
            return [] if self._course is None else [[("there are no lessons here", "dim")]]
        chosen = self._course[self._chosen]
        validated = self._validated.get(chosen.lesson.id, "")
        return lesson_page(chosen, self._course, validated)(width, height)

    def on_click(self, event: events.Click) -> None:
        """Choose the lesson that was clicked; a click on the chosen one opens it."""
        canvas = self.query_one("#lessons", Canvas)
        if not self._over_list(event):
            return
        row = event.screen_y - canvas.content_region.y
        index = self._places[row] if 0 <= row < len(self._places) else None
        if index is not None and index == self._chosen:
            self.action_open()
        elif index is not None:
            self._choose(index)

    def _over_list(self, event: events.MouseEvent) -> bool:
        region = self.query_one("#lessons", Canvas).content_region
        return region.contains(int(event.screen_x), int(event.screen_y))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the choice."""
        if self._over_list(event):
            self.action_move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the choice."""
        if self._over_list(event):
            self.action_move(-1)

    def _choose(self, index: int) -> None:
        if self._course:
            self._chosen = min(max(index, 0), len(self._course) - 1)
            self.refresh_all()

    def action_move(self, by: int) -> None:
        """Choose another lesson."""
        self._choose(self._chosen + by)

    def action_open(self) -> None:
        """Open the lesson."""
        from workbench.tui.screens import questions

        if not self._course:
            return
        try:
            self.ava.places.lesson(self._course[self._chosen].lesson.id)
        except Exception as error:  # noqa: BLE001
            self.app.push_screen(questions.trouble(as_error(error)))

    def action_leave(self) -> None:
        """Back to the recipes and runs."""
        self.dismiss(None)

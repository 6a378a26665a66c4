"""A lesson, one section at a time: read, run its cells, change them, see what the checks say."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from workbench.tui import keymap, learner
from workbench.tui.faults import as_error
from workbench.tui.pages.lesson import SectionPage
from workbench.tui.rows import Row, clip, columns, fit
from workbench.tui.screens import questions
from workbench.tui.screens.cell_editing import CellEditing
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from workbench.tui.study import Study

_DRAWS_PER_SECOND = 10
_KERNEL = {
    "none": "",
    "starting": "◌ the kernel starts",
    "idle": "● kernel",
    "busy": "● runs",
    "dead": "✗ the kernel has ended",
}
_ACTIONS = frozenset(key.action.partition("(")[0] for key in keymap.LESSON_KEYS)


class Sheet(Canvas, inherit_bindings=False):
    """The section; what lies on it moves along when it is scrolled."""

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Move the editor along."""
        super().watch_scroll_y(old, new)
        if isinstance(self.screen, Reader):
            self.screen.place_editor()


class Reader(CellEditing):
    """One lesson.

    Args:
        study: The lesson, with everything that the learner has done in it.
    """

    TABLE = keymap.LESSON_KEYS
    OWN_KEYS = "lesson"
    BINDINGS: ClassVar[list[BindingType]] = [*keymap.bindings(TABLE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "#sheet"

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study
        self.page = SectionPage(study)
        self._stale = False

    # ---------------------------------------------------------------- what is on the screen

    def compose(self) -> ComposeResult:
        """Header, the section, footer; the editor is made when it is first needed."""
        yield Canvas(self._header_page, id="header")
        yield Sheet(self.page, id="sheet")
        yield Canvas(self._footer_page, id="footer")

    def on_mount(self) -> None:
        """Follow what the kernel says, ten times a second at most."""
        self.study.changed = self._mark_stale
        self._choose_first()
        self.set_interval(1 / _DRAWS_PER_SECOND, self._draw_if_stale)

    def on_unmount(self) -> None:
        """Cells run on without a screen."""
        self.study.changed = lambda: None

    @property
    def place(self) -> str:
        """Learn."""
        return "learn"

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on."""
        found = set()
        cell = self.cell
        if cell is not None:
            found.add("cell")
            found |= {"editable"} if not cell.is_setup else set()
            found |= {"check"} if cell.is_check else set()
            found |= {"config"} if cell.is_config else set()
            found |= {"edited"} if self.study.is_edited(cell.id) else set()
        if self.study.busy:
            found.add("busy")
        if self.study.kernel_state != "none":
            found.add("kernel")
        return frozenset(found)

    def _mark_stale(self) -> None:
        self._stale = True

    def _draw_if_stale(self) -> None:
        if self._stale:
            self.refresh_all()

    def refresh_all(self) -> None:
        """Draw what has changed."""
        self._stale = False
        self.sheet.redraw()
        self.query_one("#header", Canvas).redraw()
        self.query_one("#footer", Canvas).redraw()

    def _header_page(self, width: int, _height: int) -> list[Row]:
        study = self.study
        passed, checks = study.passed
        kernel = _KERNEL[study.kernel_state]
        right: Row = [(f"{kernel}   ", "error" if study.kernel_state == "dead" else "live")]
        if checks:
            role = "good" if passed == checks else "dim"
            right.append((f"{passed}/{checks} checks   ", role))
        right.append((f"{study.section + 1} of {len(study.sections)}", "dim"))
        taken = sum(len(text) for text, _ in right) + 4
        left: Row = [(f"{study.lesson.number}  ", "brand")]
        left.append((clip(study.lesson.title, max(width - taken, 8)), "title"))
        return [self.places_row(width), columns(left, right, width)]

    def _footer_page(self, width: int, _height: int) -> list[Row]:
        if self.page.editing:
            row: Row = [("esc", "key@keep"), (" keep   ", "dim@keep")]
            row += [("F9", "key@keep_and_run"), (" keep and run   ", "dim@keep_and_run")]
            row += [("ctrl-z", "key"), (" undo", "dim")]
            return [fit(row, width)]
        return [self.footer_row(width)]

    def on_resize(self) -> None:
        """The page is laid out anew."""
        self.when_drawn(self.place_editor)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action is there when one of its keys is; none of them while a cell is edited."""
        if self.page.editing and action in _ACTIONS:
            return False
        return super().check_action(action, parameters)

    # ---------------------------------------------------------------- sections and cells

    def _choose_first(self) -> None:
        cells = self.study.here.cells
        self.page.chosen = cells[0].id if cells else ""

    def open_section(self, number: int) -> None:
        """Show a section from its beginning."""
        self.action_keep()
        self.study.section = min(max(number, 0), len(self.study.sections) - 1)
        self._choose_first()
        self.sheet.show(self.page, top=True)
        self.refresh_all()

    def action_section(self, by: int) -> None:
        """The next section, or the one before."""
        if 0 <= self.study.section + by < len(self.study.sections):
            self.open_section(self.study.section + by)

    def action_on(self) -> None:
        """A page down; at the end of the section, the next one."""
        if self.sheet.scroll_y < self.sheet.max_scroll_y:
            self.sheet.scroll_page_down(animate=False)
        else:
            self.action_section(1)

    def action_contents(self) -> None:
        """Pick a section."""
        from workbench.tui.screens.picker import Item, Picker

        def go(number: str | None) -> None:
            if number is not None:
                self.open_section(int(number))

        items = []
        for number, section in enumerate(self.study.sections):
            checks = [cell.id for cell in section.cells if cell.is_check]
            done = [self.study.cells[name].verdict.get("status") == "pass" for name in checks]
            note = f"{sum(done)}/{len(done)} checks" if done else ""
            items.append(Item(str(number), section.title, note))
        self.app.push_screen(Picker("Sections", items, chosen=str(self.study.section)), go)

    def action_lesson(self, by: int) -> None:
        """The next lesson of the course, or the one before."""
        from workbench.lessons.catalogue import course_files

        names = [path.stem for path in course_files()]
        here = self.study.lesson.path.stem
        place = (names.index(here) if here in names else -1) + by
        if not 0 <= place < len(names):
            self.app.notify("this is the last lesson" if by > 0 else "this is the first lesson")
            return
        try:
            self.ava.places.lesson(names[place])
        except Exception as error:  # noqa: BLE001
            self.app.push_screen(questions.trouble(as_error(error)))

    def action_choose(self, name: str) -> None:
        """Choose a cell."""
        self.page.chosen = name
        self.refresh_all()
        self.reveal()

    def action_cell(self, by: int) -> None:
        """The next cell of the section, or the one before."""
        names = [cell.id for cell in self.study.here.cells]
        if self.page.chosen in names:
            self.action_choose(names[(names.index(self.page.chosen) + by) % len(names)])

    def reveal(self) -> None:
        """Scroll as little as it takes to see the chosen cell, its beginning at least."""
        found = self.page.places.get(self.page.chosen)
        height = self.sheet.size.height
        if found is None or not height:
            return
        top = int(self.sheet.scroll_y)
        wanted = min(max(top, found.end - height), found.title)
        if wanted != top:
            self.sheet.scroll_to(y=wanted, animate=False, force=True, immediate=True)

    # ---------------------------------------------------------------- running

    def action_run(self) -> None:
        """Run the chosen cell."""
        if self.page.chosen:
            self.study.run([self.page.chosen])

    def action_run_cell(self, name: str) -> None:
        """Run the cell that was clicked."""
        self.action_keep()
        self.action_choose(name)
        self.study.run([name])

    def action_run_all(self) -> None:
        """Run the section."""
        self.study.run([cell.id for cell in self.study.here.cells])

    async def action_interrupt(self) -> None:
        """Stop what runs."""
        await self.study.interrupt()

    async def action_restart(self) -> None:
        """End the kernel."""
        await self.study.restart()
        self.app.notify("the kernel has ended; the next cell starts a new one")

    def action_hint(self) -> None:
        """One more hint."""
        cell = self.cell
        if cell is None or not cell.is_check:
            return
        state = self.study.cells[cell.id]
        try:
            state.hints, state.left = learner.hints(
                self.study.folder, self.study.lesson.id, cell.id, more=True
            )
        except Exception as error:  # noqa: BLE001
            self.app.push_screen(questions.trouble(as_error(error)))
            return
        if not state.hints:
            self.app.notify("this check has no hints")
        self.refresh_all()
        self.reveal()

    def action_build(self) -> None:
        """Open the config of the chosen cell in Build."""
        from workbench.tui.studying import draft_of

        cell = self.cell
        if cell is None or not cell.is_config:
            return
        try:
            draft = draft_of(self.study, cell)
        except Exception as error:  # noqa: BLE001
            self.app.push_screen(questions.trouble(as_error(error)))
            return
        self.ava.places.build(draft)

    def action_leave(self) -> None:
        """Back to the list of lessons."""
        self.ava.places.reading = False
        self.dismiss(None)

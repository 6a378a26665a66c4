"""Changing a cell of a lesson in its place on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui.screens import questions
from workbench.tui.screens.place import Place
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual import events
    from textual.geometry import Region
    from textual.widgets import TextArea

    from workbench.lessons.lesson_file import Cell
    from workbench.tui.pages.lesson import SectionPage
    from workbench.tui.study import Study


class CellEditing(Place[None]):
    """The editor lies over the code of the chosen cell, and the page makes room for it."""

    study: Study
    page: SectionPage

    @property
    def sheet(self) -> Canvas:
        """The section."""
        return self.query_one("#sheet", Canvas)

    @property
    def cell(self) -> Cell | None:
        """The chosen cell."""
        return self.study.lesson.cell(self.page.chosen) if self.page.chosen else None

    def refresh_all(self) -> None:
        """Draw what has changed."""
        raise NotImplementedError

    def reveal(self) -> None:
        """Scroll as little as it takes to see the chosen cell."""
        raise NotImplementedError

    def action_run(self) -> None:
        """Run the chosen cell."""
        raise NotImplementedError

    def action_edit(self) -> None:
        """Change the chosen cell in its place."""
        cell = self.cell
        if cell is None or "editable" not in self.facts or self.page.editing:
            return
        from workbench.tui.widgets.code_field import CodeField

        state = self.study.cells[cell.id]
        found = self.query(CodeField)
        if found:
            field = found.first()
            field.text = state.source
        else:
            field = CodeField(state.source, id="cell")
            self.mount(field)
        self.page.editing = field.document.line_count
        field.display = True
        self.refresh_all()
        self.reveal()
        self.when_drawn(self.place_editor)
        field.focus()

    @property
    def field(self) -> TextArea | None:
        """The editor while it is open."""
        from textual.widgets import TextArea

        found = self.query(TextArea)
        return found.first() if found and self.page.editing else None

    def place_editor(self) -> None:
        """Lay the editor over the code of its cell."""
        field, found = self.field if self.page.editing else None, self.page.places
        if field is None or self.page.chosen not in found:
            return
        region: Region = self.sheet.content_region
        # Of a cell that is higher than the screen, or scrolled half away, what is to be seen.
        row = found[self.page.chosen].code - int(self.sheet.scroll_y)
        top = min(max(row, 0), max(region.height - 1, 0))
        height = max(min(row + self.page.editing, region.height) - top, 1)
        field.styles.offset = (region.x + 2, region.y + top)
        field.styles.width = max(region.width - self.sheet.scrollbar_gutter.width - 2, 1)
        field.styles.height = height

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """The page makes room for what is typed."""
        event.stop()
        lines = event.text_area.document.line_count
        if self.page.editing and lines != self.page.editing:
            self.page.editing = lines
            self.sheet.redraw()
            self.reveal()
            self.place_editor()

    def on_key(self, event: events.Key) -> None:
        """Escape keeps what was typed; F9 runs it too."""
        if self.page.editing and event.key in ("escape", "f9"):
            event.stop()
            event.prevent_default()
            if event.key == "f9":
                self.action_keep_and_run()
            else:
                self.action_keep()

    def action_keep(self) -> None:
        """Keep the edit, and close the editor."""
        field = self.field if self.page.editing else None
        if field is None:
            return
        text = field.text
        self.page.editing = 0
        field.display = False
        self.sheet.focus()
        self.study.edit(self.page.chosen, text)
        self.refresh_all()

    def action_keep_and_run(self) -> None:
        """Keep the edit and run the cell."""
        self.action_keep()
        self.action_run()

    def action_reset(self) -> None:
        """The chosen cell as the lesson has it, after a question: what was typed is gone then."""
        name = self.page.chosen

        def reset(answer: str | None) -> None:
            if answer is not None:
                self.study.reset(name)
                self.refresh_all()

        if name and self.study.is_edited(name):
            self.app.push_screen(questions.reset(), reset)

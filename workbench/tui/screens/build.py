"""Build: edit a plan and see at every key stroke what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical

from workbench.errors import WorkbenchError
from workbench.tui import keymap
from workbench.tui.building import Building, Panel
from workbench.tui.faults import as_error
from workbench.tui.form import typed_text
from workbench.tui.pages.key import brief_page
from workbench.tui.rows import Row, clip, columns, fit
from workbench.tui.screens import asking
from workbench.tui.screens.build_steps import BuildSteps
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.form import Form

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widgets import Input

    from workbench.draft import Draft

_PANELS: tuple[Panel, ...] = ("estimate", "diff", "yaml", "command")
_KEYS = frozenset(key.action.partition("(")[0] for key in keymap.BUILD_KEYS)


class Build(BuildSteps):
    """The form beside what follows from it; returns the name of a run that was launched.

    Args:
        draft: What is edited.
    """

    TABLE = keymap.BUILD_KEYS
    OWN_KEYS = "build"
    BINDINGS: ClassVar[list[BindingType]] = [*keymap.bindings(TABLE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "#form"

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.building = Building(draft)
        self._panel: Panel = "estimate"
        self._over = False  # on a narrow screen, whether the panel is shown in place of the form
        self._editing = ""  # the key that is being typed, or "/" for the search
        self._amending = False

    # ---------------------------------------------------------------- what is on the screen

    def compose(self) -> ComposeResult:
        """Header, form with a field and the key's meaning, panel, footer."""
        from workbench.tui.widgets.field import Field

        building = self.building
        yield Canvas(self._header_page, id="header")
        with Horizontal():
            with Vertical(id="left"):
                yield Form(building.key, building.shown, id="form")
                with Horizontal(id="editor"):
                    yield Canvas(self._prompt_page, id="prompt")
                    yield Field(id="field", compact=True)
                yield Canvas(id="brief")
            yield Canvas(id="panel")
        yield Canvas(self._footer_page, id="footer")

    def on_mount(self) -> None:
        """Show the keys that are set."""
        self.query_one("#editor").display = False
        self.form.set_lines(self.building.lines())
        self._arrange()

    @property
    def place(self) -> str:
        """Build."""
        return "build"

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on; see `keymap.Key.when`."""
        return self.building.facts

    def _header_page(self, width: int, _height: int) -> list[Row]:
        left: Row = [("Build", "brand"), (f"   {clip(self.building.title, width - 40)}", "title")]
        changed = len(self.draft.edits)
        words = f"{changed} edit{'' if changed == 1 else 's'}" if changed else "as it is"
        if self.building.words:
            words = f"{self.form.count} found: {self.building.words}"
        right: Row = [(words, "warn" if changed else "dim")]
        return [self.places_row(width), columns(left, right, width)]

    def _footer_page(self, width: int, _height: int) -> list[Row]:
        if self._editing:
            row: Row = [("enter", "key@keep_typed"), (" keep   ", "dim@keep_typed")]
            row += [("esc", "key@drop_typed"), (" back   ", "dim@drop_typed")]
            return [fit(row, width)]
        return [self.footer_row(width)]

    def _prompt_page(self, width: int, _height: int) -> list[Row]:
        words = "search" if self._editing == "/" else self._editing.rpartition(".")[2]
        return [fit([(f" {clip(words, width - 3)} ", "brand"), (">", "dim")], width)]

    def refresh_all(self) -> None:
        """Show everything again after an edit."""
        self.form.redraw()
        self._show_brief()
        self._show_panel()
        self.query_one("#header", Canvas).redraw()
        self.query_one("#footer", Canvas).redraw()

    def _show_brief(self) -> None:
        path = self.form.chosen
        page = brief_page(None, None, [])
        if path:
            building = self.building
            page = brief_page(building.key(path), building.shown(path), building.about(path))
        if self._is_narrow and not self._over:
            page = self.building.brief_with_estimate(page)
        self.query_one("#brief", Canvas).show(page)

    def _show_panel(self, *, top: bool = False) -> None:
        panel = self.query_one("#panel", Canvas)
        if panel.display:
            panel.show(self.building.panel(self._panel), top=top)

    @property
    def _is_narrow(self) -> bool:
        return self.app.size.width < 100

    def _arrange(self) -> None:
        """The panel beside the form; on a narrow screen in its place, or not at all."""
        narrow = self._is_narrow
        self.query_one("#panel").display = not narrow or self._over
        self.query_one("#left").display = not narrow or not self._over
        self.query_one("#brief").styles.height = 9 if narrow else 5
        self.when_drawn(self.refresh_all)

    def on_resize(self) -> None:
        """Arrange the parts for the new size."""
        self._arrange()

    def action_choose_key(self, path: str) -> None:
        """Choose the key that a letter stands at."""
        self.form.choose(path)
        self.form.focus()

    def on_form_chosen(self) -> None:
        """Another key is chosen."""
        self._show_brief()

    def on_form_wanted(self) -> None:
        """The chosen key was clicked."""
        self.action_edit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action is there when one of its keys is; none while a value is typed."""
        if self._editing and action in _KEYS:
            return False
        return super().check_action(action, parameters)

    # ---------------------------------------------------------------- typing a value

    def action_edit(self) -> None:
        """Type a value, or pick it where there are only a few."""
        path = self.form.chosen
        if not path:
            return
        key = self.building.key(path)
        if key.type == "boolean":
            self.action_turn(1)
        elif key.type == "choice":
            self.app.push_screen(asking.choice(key, self.draft.value(path)), self._choose)
        else:
            value = self.draft.value(path)
            self._begin(path, "" if value is None else typed_text(value), key.kind)

    def _choose(self, value: str | None) -> None:
        if value is not None:
            self.attempt(lambda: self.draft.set(self.form.chosen, value))

    def action_search(self) -> None:
        """Type words to find keys by."""
        self._begin("/", self.building.words, "name, other spelling or meaning; empty for all")

    def _begin(self, what: str, text: str, hint: str) -> None:
        from textual.widgets import Input

        self._editing, self._amending = what, False
        self.query_one("#editor").display = True
        prompt = self.query_one("#prompt", Canvas)
        prompt.styles.width = min(len(what.rpartition(".")[2]) + 4, 30) if what != "/" else 10
        self.when_drawn(prompt.redraw, everything=True)
        field = self.query_one("#field", Input)
        field.placeholder = hint
        with field.prevent(field.Changed):
            field.value = text
        field.cursor_position = len(text)
        self.set_focus(field)  # at once: the next key may be in the queue already
        self.query_one("#footer", Canvas).redraw()

    def _end(self) -> None:
        self._editing = ""
        self.query_one("#editor").display = False
        self.form.focus()
        self.refresh_all()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Everything follows while it is typed."""
        event.stop()
        if self._editing == "/":
            self.building.words = event.value
            self.form.set_lines(self.building.lines())
            self.query_one("#header", Canvas).redraw()
        elif self._editing:
            self._type(event.value)

    def _type(self, text: str) -> None:
        try:
            amended = self.building.type(self._editing, text, amend=self._amending)
        except WorkbenchError:
            return  # half a value, such as an open bracket: the next keys will tell
        self._amending = self._amending or amended
        self.refresh_all()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps what was typed."""
        event.stop()
        self.action_keep_typed()

    def on_key(self, event: Any) -> None:
        """Escape takes back what was typed."""
        if event.key == "escape" and self._editing:
            event.stop()
            self.action_drop_typed()

    def action_keep_typed(self) -> None:
        """Keep what was typed."""
        if self._editing:
            self._end()

    def action_drop_typed(self) -> None:
        """Take back what was typed."""
        if self._editing == "/":
            self.building.words = ""
            self.form.set_lines(self.building.lines())
        elif self._editing and self._amending:
            self.draft.undo()
        if self._editing:
            self._end()

    # ---------------------------------------------------------------- edits with one key

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do it and show what follows; an error is shown and changes nothing."""
        self.building.remember()
        try:
            act()
        except Exception as error:  # noqa: BLE001  (no edit may end the session)
            self.app.push_screen(asking.trouble(as_error(error)))
            return
        self.form.set_lines(self.building.lines())
        self.refresh_all()

    def action_turn(self, by: int) -> None:
        """The next value, or the one before."""
        path = self.form.chosen
        if path:
            self.attempt(lambda: self.building.turn(path, by))

    def action_reset(self) -> None:
        """Take back what was set here."""
        path = self.form.chosen
        if path:
            self.attempt(lambda: self.draft.reset(path))

    def action_undo(self) -> None:
        """Take the last edit back."""
        self.attempt(self.draft.undo)

    def action_redo(self) -> None:
        """Do it again."""
        self.attempt(self.draft.redo)

    def action_fix(self, number: int) -> None:
        """Make the repair with this number."""
        self.attempt(lambda: self.building.repair(number))

    def action_keep(self) -> None:
        """Keep the sequences of a step."""

        def keep() -> None:
            why = self.draft.keep_global_batch()
            if why is not None:
                raise WorkbenchError("the sequences of a step cannot be kept", why=why)

        self.attempt(keep)

    def action_section(self, by: int) -> None:
        """To the next section, or the one before."""
        self.form.action_section(by)

    def action_all(self) -> None:
        """All keys, or only those that are set."""
        self.building.all_keys = not self.building.all_keys
        self.form.set_lines(self.building.lines())
        self.refresh_all()

    def action_explain(self) -> None:
        """Everything about the key."""
        path = self.form.chosen
        if path:
            building = self.building
            self.app.push_screen(
                asking.key(building.key(path), building.shown(path), building.about(path))
            )

    # ---------------------------------------------------------------- larger steps

    def action_panel(self, which: int | str) -> None:
        """Another panel; on a narrow screen it takes the place of the form."""
        if isinstance(which, int):
            order: list[Panel | None] = [*_PANELS]
            if self._is_narrow:
                order.insert(0, None)
            now = self._panel if not self._is_narrow or self._over else None
            wanted = order[(order.index(now) + which) % len(order)]
        else:
            there = self._panel == which and (self._over or not self._is_narrow)
            wanted = None if there and self._is_narrow else "estimate" if there else which  # type: ignore[assignment]
        self._over = wanted is not None and self._is_narrow
        self._panel = wanted or "estimate"
        self._arrange()
        self._show_panel(top=True)

    def action_leave(self) -> None:
        """Out of the search, the panel, the place; edits are not lost without a word."""
        if self.building.words or self._over:
            self.building.words, self._over = "", False
            self.form.set_lines(self.building.lines())
            self._arrange()
            return
        if not self.draft.edits:
            self.dismiss(None)
            return

        def leave(answer: str | None) -> None:
            if answer == "leave":
                self.dismiss(None)
            elif answer == "save":
                self.action_save()

        self.app.push_screen(asking.leave(len(self.draft.edits)), leave)

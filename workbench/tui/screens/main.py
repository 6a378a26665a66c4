"""The one screen: the list on the left, on the right what is chosen there."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal

from workbench.errors import WorkbenchError
from workbench.tui import acts, keymap, look
from workbench.tui.faults import as_error
from workbench.tui.pages.run import WEIGHTS, View, run_page, waiting_page
from workbench.tui.reader import Reader
from workbench.tui.rows import Row, clip
from workbench.tui.screens.main_messages import (
    Judged,
    Launched,
    Looked,
    PlanMade,
    Trouble,
)
from workbench.tui.screens.run_acts import RunActs
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.choices import Choices

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.message import Message

    from workbench.plan import Plan, Recipe
    from workbench.runs.overview import Entry
    from workbench.runs.watch import Snapshot
    from workbench.tui.pages.watch import Extra

_LOOKS_PER_SECOND = 4
_PAUSE = 0.1  # seconds that a recipe must stay chosen before its layers are read
_JUDGE_AFTER = 0.5  # seconds; what one waits for comes first
_BREATH = 0.005  # seconds between two recipes
_RESUMABLE = ("stopped", "paused", "failed", "vanished")


class Main(RunActs):
    """Recipes and runs, and everything that can be done with them."""

    TABLE = keymap.KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*keymap.bindings(TABLE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  (as Textual declares it)
    AUTO_FOCUS = "#choices"

    def __init__(self, runs_dir: str, *, plain: bool) -> None:
        super().__init__()
        self.runs_dir = Path(runs_dir).expanduser()
        self.reader = Reader(self.runs_dir)
        self.view = View(ascii=plain)
        self._recipes: dict[str, Recipe] = {}
        self._plans: dict[str, Plan | WorkbenchError | None] = {}
        self._entries: list[Entry] = []
        self._snapshot: Snapshot | None = None
        self._extra: Extra | None = None
        self._awaited = ""  # a launched run that the list does not show yet
        self._said = ""  # the last trouble with reading
        self._looking = self._again = False

    # ---------------------------------------------------------------- what is on the screen

    def compose(self) -> ComposeResult:
        """Header, list, detail, footer."""
        yield Canvas(self._header_page, id="header")
        with Horizontal():
            yield Choices(id="choices")
            yield Canvas(id="detail")
        yield Canvas(self._footer_page, id="footer")

    def on_mount(self) -> None:
        """Paint the recipes first; read plans and runs afterwards, in threads."""
        from workbench import plan

        self.app.app_resume_signal.subscribe(self, lambda _: self.app.refresh())
        try:
            found = plan.recipes()
        except (WorkbenchError, OSError) as error:
            self.when_drawn(self.post_message, Trouble(as_error(error)))
            found = []
        self._recipes = {item.name: item for item in found}
        self.choices.set_recipes([item for item in found if item.featured])
        self.when_drawn(self._begin)

    def _begin(self) -> None:
        if not gc.isenabled():  # `main` has put it off until now
            gc.freeze()  # what has been imported stays: the collector need not look at it again
            gc.enable()
        self.look()
        self.set_interval(1 / _LOOKS_PER_SECOND, self.look)
        self.set_timer(_JUDGE_AFTER, self._judge)
        self.ava.begin()

    def _judge(self) -> None:
        """Reckon in a thread for which recipes this machine is enough."""
        names = [name for kind, name in self.choices.names if kind == "recipe"]

        def act() -> Message:
            signs = {}
            for name in names:
                signs[name] = acts.fits(name, self.runs_dir)
                time.sleep(_BREATH)  # a key that is pressed now does not wait for the rest
            return Judged(signs)

        self.in_thread(act)

    def on_judged(self, message: Judged) -> None:
        """Show the signs."""
        self.choices.set_signs(message.signs)

    @property
    def place(self) -> str:
        """The recipes are to be launched, the runs to be watched."""
        return "watch" if self.choices.chosen[0] == "run" else "launch"

    @property
    def live(self) -> list[Entry]:
        """The runs that are alive."""
        return [entry for entry in self._entries if entry.alive]

    @property
    def chosen_run(self) -> Entry | None:
        """The run that is chosen in the list."""
        kind, name = self.choices.chosen
        if kind != "run":
            return None
        return next((entry for entry in self._entries if entry.name == name), None)

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on; see `keymap.Key.when`."""
        found = {self.choices.chosen[0], "full" if self.has_class("-full") else "list"}
        if self._entries:
            found.add("runs")
        if len(self.choices.marked) > 1:
            found.add("comparable")
        run = self.chosen_run
        if run is not None:
            found.add("live" if run.alive else "ended")
            if run.state in _RESUMABLE:
                found.add("resumable")
        return frozenset(found)

    def _header_page(self, width: int, _height: int) -> list[Row]:
        right: Row = []
        if self.live:
            right = [(f"{look.mark('running')[0]} {len(self.live)} live", "live")]
        if width >= 100:
            right = [*right, (f"   {clip(str(self.runs_dir), 30)}/", "dim")]
        return [self.places_row(width, right)]

    def _footer_page(self, width: int, _height: int) -> list[Row]:
        return [self.footer_row(width)]

    def forget_extra(self) -> None:
        """What another page showed is not to be shown on this one."""
        self._extra = None

    def refresh_page(self, *, top: bool = False) -> None:
        """Show what belongs to the chosen item."""
        kind, name = self.choices.chosen
        if kind == "recipe":
            from workbench.tui.pages.recipe import recipe_page

            self.detail.show(recipe_page(self._recipes[name], self._plans.get(name)), top=top)
        elif kind == "run":
            seen = self._snapshot
            known = seen is not None and seen.name == name
            page = run_page(seen, self.view, self._extra) if seen and known else waiting_page(name)
            self.detail.show(page, top=top)
        self.query_one("#footer", Canvas).redraw()

    # ---------------------------------------------------------------- what threads find out

    def in_thread(self, act: Callable[[], Message | None]) -> None:
        """Run it in a thread and post what it returns; an error becomes a message, too."""

        def guarded() -> None:
            try:
                message = act()
            except Exception as error:  # noqa: BLE001  (no fault may end what still works)
                message = Trouble(as_error(error))
            if message is not None:
                self.post_message(message)

        self.run_worker(guarded, thread=True, exit_on_error=False)

    def look(self) -> None:
        """Look at the runs now; when a look is under way, once more after it."""
        if not self._seen:
            return
        if self._looking:
            self._again = True
            return
        self._looking = True
        kind, name = self.choices.chosen
        weight, everywhere = WEIGHTS[self.view.smoothing], bool(self._awaited)
        page = self.view.page

        def act() -> Message:
            try:
                watched = name if kind == "run" else ""
                seen = self.reader.look(watched, weight, everywhere=everywhere, page=page)
                return Looked(seen)
            except Exception as error:  # noqa: BLE001  (on_looked says it, once)
                return Looked(None, as_error(error))

        self.in_thread(act)

    @property
    def _seen(self) -> bool:
        """Whether this screen is to be seen: alone, or behind nothing but dialogs."""
        stack = self.app.screen_stack
        return all(each.is_modal for each in stack[stack.index(self) + 1 :])

    def on_screen_resume(self) -> None:
        """Look at once when another place has been left."""
        if self._recipes:
            self.look()

    def on_looked(self, message: Looked) -> None:
        """Show what is new; the same trouble is said once, not at every look."""
        self._looking = False
        if message.seen is not None:
            self._show_runs(message.seen.entries)
            self._show_run(message.seen.snapshot, message.seen.extra)
        said, self._said = self._said, message.error.render() if message.error else ""
        if message.error is not None and self._said != said:
            self.post_message(Trouble(message.error))
        if self._again:
            self._again = False
            self.look()

    def _show_runs(self, entries: list[Entry] | None) -> None:
        if entries is None:
            return
        self._entries = entries
        self.choices.set_runs(entries)
        if self._awaited and self.choices.choose("run", self._awaited):
            self._awaited = ""
            if self.has_class("-narrow"):
                self._widen(full=True)
        self.query_one("#header", Canvas).redraw()
        self.query_one("#footer", Canvas).redraw()

    def _show_run(self, snapshot: Snapshot | None, extra: Extra | None) -> None:
        self._snapshot = snapshot or self._snapshot
        self._extra = extra or self._extra
        changed = snapshot is not None or extra is not None
        if changed and self._snapshot and self.choices.chosen == ("run", self._snapshot.name):
            # Who reads the end of the log goes on reading its end.
            at_end = self.view.page == "log" and self.detail.scroll_y >= self.detail.max_scroll_y
            self.refresh_page()
            if at_end:
                self.when_drawn(self.detail.scroll_end, animate=False)

    def on_choices_chosen(self) -> None:
        """Another item is chosen."""
        self.refresh_page(top=True)
        if self.choices.chosen[0] == "recipe":
            self.set_timer(_PAUSE, self._make_plan)
        else:
            self.look()

    def _make_plan(self) -> None:
        kind, name = self.choices.chosen
        if kind != "recipe" or name in self._plans:
            return
        self._plans[name] = None

        def act() -> Message:
            try:
                return PlanMade(name, acts.make_plan(name, self.runs_dir))
            except Exception as error:  # noqa: BLE001  (it is shown in place of the plan)
                return PlanMade(name, as_error(error))

        self.in_thread(act)

    def on_plan_made(self, message: PlanMade) -> None:
        """Show what the recipe resolves to."""
        self._plans[message.name] = message.made
        if self.choices.chosen == ("recipe", message.name):
            self.refresh_page()

    def on_launched(self, message: Launched) -> None:
        """Wait for the new run in the list."""
        self.await_run(message.name)

    def await_run(self, name: str) -> None:
        """Choose a run as soon as the list shows it."""
        self._awaited = name or self._awaited
        self.look()

    @property
    def has_runs(self) -> bool:
        """Whether there is a run to watch."""
        return bool(self._entries)

    def on_trouble(self, message: Trouble) -> None:
        """Say what went wrong."""
        from workbench.tui.screens import questions

        self.app.push_screen(questions.trouble(message.error))

    # ---------------------------------------------------------------- what the keys do

    def action_move(self, by: int) -> None:
        """Choose the next or the previous item."""
        self.choices.move(by)

    def action_go(self, kind: str) -> None:
        """Choose the first recipe or the newest run."""
        first = next((name for found, name in self.choices.names if found == kind), None)
        if first is not None and self.choices.chosen[0] != kind:
            self.choices.choose(kind, first)

    def action_widen(self) -> None:
        """Hide the list, or show it again."""
        self._widen(full=not self.has_class("-full"))

    def action_back(self) -> None:
        """Show the list again."""
        self._widen(full=False)

    def _widen(self, *, full: bool) -> None:
        self.set_class(full, "-full")
        (self.detail if full else self.choices).focus()
        self.query_one("#footer", Canvas).redraw()

    def action_swap(self) -> None:
        """Give the arrow keys to the other side."""
        if not self.has_class("-full"):
            (self.detail if self.choices.has_focus else self.choices).focus()

    def action_launch(self) -> None:
        """Ask for a name, then launch the chosen recipe."""
        from workbench.tui.screens import questions

        _, recipe = self.choices.chosen
        made = self._plans.get(recipe)
        if isinstance(made, WorkbenchError):
            self.post_message(Trouble(made))
            return

        def launch(name: str | None) -> None:
            if name is not None:
                self.app.notify("starting …", timeout=2)
                self.in_thread(lambda: Launched(acts.launch(recipe, name, self.runs_dir)))

        self.app.push_screen(questions.launch(self._recipes[recipe], len(self.live)), launch)

    def action_build(self) -> None:
        """Edit the chosen recipe's plan."""
        from workbench.draft import Draft

        _, recipe = self.choices.chosen
        made = self._plans.get(recipe)
        try:
            if isinstance(made, WorkbenchError):
                raise made
            draft = Draft(made or acts.make_plan(recipe, self.runs_dir))
        except WorkbenchError as error:
            self.post_message(Trouble(error))
            return
        self.ava.places.build(draft)

    def action_suspend(self) -> None:
        """To the shell and back."""
        self.app.action_suspend_process()

    def action_quit(self) -> None:
        """Leave; when a run is live, say first that it goes on."""
        from workbench.tui.screens import questions

        if self.live:
            names = [entry.name for entry in self.live]
            self.app.push_screen(
                questions.leave(names), lambda answer: self.app.exit() if answer else None
            )
        else:
            self.app.exit()

"""What can be done with a run from the first screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.tui import acts
from workbench.tui.pages.run import WEIGHTS, View
from workbench.tui.screens.main_messages import Launched
from workbench.tui.screens.place import Place
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.choices import Choices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.message import Message

_AT_ONCE = 8  # runs that are compared when none is marked; so many have a colour of their own


class RunActs(Place[None]):
    """The keys that belong to the chosen run; `Main` says which one that is."""

    runs_dir: Path
    view: View

    @property
    def choices(self) -> Choices:
        """The list."""
        return self.query_one(Choices)

    @property
    def detail(self) -> Canvas:
        """What is shown about the chosen item."""
        return self.query_one("#detail", Canvas)

    def look(self) -> None:
        """Look at the runs now."""
        raise NotImplementedError

    def refresh_page(self, *, top: bool = False) -> None:
        """Show what belongs to the chosen item."""
        raise NotImplementedError

    def forget_extra(self) -> None:
        """What another page showed is not to be shown on this one."""
        raise NotImplementedError

    def in_thread(self, act: Callable[[], Message | None]) -> None:
        """Run it in a thread and post what it returns."""
        raise NotImplementedError

    def action_charts(self) -> None:
        """The curves of the chosen run."""
        self._open_charts([self.choices.chosen[1]])

    def action_mark(self) -> None:
        """Mark the run to be compared, or take the mark away; then go on to the next."""
        self.choices.mark(self.choices.chosen[1])
        self.choices.move(1)
        self.query_one("#footer", Canvas).redraw()

    def action_compare(self) -> None:
        """The marked runs over each other; without marks the newest."""
        names = self.choices.marked
        if len(names) < 2:
            names = [name for kind, name in self.choices.names if kind == "run"][:_AT_ONCE]
        if len(names) < 2:
            self.app.notify("two runs are needed: F4 launches them")
            return
        self._open_charts(names)

    def _open_charts(self, names: list[str]) -> None:
        from workbench.tui.screens.charts import Charts

        self.app.push_screen(Charts(self.runs_dir, names, plain=self.view.ascii))

    def action_stop(self) -> None:
        """Ask, then stop the chosen run."""
        from workbench.tui.screens import questions

        _, name = self.choices.chosen

        def stop(answer: str | None) -> None:
            if answer is not None:
                self.in_thread(lambda: acts.stop(name, self.runs_dir, now=answer == "kill"))

        self.app.push_screen(questions.stop(name), stop)

    def action_resume(self) -> None:
        """Start the chosen run again from its newest checkpoint."""
        _, name = self.choices.chosen
        self.app.notify("starting …", timeout=2)
        self.in_thread(lambda: Launched(acts.resume(name, self.runs_dir)))

    def action_page(self, name: str) -> None:
        """Another page of the run, or the curve again."""
        self.forget_extra()
        self._change(page="curve" if self.view.page == name else name)
        self.detail.scroll_home(animate=False)
        self.look()

    def action_note(self) -> None:
        """Write a note beside the run."""
        from workbench.tui.screens import questions

        _, name = self.choices.chosen

        def note(text: str | None) -> None:
            if text:
                self.in_thread(lambda: self._noted(name, text))

        self.app.push_screen(questions.note(name), note)

    def _noted(self, name: str, text: str) -> Message:
        acts.note(name, text, self.runs_dir)
        self.app.call_from_thread(self.app.notify, "noted; key p shows it", timeout=3)
        return Launched("")

    def action_twin(self) -> None:
        """The commands that do the same."""
        from workbench.tui.screens import questions

        kind, name = self.choices.chosen
        self.app.push_screen(questions.twins(kind, name, self.runs_dir))

    def action_pick(self, kind: str, name: str) -> None:
        """Choose what a letter stands at."""
        self.choices.choose(kind, name)

    def action_scale(self) -> None:
        """Linear or logarithmic loss."""
        self._change(y_log=not self.view.y_log)

    def action_smooth(self, by: int) -> None:
        """More or less smoothing."""
        self._change(smoothing=min(max(self.view.smoothing + by, 0), len(WEIGHTS) - 1))
        self.look()

    def action_zoom(self, by: int) -> None:
        """A shorter or longer stretch of the newest steps."""
        self._change(zoom=min(max(self.view.zoom + by, 0), 12))

    def _change(self, **changes: Any) -> None:
        self.view = replace(self.view, **changes)
        self.refresh_page()

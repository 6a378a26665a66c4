"""The application: themes, the driver, the one screen, and how it ends."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App

from workbench.errors import WorkbenchError
from workbench.tui import look
from workbench.tui.driver import SturdyDriver
from workbench.tui.faults import as_error
from workbench.tui.places import Places
from workbench.tui.screens.main import Main

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePath

    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.filter import LineFilter


_SHEETS: list[str | PurePath] = [
    f"screens/{name}.tcss" for name in ("main", "dialog", "build", "picker", "charts", "learn")
]


class AvaTui(App[None], inherit_bindings=False):
    """`ava-tui`."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "Ava Workbench"
    CSS_PATH = _SHEETS
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        runs_dir: str = "runs",
        *,
        plain: bool = False,
        theme: str = look.DARK,
        workspace: str | None = None,
        lesson: str = "",
        tour: bool = False,
    ) -> None:
        self._main = Main(runs_dir, plain=plain)
        self.places = Places(self, self._main, workspace)
        self._first = lesson
        self._tour = tour
        super().__init__()
        for each in look.themes():
            self.register_theme(each)
        self.theme = theme
        self.animation_level = "none"
        self._own_filters: list[LineFilter] = []
        if self.no_color:
            self._own_filters.append(look.NoColours())
        if plain:
            self._own_filters.append(look.AsciiOnly())

    def begin(self) -> None:
        """What is to be seen first, once the first screen is painted."""
        if self._first:
            try:
                self.places.lesson(self._first)
            except Exception as error:  # noqa: BLE001  (said; the other places are there)
                from workbench.tui.screens import questions

                self.push_screen(questions.trouble(as_error(error)))
        elif self._tour:
            from workbench.tui.screens.tour import Tour

            self.push_screen(Tour())

    async def on_unmount(self) -> None:
        """End the kernel of a lesson."""
        await self.places.close()

    def get_default_screen(self) -> Main:
        """The one screen."""
        return self._main

    def get_driver_class(self) -> type[Driver]:
        """Our driver: it survives broken input and gives the terminal back.

        Another one where somebody has named it, as textual-serve does for a browser.
        """
        if os.environ.get("TEXTUAL_DRIVER"):
            return super().get_driver_class()
        return SturdyDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Colours and characters that the terminal or the user does not want."""
        if self.no_color:
            return self._own_filters
        return [*super().get_line_filters(), *self._own_filters]

    def _fatal_error(self) -> None:
        """End with a message; the traceback of our own fault goes to a file, not to the user."""
        handle, path = tempfile.mkstemp(prefix="ava-tui-", suffix=".log", text=True)
        with os.fdopen(handle, "w") as file:
            traceback.print_exc(file=file)
        error = WorkbenchError(
            "ava-tui made a mistake and had to end; runs go on without it",
            where=path,
            why=traceback.format_exc(limit=0).strip().splitlines()[-1],
            fix="start ava-tui again; please report this with the file",
        )
        self._exit_renderables.append(Text(error.render()))
        self._close_messages_no_wait()

    @property
    def live_runs(self) -> list[str]:
        """Names of the runs that are alive."""
        return [entry.name for entry in self._main.live]


def run(runs_dir: str, **options: Any) -> int:
    """Run the application in this terminal; returns the exit code.

    Args:
        runs_dir: Folder of the runs.
        **options: Of `AvaTui`.
    """
    app = AvaTui(runs_dir, **options)
    app.run()
    for name in app.live_runs if not app.return_code else []:
        sys.stderr.write(f"{name} goes on; come back with ava-tui, or: ava runs watch {name}\n")
    return app.return_code or 0

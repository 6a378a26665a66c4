"""The application: themes, the driver, the one screen, and how it ends."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App

from workbench.errors import WorkbenchError
from workbench.tui import look
from workbench.tui.driver import SturdyDriver
from workbench.tui.screens.main import Main

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.driver import Driver
    from textual.filter import LineFilter


class AvaTui(App[None], inherit_bindings=False):
    """`ava-tui`."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "Ava Workbench"
    CSS_PATH = [f"screens/{name}.tcss" for name in ("main", "dialog", "build", "picker", "charts")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self, runs_dir: str = "runs", *, plain: bool = False, theme: str = look.DARK
    ) -> None:
        self._main = Main(runs_dir, plain=plain)
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

    def get_default_screen(self) -> Main:
        """The one screen."""
        return self._main

    def get_driver_class(self) -> type[Driver]:
        """Our driver: it survives broken input and gives the terminal back."""
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


def run(runs_dir: str, *, plain: bool, theme: str) -> int:
    """Run the application in this terminal; returns the exit code."""
    app = AvaTui(runs_dir, plain=plain, theme=theme)
    app.run()
    for name in app.live_runs if not app.return_code else []:
        sys.stderr.write(f"{name} goes on; come back with ava-tui, or: ava runs watch {name}\n")
    return app.return_code or 0

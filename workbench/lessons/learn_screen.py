"""Where a long wait shows how it goes: one display that changes, or lines in a plain script.

In a kernel the display is one message that later ones replace, which both JupyterLab and the
terminal's reader show in place. Without a kernel there are lines on stderr, a few seconds apart.
"""

from __future__ import annotations

import html
import sys
import time
from typing import Any, Final

from workbench.lessons.learn_show import Shown

_LINE_SECONDS: Final = 3.0


def shell() -> Any:
    """The IPython shell that this process runs cells in; None in a plain script."""
    if "IPython" not in sys.modules:  # importing it would make every script slow
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def in_kernel() -> bool:
    """Whether a notebook or the terminal's reader shows what is displayed."""
    return getattr(shell(), "kernel", None) is not None


class Screen:
    """One line that changes."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = ""
        self._said = float("-inf")

    def say(self, line: str) -> None:
        """Show a line in place of the one before."""
        if line == self._last:
            return
        self._last = line
        if in_kernel():
            shown = Shown(line, f"<pre style='margin:0'>{html.escape(line)}</pre>")
            if self._handle is None:
                from IPython.display import display

                self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(shown)
        elif time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            sys.stderr.write(line + "\n")

    def clear(self) -> None:
        """Take the line away: what came of it follows."""
        if self._handle is not None:
            self._handle.update(Shown("", ""))
            self._handle = None
        self._last = ""

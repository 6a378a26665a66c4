"""Show a Lab in the browser, where there is one that opens a window."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def has_screen() -> bool:
    """Whether a browser could open a window: a text browser would take the terminal over."""
    if os.environ.get("BROWSER") or sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(door: Path) -> bool:
    """Open the page that leads to the Lab; returns whether a browser took it.

    Not the address itself: it holds the token, and everybody can read a command line.
    """
    if not has_screen():
        return False
    try:
        return webbrowser.open(door.as_uri())
    except (webbrowser.Error, OSError):
        return False


def tunnel(port: int) -> str | None:
    """The command with which a Lab on a machine reached by SSH is seen at home; None elsewhere."""
    if not os.environ.get("SSH_CONNECTION"):
        return None
    return f"ssh -N -L {port}:127.0.0.1:{port} {os.uname().nodename}"

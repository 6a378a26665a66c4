"""What the tests of the screens share: see the screen as text, wait for words, compare pictures."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual._context import visible_screen_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from workbench.tui.app import AvaTui

SNAPSHOTS = Path(__file__).parent / "snapshots"
_DEADLINE = 60.0


def screen_text(app: AvaTui) -> str:
    """What is on the screen, as text."""
    visible_screen_stack.set(app._background_screens)
    strips = app.screen._compositor.render_strips()
    shown = []
    for strip in strips:
        segments = list(strip)
        for line_filter in app.get_line_filters():
            segments = line_filter.apply(segments, app.screen.background_colors[1])
        shown.append("".join(segment.text for segment in segments).rstrip())
    return "\n".join(shown) + "\n"


async def until(pilot: Pilot[Any], true: Callable[[], bool], what: str = "") -> None:
    """Let the application go on until something is true."""
    deadline = time.monotonic() + _DEADLINE
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting for {what}\n{screen_text(pilot.app)}")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        await asyncio.sleep(0)


async def see(pilot: Pilot[Any], *words: str) -> str:
    """Wait until all of the words are on the screen; returns the screen."""
    await until(
        pilot, lambda: all(word in screen_text(pilot.app) for word in words), " and ".join(words)
    )
    return screen_text(pilot.app)


def check(name: str, shown: str) -> None:
    """Compare with tests/tui/snapshots/NAME.txt; AVA_SNAPSHOTS=record writes it anew."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("AVA_SNAPSHOTS") == "record":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    expected = path.read_text() if path.exists() else ""
    assert shown == expected, f"{path} differs; AVA_SNAPSHOTS=record re-records it\n{shown}"

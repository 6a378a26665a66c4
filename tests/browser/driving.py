"""Debian's Chromium under Playwright, and a page that may reach one Lab and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    Dialog,
    Page,
    Route,
    WebSocket,
    async_playwright,
    expect,
)

from tests.browser.lab_process import LabProcess

CHROMIUM = Path("/usr/bin/chromium")
"""Debian's; Playwright's own build is not used."""

_PATIENCE = 60_000.0  # milliseconds; a busy machine starts a training in twenty seconds
expect.set_options(timeout=_PATIENCE)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, started."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield started
        await started.close()


@contextlib.asynccontextmanager
async def window(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """A window of a laptop's size, without animations: a bar on its way looks like a wrong bar."""
    size = {"width": 1280, "height": 950}
    made = await browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **options})
    made.set_default_timeout(_PATIENCE)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def only_here(context: BrowserContext, lab: LabProcess) -> AsyncIterator[Page]:
    """A page that reaches this Lab alone.

    Raises:
        AssertionError: On leaving: it asked for something elsewhere, or one of its scripts failed.
    """
    elsewhere: list[str] = []
    wrong: list[str] = []

    async def decide(route: Route) -> None:
        if route.request.url.startswith((lab.origin + "/", "data:", "blob:")):
            await route.continue_()
        else:
            elsewhere.append(route.request.url)
            await route.abort()

    def connects(socket: WebSocket) -> None:
        if not socket.url.startswith(lab.origin.replace("http", "ws", 1) + "/"):
            elsewhere.append(socket.url)

    page = await context.new_page()

    async def leave(dialog: Dialog) -> None:
        """A page with something unsaved asks before it goes: answered as who reloads it would."""
        await dialog.accept()

    await page.route("**/*", decide)
    page.on("dialog", leave)
    page.on("websocket", connects)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    await page.unroute_all(behavior="ignoreErrors")
    await page.close()
    assert not elsewhere, f"the page asked for something outside this machine: {elsewhere}"
    assert not wrong, f"a script failed on the page: {wrong}"

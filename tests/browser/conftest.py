"""One JupyterLab and one browser for all tests here; each is a real one, and slow to start.

All of it lives in the event loop of the session. Playwright's other, blocking interface keeps a
loop of its own running, beside which no other asynchronous test of the same process can start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page

from tests.browser import driving
from tests.browser.lab_process import LabProcess


@pytest.fixture(scope="session")
def chromium() -> None:
    if not driving.CHROMIUM.exists():
        pytest.skip(f"no browser: {driving.CHROMIUM} is missing (apt-get install chromium)")


@pytest.fixture(scope="session")
def lab(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    home = tmp_path_factory.mktemp("home")
    with LabProcess.start(home / "ava-lessons", home) as serving:
        yield serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def context(chromium: None) -> AsyncIterator[BrowserContext]:
    """One window for all: JupyterLab's scripts stay in its cache."""
    async with driving.chromium() as browser, driving.window(browser) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, lab: LabProcess) -> AsyncIterator[Page]:
    async with driving.only_here(context, lab) as opened:
        yield opened

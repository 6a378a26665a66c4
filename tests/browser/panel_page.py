"""The panel of `workbench.notebook` as a test reads it; its hooks are listed in static/dom.js."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import Locator

    from tests.browser.notebook_page import NotebookPage

LONG = {"max_steps": 200_000, "save_steps": 200_000, "eval_steps": 200_000}
"""A training that goes on until somebody stops it, and does nothing else meanwhile."""

STOPPING = "[data-act=stop-now]:not([hidden]), [data-ava=panel][data-running=no]"
"""There when a stop was understood."""


class Panel:
    """One view of one widget.

    Args:
        notebook: The notebook that shows it.
        nth: Which of the panels on the page.
    """

    def __init__(self, notebook: NotebookPage, nth: int = 0) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.root = self.page.locator("[data-ava=panel]").nth(nth)
        self.chart = self.root.locator("[data-ava=chart]")
        self.meter = self.root.locator("[data-ava=meter]")
        self.why = self.root.locator("[data-ava=why]")
        self.equation = self.root.locator("[data-ava=equation]")
        self.findings = self.root.locator("[data-ava=findings]")

    def act(self, name: str) -> Locator:
        """A button."""
        return self.root.locator(f"[data-act={name}]").first

    async def ready(self) -> Panel:
        """Wait until the kernel has told it everything."""
        await expect(self.root).to_have_attribute("data-live", "yes")
        await expect(self.why).not_to_be_empty()
        return self

    async def key(self, path: str) -> Locator:
        """The input of a key; the form is searched for it."""
        await self.root.locator("[data-ava=search]").fill(path)
        return self.root.locator(f"[data-key='{path}'] [data-input]")

    async def fill(self, path: str, text: str) -> None:
        """Type a value."""
        await (await self.key(path)).fill(text)

    async def memory(self) -> float:
        """The needle of the meter, in GiB."""
        return float(await self.meter.get_attribute("aria-valuenow") or "nan")

    async def points(self) -> int:
        """Samples of the run that is followed."""
        return int(await self.chart.get_attribute("data-n") or 0)

    async def step(self) -> int:
        """The newest step that is painted."""
        return int(await self.chart.get_attribute("data-step") or 0)

    async def more(self, than: int) -> None:
        """Wait until the curve has come further than a step."""
        handle = await self.chart.element_handle()
        assert handle is not None
        await self.page.wait_for_function(
            "([chart, than]) => Number(chart.dataset.step) > than", arg=[handle, than]
        )

    async def painted(self) -> None:
        """Wait for two frames: what a theme has changed is drawn."""
        await self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    async def running(self, *, yes: bool) -> None:
        """Wait until it says that its run is alive, or is not."""
        await expect(self.root).to_have_attribute("data-running", "yes" if yes else "no")

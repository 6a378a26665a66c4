"""The panel for everybody: by keyboard alone, for a screen reader's tree, and without widgets."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser import driving
from tests.browser.lab_process import LabProcess
from tests.browser.notebook_page import NotebookPage, write_notebook
from tests.browser.panel_page import LONG, Panel
from tests.browser.test_panel import code, opened
from tests.tui.rundirs import make_run

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

THEMES = ("JupyterLab Dark", "JupyterLab Dark High Contrast", "JupyterLab Light")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
TABS = 80  # more stops than the panel has before its last button


async def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until the focus is where it should be."""
    for _ in range(TABS):
        if await page.evaluate("wanted => document.activeElement?.matches(wanted)", selector):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{key} never reached {selector}")


async def test_everything_is_done_by_keyboard(page: Page, lab: LabProcess) -> None:
    notebook = await opened(page, lab, "keys.ipynb", panel=code("runs-keys", **LONG))
    panel = await Panel(notebook).ready()
    await page.locator(".jp-Notebook .jp-Cell").first.focus()  # where Esc leaves a learner
    await tab_to(page, "[data-ava=search]")
    await page.keyboard.type("training.batch_size")
    batch = "[data-key='training.batch_size'] [data-input]"
    await expect(panel.root.locator("[data-ava=found]")).to_contain_text("found")
    await tab_to(page, batch)
    await page.keyboard.press("Control+A")
    await page.keyboard.type("4")
    await expect(panel.equation).to_have_attribute("aria-label", re.compile("^4 sequences"))
    await page.keyboard.press("ArrowUp")
    await expect(panel.equation).not_to_have_attribute("aria-label", re.compile("^4 sequences"))
    assert await page.evaluate("wanted => document.activeElement.matches(wanted)", batch)

    await tab_to(page, "[data-act=launch]")
    await page.keyboard.press("Enter")
    await panel.running(yes=True)
    await panel.more(than=1)
    await tab_to(page, "[data-act=stop]")
    await page.keyboard.press("Enter")
    await panel.running(yes=False)
    # Letters typed into the panel are no commands of JupyterLab: nothing was cut or added.
    assert [cell["id"] for cell in await notebook.cells()] == ["panel"]


async def clean(page: Page, what: str) -> None:
    """Let axe look at the panel."""
    rules = {"runOnly": {"type": "tag", "values": RULES}}
    found = await Axe().run(page, context="[data-ava=panel]", options=rules)
    assert found.violations_count == 0, f"{what}: {found.generate_report()}"
    assert len(found.response["passes"]) >= 15


async def test_axe_finds_nothing_in_three_themes(page: Page, lab: LabProcess) -> None:
    make_run(lab.workspace / "runs-axe", "done")
    notebook = await opened(page, lab, "axe.ipynb", panel=code("runs-axe"))
    panel = await Panel(notebook).ready()
    await expect(panel.chart).to_have_attribute("data-n", "400")
    await panel.act("fit").click()
    await expect(panel.root.locator("[data-ava=offer]").first).to_be_visible()
    await clean(page, "plans that fit")
    await page.keyboard.press("Escape")
    await panel.fill("run.hardware", "h100_80gb")
    await panel.fill("training.batch_size", "40000000")
    await expect(panel.meter).to_have_attribute("data-fits", "no")
    await panel.fill("model.num_key_value_heads", "3")
    await expect(panel.findings.locator("[data-severity=error]").first).to_be_visible()
    for theme in THEMES:
        await notebook.theme(theme)
        await panel.painted()
        await clean(page, theme)


async def test_where_no_widgets_run_the_panel_is_a_picture(page: Page, lab: LabProcess) -> None:
    """The notebook as JupyterLab exports it, shown by a browser that runs no script at all."""
    make_run(lab.workspace / "runs-export", "done")
    path = write_notebook(lab, "export.ipynb", panel=code("runs-export"))
    notebook = await NotebookPage(page, lab, path).open()
    await notebook.run_all()
    await Panel(notebook).ready()
    await notebook.save()
    exported = await page.request.get(f"{lab.origin}/nbconvert/html/{path}?token={lab.token}")
    assert exported.ok
    browser = page.context.browser
    assert browser is not None
    async with driving.window(browser, java_script_enabled=False, offline=True) as bare:
        still = await bare.new_page()
        await still.set_content(await exported.text(), wait_until="domcontentloaded")
        await expect(still.get_by_text("The model of the lessons").first).to_be_visible()
        await expect(still.locator("svg[role=img]").first).to_be_visible()
        assert await still.locator("svg[role=img]").count() >= 2, "the meter and the curve"
        await expect(still.get_by_role("cell", name="weights").first).to_be_visible()
        await expect(still.get_by_text("done", exact=True).first).to_be_visible()

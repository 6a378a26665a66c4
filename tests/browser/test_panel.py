"""The panel in a real browser: a plan is edited, trained, watched and stopped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.lab_process import LabProcess
from tests.browser.notebook_page import NotebookPage, write_notebook
from tests.browser.panel_page import LONG, STOPPING, Panel
from tests.conftest import MINI

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


def code(runs_dir: str, **keys: Any) -> str:
    """A cell that shows the panel on the lessons' recipe, with a model of milliseconds."""
    given = ", ".join(f"{key}={value!r}" for key, value in (MINI | keys).items())
    return (
        "from workbench.notebook import Workbench\n"
        f"panel = Workbench('lesson', runs_dir={runs_dir!r}, {given})\npanel"
    )


async def opened(page: Page, lab: LabProcess, path: str, **cells: str) -> NotebookPage:
    notebook = await NotebookPage(page, lab, write_notebook(lab, path, **cells)).open()
    await notebook.run_all()
    return notebook


async def test_an_edit_is_answered_at_once(page: Page, lab: LabProcess) -> None:
    notebook = await opened(page, lab, "edit.ipynb", panel=code("runs-edit"))
    panel = await Panel(notebook).ready()
    before = await panel.memory()
    await panel.fill("training.batch_size", "16")
    await expect(panel.equation).to_contain_text("16")
    await expect(panel.meter).not_to_have_attribute("aria-valuenow", str(before))
    assert await panel.memory() > before

    await panel.fill("training.batch_size", "sixteen")
    await expect(await panel.key("training.batch_size")).to_have_attribute("aria-invalid", "true")
    await panel.fill("training.batch_size", "2")
    await expect(await panel.key("training.batch_size")).to_have_attribute("aria-invalid", "false")
    await expect(panel.meter).to_have_attribute("aria-valuenow", str(before))

    await panel.fill("model.num_key_value_heads", "3")  # of 2 heads
    await expect(panel.findings.locator("[data-severity=error]").first).to_be_visible()
    await expect(panel.act("launch")).to_have_attribute("aria-disabled", "true")
    await panel.act("undo").click()
    await expect(panel.findings.locator("[data-severity=error]")).to_have_count(0)
    await expect(panel.act("launch")).to_have_attribute("aria-disabled", "false")
    assert await notebook.execute("print(panel.draft.config.model.num_key_value_heads)") == "None\n"


async def test_a_run_is_launched_watched_and_stopped_while_a_cell_sleeps(
    page: Page, lab: LabProcess
) -> None:
    notebook = await opened(page, lab, "launch.ipynb", panel=code("runs-launch", **LONG))
    panel = await Panel(notebook).ready()
    await panel.act("launch").click()
    await panel.running(yes=True)
    await panel.more(than=10)
    seen = await panel.step()
    await panel.more(than=seen)
    assert await panel.chart.locator("canvas").count() == 1

    await notebook.occupy("import time; time.sleep(600)")
    await panel.more(than=await panel.step())
    took = await notebook.click_and_time("[data-act=stop]", STOPPING)
    assert await notebook.occupied(), "the answer came while the cell slept"
    print(f"\nstop answered in {took:.0f} ms while a cell slept")
    await panel.running(yes=False)
    assert await notebook.occupied()
    await notebook.kernel("interrupt")


async def test_a_run_survives_interrupt_restart_and_reload(page: Page, lab: LabProcess) -> None:
    show = code("runs-again", **LONG)
    notebook = await opened(page, lab, "again.ipynb", panel=show, launch="run = panel.launch('it')")
    panel = await Panel(notebook).ready()
    await panel.running(yes=True)
    await panel.more(than=10)

    await notebook.occupy("import time; time.sleep(600)")
    await notebook.kernel("interrupt")
    await panel.more(than=await panel.step())

    # After a reload the saved notebook shows the panel as it was, and it goes on.
    await notebook.save()
    seen = await panel.step()
    await notebook.reload()
    await panel.more(than=seen)

    await notebook.kernel("restart")
    await expect(panel.root).to_have_attribute("data-live", "no")
    await expect(panel.root.locator("[data-ava=lost]")).to_contain_text("A run goes on without it")
    await notebook.ready()
    assert await notebook.execute("panel") == "NameError: name 'panel' is not defined"
    seen = await panel.step()
    await notebook.run("panel")  # it finds the run that lives, and follows it
    await panel.ready()
    await panel.running(yes=True)
    await panel.more(than=seen)
    await panel.act("stop").click()
    await panel.running(yes=False)


async def test_panels_and_views_on_one_run_agree(page: Page, lab: LabProcess) -> None:
    show = code("runs-both", **LONG)
    notebook = await opened(
        page, lab, "both.ipynb", panel=show, view="panel", other=show.replace("panel", "other")
    )
    first, view, other = [await Panel(notebook, nth).ready() for nth in range(3)]
    await first.fill("training.batch_size", "4")
    await expect(view.equation).to_have_attribute("aria-label", re.compile("^4 sequences"))
    await expect(other.equation).to_have_attribute("aria-label", re.compile("^2 sequences"))

    await first.act("launch").click()
    await first.more(than=1)
    await view.more(than=1)
    run = await notebook.execute("print(panel.run.name)")
    row = other.root.locator(f"tr[data-run='{run.strip()}']")
    await row.locator("[data-act=follow]").click()
    await other.more(than=1)
    await other.act("stop").click()  # whoever asks, all of them see it
    for each in (first, view, other):
        await each.running(yes=False)
    steps = {await each.step() for each in (first, view, other)}
    assert len(steps) == 1


async def test_a_plan_that_fits_is_picked_from_a_list(page: Page, lab: LabProcess) -> None:
    source = code("runs-fit", hidden_size=4096, num_layers=32, batch_size=512, hardware="rtx_4090")
    panel = await Panel(await opened(page, lab, "fit.ipynb", panel=source)).ready()
    await expect(panel.meter).to_have_attribute("data-fits", "no")
    offers = panel.root.locator("[data-ava=offer]")
    await panel.act("fit").click()
    await expect(offers.first.locator("[data-act=use]")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(offers).to_have_count(0)
    await expect(panel.act("fit")).to_be_focused()
    await panel.act("fit").press("Enter")
    await offers.first.locator("[data-act=use]").press("Enter")
    await expect(panel.meter).to_have_attribute("data-fits", "yes")
    await expect(offers).to_have_count(0)

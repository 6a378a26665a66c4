"""The course in a real browser: the first page, and a learner's whole way through lesson 1."""

from __future__ import annotations

import sys

import nbformat
import pytest
from playwright.async_api import Page, expect

from tests.browser.lab_process import LabProcess
from tests.browser.notebook_page import NotebookPage
from tests.lessons.cases.first_launch import SOLUTION
from workbench.lessons import find, receipts
from workbench.lessons.notebooks_reading import is_copy
from workbench.lessons.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

LESSON = find("first-launch")


async def test_the_first_page_leads_to_the_lessons(page: Page, lab: LabProcess) -> None:
    """As a learner comes in: the printed address, with JupyterLab's own layout around it."""
    await page.goto(lab.url, wait_until="domcontentloaded")
    heading = page.get_by_role("heading", name="Know before you train")
    await expect(heading).to_be_visible()
    await expect(page.get_by_text("Would you like to get notified")).to_have_count(0)
    start = NotebookPage(page, lab, "START.ipynb")
    await start.ready()
    await page.get_by_role("link", name=LESSON.title).first.click()
    await expect(page.get_by_role("tab", name=LESSON.notebook_name)).to_be_visible()
    await expect(page.get_by_role("heading", name=LESSON.title).first).to_be_visible()
    await start.ready()
    told = await start.execute("import os, sys; print(sys.executable, os.environ['AVA_WORKSPACE'])")
    assert told.strip() == f"{sys.executable} {lab.workspace}"


async def test_a_learner_goes_through_lesson_1(page: Page, lab: LabProcess) -> None:
    lesson = await NotebookPage(page, lab, LESSON.notebook_name).open()
    checks = {cell.id: check for cell, check in zip(_check_cells(), LESSON.checks, strict=True)}
    await lesson.run("setup")
    await lesson.run("your-q1")
    assert (await lesson.verdict("q1"))["status"] == "unattempted"

    for cell in LESSON.cells:
        if cell.id in SOLUTION:
            await lesson.write(cell.id, SOLUTION[cell.id])
        if cell.is_check:
            verdict = await lesson.verdict(cell.id)
            assert verdict["status"] == "pass", verdict
        else:
            await lesson.run(cell.id)
            errors = [
                each for each in await lesson.outputs(cell.id) if each["output_type"] == "error"
            ]
            assert not errors
    passed = {each.check for each in _receipts(lab) if each.status == "pass"}
    assert passed == set(checks.values())

    shown = {cell.id: await lesson.outputs(cell.id) for cell in LESSON.cells}
    await lesson.save()
    await lesson.reload()
    for cell in LESSON.cells:
        assert await lesson.outputs(cell.id) == shown[cell.id]
    verdict = lesson.output(await lesson.index(list(checks)[-1])).locator(".ava-check")
    await verdict.scroll_into_view_if_needed()
    await expect(verdict).to_have_attribute("data-status", "pass")

    saved = nbformat.read(lab.workspace / LESSON.notebook_name, as_version=4)
    assert saved.metadata["ava"]["id"] == LESSON.id, "JupyterLab keeps the front matter"
    assert is_copy(saved.metadata["ava_copy"]), "and what an update needs to know edits by"
    kept = {cell.id: cell for cell in saved.cells if cell.cell_type == "code"}
    assert [*kept] == [cell.id for cell in LESSON.cells]
    assert all(cell.metadata["ava"]["id"] == cell_id for cell_id, cell in kept.items())
    assert all(kept[cell_id].source == source for cell_id, source in SOLUTION.items())

    await page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    start = await NotebookPage(page, lab, "START.ipynb").open()
    await start.run_all()
    row = page.get_by_role("row").filter(has_text=LESSON.title).filter(has_text="done")
    await expect(row.first).to_be_visible()


def _check_cells() -> list[object]:
    return [cell for cell in LESSON.cells if cell.is_check]


def _receipts(lab: LabProcess) -> list[receipts.Receipt]:
    return receipts.read(Workspace(lab.workspace))

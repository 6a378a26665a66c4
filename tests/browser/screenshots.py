"""Pictures of the course in JupyterLab: a real Lab, a real browser, a real run.

    .venv/bin/python tests/browser/screenshots.py [-o FOLDER]

They go to lessons/images as lab-NAME.png. Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.async_api import expect  # noqa: E402

from tests.browser import driving  # noqa: E402
from tests.browser.lab_process import LabProcess  # noqa: E402
from tests.browser.notebook_page import NotebookPage, write_notebook  # noqa: E402
from tests.browser.panel_page import Panel  # noqa: E402

if TYPE_CHECKING:
    from playwright.async_api import Page

LIMIT = 250 * 1024
SIZE = {"width": 1180, "height": 780}


def keep(folder: Path, name: str, picture: bytes) -> None:
    """Write one picture, small enough for a repository."""
    from io import BytesIO

    from PIL import Image

    small = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    data = min(picture, small.getvalue(), key=len)
    assert len(data) <= LIMIT, f"{name}: {len(data)} bytes"
    (folder / f"lab-{name}.png").write_bytes(data)
    print(f"lab-{name}.png  {len(data) / 1024:.0f} KiB")


async def course(page: Page, lab: LabProcess, folder: Path) -> None:
    """The first page, and the first lesson after its first run."""
    await page.goto(lab.url, wait_until="domcontentloaded")
    await page.get_by_role("heading", name="Know before you train").wait_for(timeout=60_000)
    start = NotebookPage(page, lab, "START.ipynb")
    await start.ready()
    await page.get_by_text("Idle").first.wait_for()
    keep(folder, "course", await page.screenshot())
    await page.get_by_role("link", name="First launch").first.click()
    await start.ready()
    for cell_id in ("setup", "plan", "launch"):
        await start.run(cell_id)
    keep(folder, "lesson", await page.screenshot())


async def panel(page: Page, lab: LabProcess, folder: Path) -> None:
    """The panel on the run of lesson 1, after an edit, in a light and a dark theme."""
    source = 'from workbench.notebook import Workbench\n\nWorkbench("lesson")'
    await page.set_viewport_size({"width": SIZE["width"], "height": 1700})
    notebook = NotebookPage(page, lab, write_notebook(lab, "panel.ipynb", panel=source))
    await notebook.open()
    await notebook.run_all()
    shown = await Panel(notebook).ready()
    await expect(shown.chart).to_have_attribute("data-n", "60")
    await shown.fill("training.batch_size", "16")
    await expect(shown.equation).to_have_attribute("aria-label", re.compile("^16 sequences"))
    await shown.root.locator("[data-ava=search]").fill("")
    await expect(shown.root.locator("[data-section=model]")).to_be_visible()
    for theme, name in (("JupyterLab Dark", "panel-dark"), ("JupyterLab Light", "panel")):
        await notebook.theme(theme)
        await shown.painted()
        keep(folder, name, await shown.root.screenshot())


async def main() -> None:
    """Take them all."""
    options = argparse.ArgumentParser()
    options.add_argument("-o", type=Path, default=ROOT / "lessons" / "images")
    folder: Path = options.parse_args().o
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        with LabProcess.start(home / "ava-lessons", home) as lab:
            async with (
                driving.chromium() as browser,
                driving.window(browser, viewport=SIZE) as context,
                driving.only_here(context, lab) as page,
            ):
                await course(page, lab, folder)
                await panel(page, lab, folder)


if __name__ == "__main__":
    asyncio.run(main())

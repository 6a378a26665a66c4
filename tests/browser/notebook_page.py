"""A notebook in JupyterLab, as a test reads it: cells, their outputs, the kernel, the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

    from tests.browser.lab_process import LabProcess

KERNEL = {"name": "ava-workbench", "display_name": "Ava Workbench", "language": "python"}
CHECK_MIME = "application/vnd.ava.check+json"

_CELL = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell"

_KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"

_READY = """async () => {
  const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  if (!context) return false;
  await context.ready;
  return Boolean(context.session?.kernel);
}"""

_EXECUTE = (
    """async code => {
  const request = """
    + _KERNEL
    + """.requestExecute({code, store_history: false, stop_on_error: false});
  let said = "";
  request.onIOPub = message => {
    if (message.header.msg_type === "stream") said += message.content.text;
    if (message.header.msg_type === "error")
      said += `${message.content.ename}: ${message.content.evalue}`;
  };
  await request.done;
  return said;
}"""
)

_OCCUPY = (
    """code => {
  const request = """
    + _KERNEL
    + """.requestExecute({code, store_history: false});
  window.__occupied = "busy";
  return new Promise(resolve => {
    request.onIOPub = message => {
      if (message.header.msg_type === "stream") resolve();
    };
    request.done.then(reply => { window.__occupied = reply.content.status; resolve(); });
  });
}"""
)

# Resolves when a page shows `done`, with the milliseconds since the click that it makes first.
_CLICK_AND_TIME = """([button, done]) => new Promise((resolve, reject) => {
  const start = performance.now();
  const look = () => {
    const element = document.querySelector(done);
    if (element) resolve(performance.now() - start);
    else if (performance.now() - start > 30000) reject(new Error(`never saw ${done}`));
    else requestAnimationFrame(look);
  };
  document.querySelector(button).click();
  look();
})"""


def write_notebook(lab: LabProcess, path: str, **cells: str) -> str:
    """A notebook of the learner's own in the workspace.

    Args:
        lab: The Lab that serves it.
        path: Where, from the workspace.
        cells: The source of each cell by its id.

    Returns:
        The path.
    """
    import nbformat

    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for cell_id, source in cells.items():
        metadata = {"ava": {"id": cell_id}}
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=cell_id, metadata=metadata))
    nbformat.write(notebook, lab.workspace / path)
    return path


class NotebookPage:
    """One notebook in single-document mode, the page with the least around it.

    Args:
        page: The browser's page.
        lab: The Lab that serves it.
        path: The notebook, from the workspace.
    """

    def __init__(self, page: Page, lab: LabProcess, path: str) -> None:
        self.page = page
        self.path = path
        self._lab = lab

    async def open(self) -> NotebookPage:
        """Load the page with an empty layout and wait for its kernel."""
        address = f"{self._lab.origin}/doc/tree/{self.path}?reset&token={self._lab.token}"
        await self.page.goto(address, wait_until="domcontentloaded")
        await self.ready()
        return self

    async def reload(self) -> None:
        """Load the page again, as a learner does."""
        await self.page.reload(wait_until="domcontentloaded")
        await self.ready()

    async def ready(self) -> None:
        """Wait until the cells are there and the kernel answers."""
        await self.page.wait_for_selector(_CELL)
        await self.page.wait_for_function(_READY)
        await self.execute("1")

    async def command(self, name: str, **arguments: Any) -> None:
        """Run one of JupyterLab's commands."""
        await self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments],
        )

    async def run_all(self) -> None:
        """Run every cell and wait until the last one has ended."""
        await self.command("notebook:run-all-cells")

    async def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        await self.command("docmanager:save")
        await self.page.wait_for_function(
            "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
        )

    async def theme(self, name: str) -> None:
        """Change the theme and wait until its style is on the page, and nothing lies over it."""
        await self.command("apputils:change-theme", theme=name)
        await self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name"
            " && document.getElementById('jupyterlab-splash') === null",
            arg=name,
        )

    # cells

    async def cells(self) -> list[dict[str, Any]]:
        """All cells: their type, source, ava id, and whether they have run."""
        found: list[dict[str, Any]] = await self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell, index) => ({
              index, type: cell.model.type, source: cell.model.sharedModel.getSource(),
              id: cell.model.getMetadata('ava')?.id ?? null,
            }))"""
        )
        return found

    async def index(self, cell_id: str) -> int:
        """Where the cell with this ava id stands."""
        for cell in await self.cells():
            if cell["id"] == cell_id:
                return int(cell["index"])
        raise AssertionError(f"no cell {cell_id} in {self.path}")

    async def write(self, cell_id: str, source: str) -> None:
        """Replace what stands in a cell, through the editor's own model."""
        await self.page.evaluate(
            "([index, source]) => window.jupyterapp.shell.currentWidget.content.widgets[index]"
            ".model.sharedModel.setSource(source)",
            [await self.index(cell_id), source],
        )

    async def run(self, cell_id: str) -> Locator:
        """Select a cell, run it as its learner does, wait for its end; returns its output."""
        index = await self.index(cell_id)
        await self.page.evaluate(
            """async index => {
              const content = window.jupyterapp.shell.currentWidget.content;
              content.activeCellIndex = index;
              content.deselectAll();
              await content.scrollToItem(index);
              await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )
        return self.output(index)

    async def outputs(self, cell_id: str) -> list[dict[str, Any]]:
        """The outputs of a cell, as the notebook would save them."""
        found: list[dict[str, Any]] = await self.page.evaluate(
            "index => window.jupyterapp.shell.currentWidget.content.widgets[index]"
            ".model.outputs.toJSON()",
            await self.index(cell_id),
        )
        return found

    async def verdict(self, cell_id: str) -> dict[str, Any]:
        """Run the cell of a check; returns what it says to programs."""
        await self.run(cell_id)
        found = [each["data"] for each in await self.outputs(cell_id) if "data" in each]
        told = [data[CHECK_MIME] for data in found if CHECK_MIME in data]
        assert len(told) == 1, await self.outputs(cell_id)
        return dict(told[0])

    def output(self, index: int) -> Locator:
        """What the cell at an index shows."""
        return self.page.locator(f"{_CELL}[data-windowed-list-index='{index}'] .jp-Cell-outputArea")

    # the kernel

    async def execute(self, code: str) -> str:
        """Run code in the kernel beside the cells; returns what it printed, or its error."""
        return str(await self.page.evaluate(_EXECUTE, code))

    async def occupy(self, code: str) -> None:
        """Start a cell that prints at once and then keeps the kernel; returns when it has begun."""
        await self.page.evaluate(_OCCUPY, f"print('begun', flush=True)\n{code}")

    async def occupied(self) -> bool:
        """Whether that cell still runs."""
        return bool(await self.page.evaluate("window.__occupied === 'busy'"))

    async def kernel(self, verb: str) -> None:
        """``interrupt``, ``restart`` or ``shutdown`` the kernel."""
        await self.page.evaluate(f"verb => {_KERNEL}[verb]().then(() => null)", verb)

    # what a page did

    async def click_and_time(self, button: str, done: str) -> float:
        """Click, and measure in the browser how long it takes until `done` is there.

        Args:
            button: Selector of what is clicked.
            done: Selector of what has to appear.

        Returns:
            Milliseconds, to the next frame.
        """
        return float(await self.page.evaluate(_CLICK_AND_TIME, [button, done]))

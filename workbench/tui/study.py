"""A lesson that somebody works through: edits, outputs, verdicts, and the kernel that runs cells.

Nothing here draws. It outlives the screen, so that another place can be visited while a cell runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workbench.tui import learner
from workbench.tui.faults import as_error
from workbench.tui.sections import Section, sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from workbench.errors import WorkbenchError
    from workbench.lessons.kernel import Kernel
    from workbench.lessons.lesson_file import Lesson

Status = Literal["idle", "waiting", "running", "done", "error", "interrupted"]
_MOST_OUTPUT = 200_000  # characters of one cell that are kept; the newest


@dataclass
class CellState:
    """What has become of one cell.

    Attributes:
        source: The code as the learner has it.
        outputs: What it showed, in the form of a notebook.
        status: Whether it waits, runs, or has run in this session.
        verdict: What a check said last, as `workbench.lessons` writes it; empty before.
        hints: The hints of a check that were asked for.
        left: How many hints are left; None while nobody has asked.
    """

    source: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    status: Status = "idle"
    verdict: dict[str, Any] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    left: int | None = None


class Study:
    """One lesson in one workspace.

    Args:
        lesson: The lesson.
        folder: The learner's workspace.
    """

    def __init__(self, lesson: Lesson, folder: Path) -> None:
        self.lesson = lesson
        self.folder = folder
        self.sections: list[Section] = sections(lesson)
        self.section = 0
        self.kernel_state: Literal["none", "starting", "idle", "busy", "dead"] = "none"
        self.trouble: WorkbenchError | None = None
        self.changed: Callable[[], None] = lambda: None
        self.cells = {cell.id: CellState(cell.source) for cell in lesson.cells}
        self._kernel: Kernel | None = None
        self._queue: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._set_up = False

    # ---------------------------------------------------------------- what is kept

    def load(self) -> None:
        """Take over what the learner has in the workspace: edits, outputs, verdicts.

        Raises:
            WorkbenchError: The learner's notebook cannot be read.
        """
        kept = learner.load(self.folder, self.lesson)
        for cell_id, (source, outputs) in kept.items():
            state = self.cells[cell_id]
            state.source, state.outputs = source, outputs
            state.verdict = next(filter(None, map(learner.verdict_of, outputs)), {})
        for check, status in learner.standing(self.folder, self.lesson).items():
            verdict = self.cells[check].verdict
            if status == "stale" or not verdict:
                self.cells[check].verdict = {**verdict, "status": status}

    def save(self) -> None:
        """Write edits and outputs into the learner's notebook.

        Raises:
            WorkbenchError: It cannot be written, or somebody else has changed it meanwhile.
        """
        kept = {
            name: (state.source, state.outputs)
            for name, state in self.cells.items()
            if state.outputs or state.source != self._original(name)
        }
        learner.save(self.folder, self.lesson, kept)

    def _original(self, cell_id: str) -> str:
        cell = self.lesson.cell(cell_id)
        return cell.source if cell is not None else ""

    def is_edited(self, cell_id: str) -> bool:
        """Whether the learner has changed a cell."""
        return self.cells[cell_id].source != self._original(cell_id)

    def edit(self, cell_id: str, source: str) -> None:
        """Change a cell, and keep it."""
        state = self.cells[cell_id]
        if source == state.source:
            return
        state.source = source
        self._keep()

    def reset(self, cell_id: str) -> None:
        """The cell as the lesson has it."""
        self.edit(cell_id, self._original(cell_id))

    def _keep(self) -> None:
        try:
            self.save()
        except Exception as error:  # noqa: BLE001  (shown; the edit stays in memory)
            self.trouble = as_error(error)
        self.changed()

    # ---------------------------------------------------------------- where one is

    @property
    def here(self) -> Section:
        """The section that is open."""
        return self.sections[self.section]

    @property
    def passed(self) -> tuple[int, int]:
        """Checks that are passed, and all."""
        asking = [cell.id for cell in self.lesson.cells if cell.is_check]
        done = sum(self.cells[name].verdict.get("status") == "pass" for name in asking)
        return done, len(asking)

    def section_of(self, cell_id: str) -> int:
        """The section that a cell is in."""
        return next(
            number
            for number, section in enumerate(self.sections)
            if any(cell.id == cell_id for cell in section.cells)
        )

    # ---------------------------------------------------------------- running

    @property
    def busy(self) -> bool:
        """Whether a cell runs or waits."""
        return self._task is not None and not self._task.done()

    def run(self, cell_ids: Iterable[str]) -> None:
        """Run cells one after another, after those that wait already; the set-up cell first.

        Must be called in the event loop.
        """
        wanted = [name for name in cell_ids if name not in self._queue]
        if not self._set_up:
            first = [cell.id for cell in self.lesson.cells if cell.is_setup]
            wanted = [*(name for name in first if name not in self._queue), *wanted]
            self._set_up = True
        for name in dict.fromkeys(wanted):
            self._queue.append(name)
            self.cells[name].status = "waiting"
        self.trouble = None
        if not self.busy:
            self._task = asyncio.get_running_loop().create_task(self._work())
        self.changed()

    async def _work(self) -> None:
        try:
            await self._start()
            while self._queue:
                name = self._queue.pop(0)
                await self._run_cell(name)
                if self.cells[name].status in ("error", "interrupted"):
                    self._drop_queue()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  (shown on the page)
            self.trouble = as_error(error)
            self._set_up = False
            await self._forget_kernel()
        finally:
            self._drop_queue()
            for state in self.cells.values():
                if state.status == "running":
                    state.status = "error"
        self.changed()

    def _drop_queue(self) -> None:
        for name in self._queue:
            self.cells[name].status = "idle"
        self._queue.clear()

    async def _start(self) -> None:
        if self._kernel is not None and self._kernel.started:
            return
        self.kernel_state = "starting"
        self.changed()
        # The import takes a tenth of a second, which the face would stand still.
        kernel = await asyncio.to_thread(learner.new_kernel, self.folder)
        self._kernel = kernel
        await kernel.start()
        self.kernel_state = "idle"
        self.changed()

    async def _run_cell(self, name: str) -> None:
        state = self.cells[name]
        assert self._kernel is not None, "it has been started"
        shown = learner.Shown(_MOST_OUTPUT)
        state.status, state.outputs, state.hints = "running", shown.outputs, []
        self.kernel_state = "busy"
        self.changed()
        async for output in self._kernel.run(state.source):
            shown.add(output)
            state.verdict = output.check or state.verdict
            self.changed()
        error = next((out for out in state.outputs if out["output_type"] == "error"), None)
        state.status = "done"
        if error is not None:
            stopped = error.get("ename") == "KeyboardInterrupt"
            state.status = "interrupted" if stopped else "error"
        self.kernel_state = "idle"
        self._keep()

    async def interrupt(self) -> None:
        """Stop the running cell and forget those that wait."""
        self._drop_queue()
        if self._kernel is not None and self.busy:
            await self._kernel.interrupt()
        self.changed()

    async def restart(self) -> None:
        """End the kernel; the next cell starts a new one. What was shown stays."""
        self._drop_queue()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
        await self._forget_kernel()
        self.kernel_state, self._set_up, self.trouble = "none", False, None
        for state in self.cells.values():
            if state.status in ("running", "waiting"):
                state.status = "idle"
        self.changed()

    async def _forget_kernel(self) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            self.kernel_state = "dead"
            with contextlib.suppress(Exception):
                await kernel.close()

    async def close(self) -> None:
        """End the kernel."""
        await self.restart()

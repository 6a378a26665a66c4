"""A Python kernel that runs cells: the one that JupyterLab would start, for the terminal and tests.

    async with Kernel(workspace.path) as kernel:
        async for output in kernel.run("1 + 1"):
            print(output.text)

It talks over sockets in a private folder (ipykernel 7.4 warns of TCP, which is not encrypted) and
starts with the first cell, which takes about a second. Runs that a cell has launched belong to
their supervisors and survive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from workbench.errors import RunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from workbench.lessons.lesson_file import Cell

_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that a cell has put out.

    Attributes:
        kind: ``stream`` (text of stdout or stderr), ``display`` (one thing in several forms),
            ``update`` (a display that takes the place of an earlier one), ``error``, or ``clear``
            (what is there goes when something comes).
        text: As plain text, without colours.
        data: The forms of a display by MIME type.
        name: ``stdout`` or ``stderr`` of a stream; the exception's name of an error.
        display: What an update replaces; empty for what is never replaced.
    """

    kind: Literal["stream", "display", "update", "error", "clear"]
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    display: str = ""

    @property
    def check(self) -> dict[str, Any] | None:
        """The verdict of a check, if it is one."""
        from workbench.lessons.outcome import MIME

        found = self.data.get(MIME)
        return found if isinstance(found, dict) else None


class Kernel:
    """One kernel.

    Args:
        cwd: The folder that cells work in.
        env: Variables beside our own.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.cwd = cwd
        self._env = dict(env or {})
        self._manager: Any = None
        self._client: Any = None
        self._folder: Path | None = None
        self._turn = asyncio.Lock()
        self.busy = False
        self.count = 0
        """The number of the newest cell that has been run."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._client is not None

    async def start(self) -> None:
        """Start the process, if it is not there.

        Raises:
            RunError: It does not start.
        """
        if self.started:
            return
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager

        # Not below the workspace: the path of a socket may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="ava-kernel-"))
        manager = AsyncKernelManager(
            transport="ipc",
            connection_file=str(self._folder / "kernel.json"),
            ip=str(self._folder / "s"),
            shutdown_wait_time=2.0,
        )
        manager._kernel_spec = KernelSpec(  # noqa: SLF001 - the one way to name an interpreter
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Ava Workbench",
            language="python",
        )
        self._manager = manager
        try:
            await manager.start_kernel(cwd=str(self.cwd), env=self._environment())
            await self._connect()
        except BaseException as error:
            await self.close()
            if not isinstance(error, OSError | RuntimeError):
                raise
            raise RunError(
                "the kernel that runs the cells does not start",
                where=sys.executable,
                why=str(error),
                fix="see whether it is installed: python -m ipykernel --version",
            ) from None

    async def _connect(self) -> None:
        client = self._manager.client()
        client.start_channels()
        self._client = client
        await client.wait_for_ready(timeout=_START_SECONDS)

    def _environment(self) -> dict[str, str]:
        env = {**os.environ, **self._env, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        root = Path(__file__).resolve().parents[2]
        if root.name not in ("site-packages", "dist-packages"):  # a checkout
            places = [str(root), str(root / "kernels"), *filter(None, [env.get("PYTHONPATH")])]
            env["PYTHONPATH"] = os.pathsep.join(places)
        return env

    # ------------------------------------------------------------------ running

    async def run(self, cell: Cell | str) -> AsyncIterator[Output]:
        """Run a cell, and yield what it puts out while it does. One cell at a time.

        Raises:
            RunError: The kernel does not start, or has died.
        """
        source = cell if isinstance(cell, str) else cell.source
        async with self._turn:
            await self.start()
            self.busy = True
            try:
                request = self._client.execute(source, allow_stdin=False, stop_on_error=False)
                async for message in self._messages(request):
                    if (output := self._output(message)) is not None:
                        yield output
            finally:
                self.busy = False

    async def _messages(self, request: str) -> AsyncIterator[dict[str, Any]]:
        """What the kernel says about a request, until it is done with it."""
        while True:
            try:
                message = await self._client.get_iopub_msg(timeout=_POLL_SECONDS)
            except Empty:
                if self._manager is None or not await self._manager.is_alive():
                    raise RunError(
                        "the kernel that runs the cells has died",
                        why="memory may have run out, or the cell has ended its own process",
                        fix="run the cells again from the first one; runs go on by themselves",
                    ) from None
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status":
                if message["content"].get("execution_state") == "idle":
                    return
                continue
            yield message

    def _output(self, message: dict[str, Any]) -> Output | None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            return Output("stream", _plain(content["text"]), name=content["name"])
        if kind in ("display_data", "execute_result", "update_display_data"):
            data = content["data"]
            shown = str((content.get("transient") or {}).get("display_id") or "")
            text = _plain(str(data.get("text/plain", "")))
            return Output(
                "update" if kind.startswith("update") else "display", text, data, display=shown
            )
        if kind == "error":
            text = _plain("\n".join(content["traceback"]) or content["evalue"])
            return Output("error", text, name=content["ename"])
        if kind == "clear_output":
            return Output("clear")
        if kind == "execute_input":
            self.count = int(content.get("execution_count") or self.count)
        return None

    async def outputs(self, cell: Cell | str) -> list[Output]:
        """Everything that a cell puts out, with updates in the place of what they replace.

        Raises:
            RunError: The kernel does not start, or has died.
        """
        found: list[Output] = []
        async for output in self.run(cell):
            place = fold(found, output)
            last = found[-1] if found else None
            if place is not None:
                found[place] = output
            elif last is not None and output.kind == "stream" and last.name == output.name:
                found[-1] = replace(last, text=last.text + output.text)
            else:
                found.append(output)
        return [each for each in found if each.text or each.kind in ("stream", "error")]

    async def interrupt(self) -> None:
        """Interrupt the cell that is running; runs that it has launched go on."""
        if self._manager is not None and self.busy:
            await self._manager.interrupt_kernel()

    async def restart(self) -> None:
        """Begin anew: variables are gone, files and runs are not."""
        if self.started:
            await self._end()
        await self.start()

    async def close(self) -> None:
        """End the process, and leave nothing behind."""
        await self._end()

    async def _end(self) -> None:
        client, manager, folder = self._client, self._manager, self._folder
        self._client = self._manager = self._folder = None
        self.count = 0
        if client is not None:
            client.stop_channels()
        if manager is not None:
            with contextlib.suppress(RuntimeError):  # it was never started
                await manager.shutdown_kernel(now=True)
            await manager._async_cleanup_resources()  # noqa: SLF001 - what a shutdown calls itself
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def fold(found: list[Output], output: Output) -> int | None:
    """Where an output belongs that takes the place of an earlier one; None where it is added."""
    if output.kind != "update" or not output.display:
        return None
    places = [place for place, each in enumerate(found) if each.display == output.display]
    return places[-1] if places else None


def _plain(text: str) -> str:
    """Text without colours, and of a line that overwrites itself only the last state."""
    lines = _ANSI.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)

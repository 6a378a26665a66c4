"""Other places that metrics go to. None of them can stop or slow a training.

A writer has its own thread and a bounded queue: when the other side is slow the oldest rows are
dropped, when it fails the writer says so once and falls silent. Our own files hold everything.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config
    from workbench.runs.directory import RunDir

# How long the end of a training waits for a writer that hangs, in seconds.
_PATIENCE = 20.0


class Sink(Protocol):
    """What a service takes."""

    def open(self) -> None:
        """Get ready. Everything slow happens here, and any exception means that there is none."""

    def write(self, row: dict[str, Any]) -> None:
        """Take one row, with its step."""

    def close(self) -> None:
        """Send what is left."""


class Writer:
    """Feeds a sink from a thread.

    Args:
        name: What it is called in messages.
        sink: Who takes the rows.
        say: Told what went wrong, once.
        capacity: Rows that wait at most.
        every: Of the rows of steps, those whose step is a multiple of this are passed on.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        say: Callable[[str], None],
        *,
        capacity: int = 10_000,
        every: int = 1,
    ) -> None:
        self.name = name
        self.lost = 0
        self._sink = sink
        self._say = say
        self._every = every
        self._rows: queue.Queue[dict[str, Any] | None] = queue.Queue(capacity)
        self._dead = False
        self._thread = threading.Thread(target=self._run, name=f"metrics-{name}", daemon=True)
        self._thread.start()

    def write(self, row: dict[str, Any]) -> None:
        """Pass a row on; returns at once."""
        if self._dead or ("loss" in row and row["step"] % self._every):
            return
        while True:
            try:
                self._rows.put_nowait(row)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._rows.get_nowait()
                    self.lost += 1
            else:
                return

    def close(self, patience: float = _PATIENCE) -> None:
        """Let the sink take what waits; give up on one that hangs."""
        if not self._dead:
            with contextlib.suppress(queue.Full):
                self._rows.put(None, timeout=patience)
        self._thread.join(patience)
        if self._thread.is_alive():
            self._say(f"{self.name} does not answer; its last rows may be missing there")

    def _run(self) -> None:
        try:
            self._sink.open()
            while (row := self._rows.get()) is not None:
                self._sink.write(row)
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the training goes on
            self._dead = True
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._say(f"{self.name} has no more of this run: {why}")


def open_writers(config: Config, run: RunDir, say: Callable[[str], None]) -> list[Writer]:
    """The writers that a config asks for."""
    writers = []
    if config.logging.tensorboard.enabled:
        from workbench.training.writers.tensorboard import TensorBoard

        writers.append(Writer("TensorBoard", TensorBoard(config.logging.tensorboard, run), say))
    section = config.logging.wandb
    if section.enabled:
        from workbench.training.writers.wandb import WeightsAndBiases

        sink = WeightsAndBiases(config, run)
        writers.append(
            Writer("W&B", sink, say, capacity=section.cache_size, every=section.log_freq)
        )
    return writers

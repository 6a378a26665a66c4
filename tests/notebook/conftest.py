"""Widgets on a recording wire: messages in and out are plain data; no kernel, no browser."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import comm
import numpy as np
import pytest

from workbench.runs import process
from workbench.runs.directory import list_runs
from workbench.runs.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workbench.notebook.base import Piece


class Sent(NamedTuple):
    """One custom message: what it says, and its arrays."""

    content: dict[str, Any]
    buffers: list[bytes]

    def arrays(self) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
        return [np.frombuffer(each) for each in self.buffers]


class Wire:
    """What widgets have published, and a view to speak to them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.seq = 0

    def say(self, widget: Piece, kind: str, view: str = "view", **facts: Any) -> list[Sent]:
        """Send a message as a view does; returns the answers."""
        self.seq += 1
        before = len(self.sent)
        widget._handle_custom_msg({"type": kind, "view": view, "seq": self.seq} | facts, [])
        return self.sent[before:]

    def of(self, kind: str) -> list[Sent]:
        return [each for each in self.sent if each.content["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        return self.of(kind)[-1].content


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Every widget of the test publishes here, and is closed at its end."""
    import ipywidgets

    found = Wire()

    class Recorder(comm.DummyComm):
        def publish_msg(
            self, _type: str, data: Any = None, _metadata: Any = None, buffers: Any = None,
            **_: Any,
        ) -> None:  # fmt: skip
            if data and data.get("method") == "custom":
                found.sent.append(Sent(data["content"], [bytes(each) for each in buffers or ()]))

    monkeypatch.setattr(comm, "create_comm", Recorder)
    yield found
    ipywidgets.Widget.close_all()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of one's own; runs that are left in it are ended."""
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for run in list_runs(tmp_path / "runs"):
        holder = process.Identity.from_dict(read_json(run.lock_path))
        if holder:
            process.send_signal(holder.pid, holder.start_ticks, signal.SIGKILL)
        process.end_all(lambda run=run: process.marked(run.path), grace=0)  # type: ignore[misc]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Callable[[Piece, int], None]:
    """Widgets whose thread sleeps: the test looks for news by itself, `still(widget, count)`."""
    from workbench.notebook.base import Piece as Base

    monkeypatch.setattr(Base, "_tick", lambda _self: None)

    def look(widget: Piece, count: int) -> None:
        widget._look(count)

    return look

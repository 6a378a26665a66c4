"""Runs are ended after every test, whatever happened in it."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.runs.fakes import make_run
from workbench.runs import process
from workbench.runs.control import start, wait_for_end
from workbench.runs.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workbench.runs.directory import RunDir


@pytest.fixture(autouse=True)
def line_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of a test wait for each other only, and leave nothing in the user's home."""
    state = tmp_path / "state"
    monkeypatch.setenv("AVA_STATE_DIR", str(state))
    return state


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., RunDir]]:
    """Makes runs that are ended after the test."""
    made: list[RunDir] = []

    def make_one(name: str = "r", **options: Any) -> RunDir:
        made.append(make_run(tmp_path, name, **options))
        return made[-1]

    yield make_one
    for each in made:
        end(each)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    """A run that was not started yet."""
    made = make_run(tmp_path)
    yield made
    end(made)


def end(run: RunDir) -> None:
    holder = process.Identity.from_dict(read_json(run.lock_path))
    if holder:
        process.send_signal(holder.pid, holder.start_ticks, signal.SIGKILL)
    process.end_all(lambda: process.marked(run.path), grace=0)


@pytest.fixture
def trained(run: RunDir) -> Callable[..., RunDir]:
    """Starts the run with a trainer and waits for its end."""

    def train(command: list[str], grace: float | None = None) -> RunDir:
        start(run, command=command, grace=grace)
        assert not wait_for_end(run, 120).alive
        return run

    return train


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; skipped where mounting is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)

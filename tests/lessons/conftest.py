"""Real runs that the tests of lessons share: trained once in a session, whatever its workers."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MINI
from workbench.lessons.evidence import RunEvidence, Work
from workbench.lessons.learn import Learn
from workbench.lessons.reading import read_lesson
from workbench.lessons.workspace import Workspace

DATA = Path(__file__).parent / "data"
TINY = DATA / "90-tiny.md"
STEPS = 20

# name -> what it has otherwise than the first
RUNS: dict[str, dict[str, object]] = {
    "honest": {},
    "other-seed": {"run.seed": 7},
    "other-rate": {"learning_rate": 0.01},
}


def small(**changes: object) -> dict[str, object]:
    """A model that trains in milliseconds, as keys of a launch."""
    keys: dict[str, object] = {**MINI, "max_steps": STEPS, "eval_steps": 10, "save_steps": 10}
    return keys | {"warmup_steps": 2, "logging_steps": 1} | changes


def learner(folder: Path) -> Learn:
    """The lesson for tests in a workspace of its own."""
    return Learn(read_lesson(TINY), Workspace.open(folder))


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Whether this process is the first to come here; the others wait until it has left."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".done"
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "lessons"


@pytest.fixture(scope="session")
def trained(shared: Path) -> Workspace:
    """A workspace with the runs of `RUNS`; do not change it."""
    folder = shared / "trained"
    with once(folder) as first:
        learn = learner(folder)
        if first:
            text = folder / "text.txt"
            text.write_text("".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(400)))
            for name, changes in RUNS.items():  # all at once: most of it is the start of torch
                keys = small(**{"data.path": str(text), **changes})
                learn.launch(name, "lesson", wait=False, **keys)
            for name in RUNS:
                assert learn.wait(name).finished, learn.run(name)
    return learn.workspace


@pytest.fixture
def copied(trained: Workspace, tmp_path: Path) -> Callable[..., RunEvidence]:
    """A copy of a trained run in a workspace of this test, to be changed."""

    def copy(name: str = "honest", to: str | None = None) -> RunEvidence:
        workspace = Workspace.open(tmp_path)
        target = workspace.runs / (to or name)
        shutil.copytree(trained.runs / name, target)
        found = Work(workspace, "tiny").run(target.name)
        assert found is not None
        return found

    return copy

"""Launch, stop, kill, relaunch in any order: no process and no lock is left behind."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.amounts import times
from tests.runs.conftest import end
from tests.runs.fakes import LAUNCHER, eventually, make_run, trainer
from workbench.errors import RunError
from workbench.runs import process
from workbench.runs.control import pause, start, stop, wait_for_end
from workbench.runs.directory import RunDir, delete_run
from workbench.runs.files import read_json
from workbench.runs.labels import rename_run
from workbench.runs.queue import line_folder
from workbench.runs.status import RESUMABLE, verdict

# Obedient, deaf, quick, crashing; with a child of its own in another session.
KINDS = {
    "obedient": "signal.signal(signal.SIGTERM, lambda *_: os._exit(75))\nrow(1, loss=1)\nwait()",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nrow(1, loss=1)\nwait()",
    "quick": "row(1, loss=1)",
    "crashing": "row(1, loss=1)\nraise ValueError",
    "parent": (
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)\nrow(1, loss=1)\nwait()"
    ),
    "ranks": LAUNCHER
    + "def stop(*_):\n    ending('stopped')\n    os._exit(0)\n"
    + "signal.signal(signal.SIGTERM, stop)\nrow(1, loss=1)\nwait()",
}


# Of one process or of two: it is said in the file too.
FINISH = """
row(3, loss=1)
(run / f"attempts/{attempt:04d}/ending.json").write_text('{"outcome": "finished"}')
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunDir]]:
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    made: list[RunDir] = []
    yield made
    for run in made:
        end(run)


def act(run: RunDir, chance: random.Random) -> None:
    """Do something to a run that a person, a machine or bad luck might do."""
    state = verdict(run)
    acts: list[Callable[[], object]] = [
        lambda: stop(run),
        lambda: stop(run, now=True),
        lambda: pause(run),
        lambda: kill(int(read_json(run.lock_path).get("pid", 0)), run),
        lambda: kill(state.pid or 0, run),
        lambda: (
            [kill(pid, run) for pid in chance.sample(there, 1)]
            if (there := [*process.marked(run.path)])
            else None
        ),
        lambda: launch(run, chance),
        lambda: launch(run, chance),
    ]
    chance.choice(acts)()


def kill(pid: int, run: RunDir) -> None:
    mine = process.marked(run.path).keys() | {int(read_json(run.lock_path).get("pid", 0))}
    identity = process.identify(pid) if pid in mine else None
    if identity is not None and pid != os.getpid():
        process.send_signal(identity.pid, identity.start_ticks, signal.SIGKILL)


def launch(run: RunDir, chance: random.Random) -> None:
    kind = chance.choice(list(KINDS))
    command = trainer(KINDS[kind])
    try:
        start(run, command=command, grace=0.05, back_off=(0.05,), queue=chance.random() < 0.3)
    except RunError as error:
        assert "running already" in error.what, error.render()  # noqa: PT017


def scenario(runs: list[RunDir], folder: Path, number: int, chance: random.Random) -> None:
    two = {"parallel": {"devices_per_node": 2}} if chance.random() < 0.3 else {}
    run = make_run(folder, f"r{number}", run={"max_restarts": chance.choice([0, 2])}, **two)
    runs.append(run)
    launch(run, chance)
    for _ in range(chance.randrange(2, 6)):
        time.sleep(chance.random() * 0.15)
        act(run, chance)
    stop(run, now=chance.random() < 0.5)
    state = wait_for_end(run, 120)
    assert not state.alive, state
    # A supervisor that was killed leaves its trainer SIGTERM and no more: the next start ends it.
    if process.marked(run.path):
        start(run, command=trainer(FINISH), grace=0.05, queue=False)
        assert wait_for_end(run, 120).state == "finished"
    eventually(lambda: not process.marked(run.path))
    assert process.is_locked(run.lock_path) is False
    assert verdict(run).state in (*RESUMABLE, "finished")
    start(run, command=trainer(FINISH), grace=0.05, queue=False)
    assert wait_for_end(run, 120).state == "finished", "it can always go on"
    renamed = rename_run(run, f"renamed{number}")
    runs[-1] = renamed
    delete_run(renamed)
    runs.pop()
    assert not list((folder / "runs").iterdir())
    assert not list(line_folder().glob("*.json"))


@pytest.mark.parametrize(
    "count", [4, pytest.param(times(50), marks=pytest.mark.slow)], ids=["four", "fifty"]
)
def test_scenarios(runs: list[RunDir], tmp_path: Path, count: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"\nseed {seed}")
    chance = random.Random(seed)
    for number in range(count):
        scenario(runs, tmp_path, number, chance)

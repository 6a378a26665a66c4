"""Launch, stop, kill, at every moment, through the real face: nothing is orphaned, all is found.

Three scenarios belong to the usual run; AVA_LONG=1 makes all fifty, which take some minutes.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.tui.driving import screen_text, see, until
from tests.tui.terminal import AVA_TUI, Terminal
from tests.tui.tmux import wait
from workbench import plan
from workbench.runs import process
from workbench.runs.control import wait_for_end
from workbench.runs.directory import open_run
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.status import verdict
from workbench.tui import acts
from workbench.tui.app import AvaTui

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

    from workbench.runs.directory import RunDir

DEEDS = (
    "stop", "kill", "stop, then kill", "trainer dies", "supervisor dies", "leave and come back",
    "face dies", "face dies while it launches", "stop, resume, kill", "stop in a new face",
)  # fmt: skip
MOMENTS = ("at once", "ready", "training")
ENDS = {
    "stop": {"stopped"},
    "kill": {"stopped"},
    "stop, then kill": {"stopped"},
    "trainer dies": {"failed"},
    "supervisor dies": {"vanished"},
    "leave and come back": {"stopped"},
    "face dies": {"stopped"},
    "face dies while it launches": {"stopped"},
    "stop, resume, kill": {"stopped"},
    "stop in a new face": {"stopped"},
}
LONG = os.environ.get("AVA_LONG") == "1"
_DEADLINE = 120.0


class Scenario(NamedTuple):
    """What is done to a run, and when."""

    number: int
    deed: str
    moment: str
    delay: float


def scenarios() -> list[Scenario]:
    """Fifty, the same every time: each deed at each moment, the rest by chance."""
    dice = random.Random(7)
    every = [(deed, moment) for deed in DEEDS for moment in MOMENTS]
    every += [(dice.choice(DEEDS), dice.choice(MOMENTS)) for _ in range(50 - len(every))]
    return [
        Scenario(number, deed, moment, dice.random() * 0.3)
        for number, (deed, moment) in enumerate(every)
    ]


USUAL = {(deed, "at once") for deed in ("kill", "supervisor dies", "face dies while it launches")}


def chosen() -> list[Scenario]:
    """All, or one of each of the usual ones."""
    if LONG:
        return scenarios()
    return [each for each in scenarios()[: len(DEEDS) * len(MOMENTS)] if each[1:3] in USUAL]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: Path) -> Iterator[Path]:
    """A private folder in which every recipe is a small model that would train for hours.

    No run outlives the test, also when that has failed.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")

    def make_plan(_recipe: str, runs_dir: Path) -> plan.Plan:
        changes = {
            "run.runs_dir": str(runs_dir),
            "training.max_steps": "1000000",
            "data.path": str(corpus),
            "run.max_restarts": "0",  # a trainer that dies is to stay dead
        }
        return plan.plan_from("lesson", overrides=changes)

    monkeypatch.setattr(acts, "make_plan", make_plan)
    monkeypatch.setattr(acts, "fits", lambda *_: ("▸", "brand"))
    yield tmp_path
    for path in (tmp_path / "runs").glob("*/"):
        run = open_run(tmp_path / "runs", path.name)
        end_supervisor(run)
        process.end_all(lambda run=run: process.marked(run.path), grace=0.0)  # type: ignore[misc]


def the_run(folder: Path) -> RunDir:
    return open_run(folder / "runs", "it")


def reached(run: RunDir, moment: str) -> bool:
    """Whether the run has come to this moment, or ended before."""
    if moment == "at once":
        return bool(run.attempts())
    follower = Follower(run, cached=False)
    follower.poll()
    there = follower.ready is not None if moment == "ready" else follower.step >= 3
    return there or not verdict(run).alive


async def launch(pilot: Pilot[Any]) -> None:
    """Start the run with the keys."""
    await see(pilot, "Launch", "RECIPES", "One step")
    await pilot.press("enter")
    await see(pilot, "Name of the run")
    await pilot.press(*"it", "enter")


async def ask_to_stop(pilot: Pilot[Any], run: RunDir, *, now: bool) -> None:
    """Stop or kill it with the keys, if it is still alive."""
    if not verdict(run).alive:
        return
    await pilot.press("f5")
    # The key is there as soon as the list knows that the run is live; it may end meanwhile.
    await until(
        pilot,
        lambda: "s stop" in screen_text(pilot.app) or not verdict(run).alive,  # type: ignore[arg-type]
        "the key",
    )
    if not verdict(run).alive:
        return
    await pilot.press("s")
    await see(pilot, "Stop and save")
    await pilot.press("k" if now else "enter")
    await until(pilot, lambda: verdict(run).state != "running")


def end_supervisor(run: RunDir) -> None:
    holder = process.Identity.from_dict(read_json(run.lock_path))
    if holder is not None and process.is_alive(holder):
        os.kill(holder.pid, signal.SIGKILL)


def end_trainer(run: RunDir) -> None:
    trainer = run.trainer(run.attempts()[-1])
    if trainer is not None and process.is_alive(trainer):
        with contextlib.suppress(ProcessLookupError):
            os.kill(trainer.pid, signal.SIGKILL)


async def in_the_face(scenario: Scenario, folder: Path) -> None:
    """Launch and act in one face, or in a second one."""
    deed = scenario.deed
    async with AvaTui("runs").run_test(size=(120, 40)) as pilot:
        await launch(pilot)
        await until(pilot, (folder / "runs" / "it" / "run.json").exists, "the run")
        run = the_run(folder)
        await until(pilot, lambda: reached(run, scenario.moment), scenario.moment)
        await pilot.pause(scenario.delay)
        if deed in ("stop", "stop, then kill", "stop, resume, kill"):
            await ask_to_stop(pilot, run, now=False)
        if deed in ("kill", "stop, then kill"):
            await ask_to_stop(pilot, run, now=True)
        if deed == "trainer dies":
            end_trainer(run)
        if deed == "supervisor dies":
            end_supervisor(run)
        if deed == "stop, resume, kill":
            await until(pilot, lambda: not verdict(run).alive, "the stop")
            attempts = len(run.attempts())
            await pilot.press("f5")
            await see(pilot, "r resume")
            await pilot.press("r")
            await until(pilot, lambda: len(run.attempts()) > attempts, "the next attempt")
            await see(pilot, "attempt 2")
            await ask_to_stop(pilot, run, now=True)
    if deed in ("leave and come back", "stop in a new face"):
        assert verdict(run).alive, "a run goes on without the face"
        async with AvaTui("runs").run_test(size=(120, 40)) as pilot:
            await see(pilot, "1 live")
            await ask_to_stop(pilot, run, now=deed == "leave and come back")


def with_a_killed_face(scenario: Scenario, folder: Path) -> None:
    """The face is a process of its own, and dies by SIGKILL."""
    if scenario.deed == "face dies while it launches":
        with Terminal(AVA_TUI, columns=120, rows=40, cwd=folder) as face:
            face.see(b"tiny_cpu", b"Launch ")
            face.send(b"\r")
            face.see(b"Name of the run")
            face.send(b"it\r")
            wait((folder / "runs" / "it").exists, lambda: "the folder of the run")
            os.kill(face.pid, signal.SIGKILL)
            face.wait()
        run = the_run(folder)
        wait(
            lambda: process.is_locked(run.lock_path) or not run.attempts(),
            lambda: "a run that is there or never was",
        )
    else:
        acts.launch("lesson", "it", folder / "runs")
        run = the_run(folder)
        wait(lambda: reached(run, scenario.moment), lambda: scenario.moment, deadline=_DEADLINE)
        with Terminal(AVA_TUI, columns=120, rows=40, cwd=folder) as face:
            face.see(b"1 live")
            time.sleep(scenario.delay)
            os.kill(face.pid, signal.SIGKILL)
            face.wait()
        assert verdict(run).alive
    with Terminal(AVA_TUI, columns=120, rows=40, cwd=folder) as face:
        face.see(b"it")
        os.kill(face.pid, signal.SIGKILL)
        face.wait()
    acts.stop("it", folder / "runs", now=True)


@pytest.mark.parametrize(
    "scenario", chosen(), ids=lambda each: f"{each.number}-{each.deed}-{each.moment}"
)
async def test_nothing_is_orphaned(scenario: Scenario, folder: Path) -> None:
    if scenario.deed.startswith("face dies"):
        with_a_killed_face(scenario, folder)
    else:
        await in_the_face(scenario, folder)
    run = the_run(folder)
    end = wait_for_end(run, _DEADLINE)
    wait(lambda: not process.marked(run.path), lambda: f"the end of {process.marked(run.path)}")
    assert process.is_locked(run.lock_path) is False
    assert not end.alive
    assert verdict(run).state in ENDS[scenario.deed], verdict(run)

"""The other pages of a run: predicted beside measured, samples, the system, the log, notes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tui import rundirs
from tests.tui.driving import check, see, until
from workbench.runs import process
from workbench.runs.directory import open_run
from workbench.runs.files import atomic_write_json
from workbench.runs.follow import Follower
from workbench.runs.labels import notes
from workbench.runs.predicted import Beside, beside
from workbench.tui.app import AvaTui
from workbench.tui.pages.watch import figure, spark
from workbench.usage import Sample, Usage

if TYPE_CHECKING:
    from tests.tui.conftest import FakePlan
    from workbench.runs.directory import RunDir

SIZES = ((80, 24), (120, 40))
ESTIMATE = {
    "speed": {
        "tokens_per_second": {"low": 9_000.0, "likely": 12_000.0, "high": 15_000.0},
        "step_seconds": {"low": 0.27, "likely": 0.34, "high": 0.45},
    },
    "memory": {"allocated": 2**28, "reserved": None, "process": 2**29},
    "bill": {
        "hours": {"low": 0.03, "likely": 0.04, "high": 0.06},
        "dollars": {"low": 0.06, "likely": 0.08, "high": 0.12},
    },
}


def predicted_run(runs: Path) -> RunDir:
    """A finished run with a prediction."""
    run = rundirs.make_run(runs, "known")
    atomic_write_json(run.estimate_path, ESTIMATE)
    rundirs.finish(run)
    return run


def test_figures_stand_beside_each_other(tmp_path: Path) -> None:
    run = predicted_run(tmp_path)
    follower = Follower(run)
    follower.poll()
    found = {each.name: each for each in beside(run, follower)}
    assert found["speed"].measured == 12_300.0
    assert found["speed"].error == pytest.approx(12_000 / 12_300 - 1)
    assert found["speed"].within is True
    assert found["time"].predicted == pytest.approx(144)
    assert found["time"].measured == pytest.approx(151.2)
    assert found["cost"].measured == pytest.approx(151.2 / 3600 * 2.0)
    assert found["tensors"].measured is None
    assert found["tensors"].error is None


def test_a_live_run_is_extrapolated(tmp_path: Path) -> None:
    run = rundirs.make_run(tmp_path, "live", steps=20)
    follower = Follower(run)
    follower.poll()
    found = {each.name: each for each in beside(run, follower)}
    assert found["time"].measured == pytest.approx(0.333 * 400)
    assert found["time"].predicted is None
    assert found["cost"].measured is None


@pytest.mark.parametrize("content", ["", "[]", '{"speed": 3, "bill": null, "memory": []}', "{"])
def test_a_damaged_prediction_is_none(tmp_path: Path, content: str) -> None:
    run = rundirs.make_run(tmp_path, "x", steps=0)
    run.estimate_path.write_text(content)
    assert all(each.predicted is None for each in beside(run, Follower(run)))


def test_a_process_of_the_run_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = rundirs.make_run(tmp_path, "x", steps=0)
    monkeypatch.setattr(process, "marked", lambda *_: {os.getpid(): 0})
    usage = Usage(run)
    first = usage.sample()
    assert first.processes == 1
    assert first.cores != first.cores  # nothing to compare with yet
    until_then = time.process_time() + 0.05
    while time.process_time() < until_then:
        pass
    second = usage.sample()
    assert second.cores > 0
    assert second.memory > 2**20
    assert second.free_disk > 0


def test_a_process_that_has_just_ended_costs_nothing(tmp_path: Path) -> None:
    usage = Usage(rundirs.make_run(tmp_path, "x", steps=0))
    assert usage._stat(2**22 + 1) == (0.0, 0)
    assert usage._io(2**22 + 1) == (0, 0)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(None, "s", "–"), (3 * 2**20, "bytes", "3 MiB"), (0.25, "s", "0.25 s"), (0.001, "$", "$0.001"),
     (75.0, "s", "1 min 15 s"), (12_300.0, "tokens/s", "12.3 k"), (float("nan"), "s", "–")],
)  # fmt: skip
def test_figures_in_words(value: float | None, unit: str, words: str) -> None:
    assert figure(value, unit) == words


def test_bars() -> None:
    assert spark([0, 1, 2, 4], 4) == "▁▃▅█"
    assert spark([float("nan"), 3], 9) == "█"
    assert spark([], 5) == ""
    assert spark([0, 0], 5) == "▁▁"


def test_an_error_is_a_share_of_what_was_measured() -> None:
    assert Beside("x", "s", 2.0, 1.0, 3.0, 4.0, "").error == -0.5
    assert Beside("x", "s", 2.0, 1.0, 3.0, 4.0, "").within is False
    assert Beside("x", "s", 2.0, None, None, 0.0, "").error is None


@pytest.mark.parametrize("size", SIZES)
async def test_pages(
    fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = predicted_run(runs_dir)
    for step in (50, 100):
        (run.samples_dir / f"step-{step:08d}.txt").write_text(rundirs.SAMPLE)

    def sample(self: Usage) -> Sample:
        seen = Sample(time.monotonic(), 2, 1.5, 2**29, 0.0, 2**20, 2**33, 2**36, (("H100", 2, 4),))
        self.samples.append(seen)
        return seen

    monkeypatch.setattr(Usage, "sample", sample)
    async with AvaTui().run_test(size=size) as pilot:
        await see(pilot, "tokens per step", "known")
        await pilot.press("w", "enter")
        await see(pilot, "All 400 steps are done")
        for key, name, words in (
            ("p", "figures", ("Predicted", "median")),
            ("g", "samples", ("At step 100", "At step 50")),
            ("u", "system", ("cores busy", "H100")),
        ):
            await pilot.press(key)
            check(f"watch-{name}-{size[0]}x{size[1]}", await see(pilot, *words))
        await pilot.press("i")
        check(f"twins-{size[0]}x{size[1]}", await see(pilot, "ava runs show known"))
        await pilot.press("escape", "u")
        await see(pilot, "smoothed 0.9")


async def test_a_note_is_kept_and_shown(fake_plan: FakePlan, runs_dir: Path) -> None:
    run = predicted_run(runs_dir)
    async with AvaTui().run_test(size=(100, 30)) as pilot:
        await see(pilot, "tokens per step", "known")
        await pilot.press("w", "n")
        await see(pilot, "what I have seen")
        await pilot.press(*"odd", "enter")
        await until(pilot, lambda: bool(notes(run)))
        await pilot.press("p")
        await see(pilot, "Predicted", "odd")
    assert notes(open_run(runs_dir, "known"))[0]["note"] == "odd"


async def test_the_whole_log_is_followed_at_its_end(fake_plan: FakePlan, runs_dir: Path) -> None:
    run = predicted_run(runs_dir)
    async with AvaTui().run_test(size=(100, 30)) as pilot:
        await see(pilot, "tokens per step", "known")
        await pilot.press("w", "enter", "o")
        await see(pilot, "step  400")
        with run.log_path.open("a") as log:
            log.write("one line more\n")
        await see(pilot, "one line more")
        await pilot.press("tab", "home")
        await see(pilot, "step    1 ")

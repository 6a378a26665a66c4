"""What the screens show, compared with text snapshots at the two sizes that matter most."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.tui import rundirs
from tests.tui.driving import check, screen_text, see, until
from workbench.tui.app import AvaTui

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tui.conftest import FakePlan

SIZES = ((80, 24), (120, 40))


def _name(what: str, size: tuple[int, int]) -> str:
    return f"{what}-{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", SIZES)
async def test_recipe(fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]) -> None:
    async with AvaTui().run_test(size=size) as pilot:
        shown = await see(pilot, "tokens per step", "none yet")
        check(_name("recipe", size), shown)


@pytest.mark.parametrize("size", SIZES)
async def test_recipe_with_a_mistake(
    fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]
) -> None:
    async with AvaTui().run_test(size=size) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("down")
        shown = await see(pilot, "did you mean batch_size?")
        check(_name("recipe-mistake", size), shown)
        assert "Traceback" not in shown


@pytest.mark.parametrize("size", SIZES)
async def test_live_run(fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]) -> None:
    run = rundirs.make_run(runs_dir, "live", steps=164)
    lock = rundirs.hold(run)
    try:
        async with AvaTui().run_test(size=size) as pilot:
            await see(pilot, "tokens per step", "running  41%")
            await pilot.press("w", "enter")
            shown = await see(pilot, "step 164 of 400", "esc list")
            check(_name("run-live", size), shown)
            await pilot.press("o")
            shown = await see(pilot, "step  164  loss")
            check(_name("run-log", size), shown)
    finally:
        os.close(lock)


@pytest.mark.parametrize("size", SIZES)
async def test_ended_runs(fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]) -> None:
    rundirs.make_run(runs_dir, "a-vanished", steps=90)
    nan = {
        "kind": "TrainingError",
        "what": "the loss is nan at step 60: nothing was updated",
        "fix": "--learning_rate 1e-3",
    }
    rundirs.fail(rundirs.make_run(runs_dir, "b-diverged", steps=60, nan_at=60), nan)
    rundirs.fail(rundirs.make_run(runs_dir, "c-no-data", steps=0), rundirs.ERROR)
    rundirs.stop(rundirs.make_run(runs_dir, "d-stopped", steps=120))
    rundirs.finish(rundirs.make_run(runs_dir, "e-finished"))
    async with AvaTui().run_test(size=size) as pilot:
        await see(pilot, "tokens per step", "e-finished", "a-vanished")
        await pilot.press("down")
        for name, words in (
            ("finished", ("All 400 steps are done", "1.8421", "5.5452 untrained")),
            ("stopped", ("After step 120 of 400", "r resume")),
            ("failed-early", ("What went wrong", "are binary")),
            ("failed-late", ("What went wrong", "the loss is nan at step 60")),
            ("vanished", ("Ended after step 90", "r resume")),
        ):
            await pilot.press("down")
            shown = await see(pilot, *words)
            check(_name(f"run-{name}", size), shown)


@pytest.mark.parametrize("size", SIZES)
async def test_help_and_dialogs(fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]) -> None:
    run = rundirs.make_run(runs_dir, "live", steps=10)
    lock = rundirs.hold(run)
    try:
        async with AvaTui().run_test(size=size) as pilot:
            await see(pilot, "tokens per step", "1 live")
            await pilot.press("question_mark")
            check(_name("help", size), await see(pilot, "In the list"))
            await pilot.press("escape", "enter")
            check(_name("launch", size), await see(pilot, "Name of the run"))
            await pilot.press("escape", "w")
            await see(pilot, "step 10 of 400")
            await pilot.press("s")
            check(_name("stop", size), await see(pilot, "Stop and save"))
            await pilot.press("escape", "q")
            check(_name("quit", size), await see(pilot, "goes on without ava-tui"))
    finally:
        os.close(lock)


async def test_ascii_is_ascii(fake_plan: FakePlan, runs_dir: Path) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    async with AvaTui(plain=True).run_test(size=(80, 24)) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("w", "enter")
        shown = await see(pilot, "All 400 steps are done", "smoothed 0.9")
        check("ascii-80x24", shown)
        assert shown.isascii()
        await pilot.press("question_mark")
        assert (await see(pilot, "In the list")).isascii()


async def test_without_colours_none_are_sent(
    fake_plan: FakePlan, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    app = AvaTui()
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("w")
        await see(pilot, "All 400 steps are done")
        for strip in app.screen._compositor.render_strips():
            for line_filter in app.get_line_filters():
                segments = line_filter.apply(list(strip), app.screen.background_colors[1])
                assert all(
                    not s.style or (s.style.color or s.style.bgcolor) is None for s in segments
                )


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 2), (20, 5), (40, 10), (500, 12), (30, 200)])
async def test_any_size_is_survived(
    fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]
) -> None:
    rundirs.fail(rundirs.make_run(runs_dir, "failed", steps=30), rundirs.ERROR)
    async with AvaTui().run_test(size=(80, 24)) as pilot:
        await see(pilot, "tokens per step", "failed")
        await pilot.resize_terminal(*size)
        await pilot.press("down", "down", "enter", "o", "o", "f", "question_mark", "escape")
        await pilot.resize_terminal(80, 24)
        await see(pilot, "What went wrong")


async def test_the_curve_is_wide_enough_in_a_small_terminal(
    fake_plan: FakePlan, runs_dir: Path
) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    app = AvaTui()
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("w", "enter")
        await until(pilot, lambda: "└" in screen_text(app), "the axis")
        axis = next(line for line in screen_text(app).splitlines() if "└" in line)
        assert len(axis.split("└")[1]) >= 60

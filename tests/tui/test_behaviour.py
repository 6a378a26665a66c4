"""What the keys do: launch, watch, stop, resume, look closer, leave."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.tui import rundirs
from tests.tui.driving import screen_text, see, until
from workbench import plan
from workbench.errors import RunError
from workbench.runs import control
from workbench.runs.directory import delete_run
from workbench.runs.files import atomic_write_json
from workbench.runs.writer import MetricWriter
from workbench.tui import keymap, look
from workbench.tui.app import AvaTui
from workbench.tui.screens.main import Main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tui.conftest import FakePlan

SIZE = (100, 30)


@pytest.fixture
def locks() -> Iterator[list[int]]:
    held: list[int] = []
    yield held
    for lock in held:
        os.close(lock)


async def test_launch_shows_the_new_run(
    fake_plan: FakePlan, runs_dir: Path, locks: list[int]
) -> None:
    def started(name: str | None) -> Any:
        run = rundirs.make_run(runs_dir, name or "made-up", steps=20)
        locks.append(rundirs.hold(run))
        return run

    fake_plan.then = started
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("enter")
        await see(pilot, "Name of the run")
        await pilot.press(*"first", "enter")
        await see(pilot, "step 20 of 400", "● running  first", "1 live")
    assert fake_plan.launches == [("first", ["ava", "train", "tiny_cpu"])]


async def test_launch_uses_the_given_folder(fake_plan: FakePlan, runs_dir: Path) -> None:
    fake_plan.then = lambda _: rundirs.make_run(runs_dir / "deep", "x", steps=1)
    async with AvaTui("runs/deep").run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("enter")
        await see(pilot, "Name of the run")
        await pilot.press("enter")
        await see(pilot, "x")
        await until(pilot, lambda: bool(fake_plan.launches))
    command = ["ava", "train", "tiny_cpu", "--run.runs_dir", "runs/deep"]
    assert fake_plan.launches == [(None, command)]


async def test_a_launch_that_fails_says_why(fake_plan: FakePlan, runs_dir: Path) -> None:
    def refused(_: str | None) -> Any:
        raise RunError("there is already a run named x", where="runs/x", fix="another name")

    fake_plan.then = refused
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("enter")
        await see(pilot, "Name of the run")
        await pilot.press("x", "enter")
        await see(pilot, "That did not work", "already a run named x", "another name")
        await pilot.press("enter")
        await until(pilot, lambda: "That did not work" not in screen_text(pilot.app))


async def test_a_fault_of_our_own_is_a_message_too(fake_plan: FakePlan, runs_dir: Path) -> None:
    def broken(_: str | None) -> Any:
        raise ZeroDivisionError("of all things")

    fake_plan.then = broken
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("enter")
        await see(pilot, "Name of the run")
        await pilot.press("enter")
        shown = await see(pilot, "That did not work", "of all things")
        assert "Traceback" not in shown


async def test_escape_launches_nothing(fake_plan: FakePlan, runs_dir: Path) -> None:
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("enter")
        await see(pilot, "Name of the run")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Main))
    assert fake_plan.launches == []


async def test_a_broken_recipe_is_not_launched(fake_plan: FakePlan, runs_dir: Path) -> None:
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("down")
        await see(pilot, "did you mean batch_size?")
        await pilot.press("enter")
        await see(pilot, "That did not work")


@pytest.mark.parametrize(("key", "now"), [("enter", False), ("k", True), ("escape", None)])
async def test_stop(
    fake_plan: FakePlan,
    runs_dir: Path,
    locks: list[int],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    now: bool | None,  # noqa: FBT001
) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(control, "stop", lambda run, *, now: asked.append((run.name, now)))
    locks.append(rundirs.hold(rundirs.make_run(runs_dir, "live", steps=50)))
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "1 live")
        await pilot.press("s")  # a recipe is chosen: nothing to stop
        assert isinstance(pilot.app.screen, Main)
        await pilot.press("w")
        await see(pilot, "step 50 of 400")
        await pilot.press("s")
        await see(pilot, "Stop and save")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, Main))
        await until(pilot, lambda: len(asked) == (now is not None))
    assert asked == ([] if now is None else [("live", now)])


async def test_resume(fake_plan: FakePlan, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(control, "start", lambda run: started.append(run.name))
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    rundirs.stop(rundirs.make_run(runs_dir, "halted", steps=70))
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "halted")
        await pilot.press("w")
        await see(pilot, "After step 70 of 400: saved on request")
        await pilot.press("r")
        await until(pilot, lambda: started == ["halted"])
        await pilot.press("down")
        await see(pilot, "All 400 steps are done")
        await pilot.press("r")
        await pilot.pause()
    assert started == ["halted"]


async def test_a_run_started_elsewhere_appears_grows_and_ends(
    fake_plan: FakePlan, runs_dir: Path, locks: list[int]
) -> None:
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        run = rundirs.make_run(runs_dir, "elsewhere", steps=30)
        locks.append(rundirs.hold(run))
        await see(pilot, "elsewhere", "1 live")
        await pilot.press("w")
        await see(pilot, "step 30 of 400")
        metrics = MetricWriter(run.metrics_path(1))
        metrics.write({"step": 31, "t": 0.0, "loss": 2.5})
        metrics.close()
        await see(pilot, "step 31 of 400", "2.5000")
        rundirs.fail(run, rundirs.ERROR)
        os.close(locks.pop())
        await see(pilot, "What went wrong", "no text to train on")
        await until(pilot, lambda: "1 live" not in screen_text(pilot.app))
        delete_run(run)
        await see(pilot, "none yet")


async def test_a_resumed_run_replaces_the_steps_it_trains_again(
    fake_plan: FakePlan, runs_dir: Path
) -> None:
    run = rundirs.make_run(runs_dir, "twice", steps=100)
    rundirs.stop(run)
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "twice")
        await pilot.press("w")
        await see(pilot, "After step 100")
        run.attempt_dir(2).mkdir()
        metrics = MetricWriter(run.metrics_path(2))
        for step in range(81, 85):
            metrics.write({"step": step, "t": 0.0, "loss": 9.0})
        metrics.close()
        atomic_write_json(run.attempt_dir(2) / "exit.json", {"code": 75, "signal": None, "t": 0})
        await see(pilot, "After step 84", "9.0000", "attempt 2")
        seen = pilot.app.screen._snapshot
        assert seen.losses.size == seen.smoothed.size == 84


async def test_log_scale_smoothing_and_zoom(fake_plan: FakePlan, runs_dir: Path) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    async with AvaTui().run_test(size=(120, 40)) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("w")
        await see(pilot, "smoothed 0.9")
        await pilot.press("y")
        await see(pilot, "loss, log scale")
        await pilot.press("right_square_bracket")
        await see(pilot, "smoothed 0.95")
        await pilot.press(*["left_square_bracket"] * 9)
        await until(pilot, lambda: "smoothed 0" not in screen_text(pilot.app))
        await pilot.press("plus", "plus")
        await see(pilot, "newest 1/4")
        await pilot.press(*["minus"] * 5)
        await until(pilot, lambda: "newest" not in screen_text(pilot.app))


async def test_leaving_with_a_live_run_says_that_it_goes_on(
    fake_plan: FakePlan, runs_dir: Path, locks: list[int]
) -> None:
    locks.append(rundirs.hold(rundirs.make_run(runs_dir, "live", steps=5)))
    app = AvaTui()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "1 live")
        await pilot.press("q")
        await see(pilot, "goes on without ava-tui")
        await pilot.press("enter")
        await until(pilot, lambda: not app.is_running)
    assert app.live_runs == ["live"]


async def test_leaving_without_one_just_leaves(fake_plan: FakePlan, runs_dir: Path) -> None:
    app = AvaTui()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_the_mouse_works_too(fake_plan: FakePlan, runs_dir: Path) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    async with AvaTui().run_test(size=(80, 24)) as pilot:
        shown = await see(pilot, "tokens per step", "done")
        lines = shown.splitlines()
        row = next(index for index, line in enumerate(lines) if "✓ done" in line)
        await pilot.click(offset=(5, row))
        await see(pilot, "All 400 steps are done")
        footer = screen_text(pilot.app).splitlines()[23]
        await pilot.click(offset=(footer.index("open"), 23))
        await see(pilot, "esc list")


async def test_a_folder_that_cannot_be_read_is_a_message(
    fake_plan: FakePlan, runs_dir: Path
) -> None:
    runs_dir.write_text("this is a file")  # noqa: ASYNC240
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "That did not work", "the folder of runs cannot be read")
        await pilot.press("enter")
        polls = pilot.app.screen.reader.looks
        await until(
            pilot, lambda: pilot.app.screen.reader.looks > polls + 6
        )  # said once, not at each look
        assert isinstance(pilot.app.screen, Main)


async def test_damaged_files_end_nothing(fake_plan: FakePlan, runs_dir: Path) -> None:
    odd = rundirs.make_run(runs_dir, "odd", steps=30)
    rundirs.finish(odd)
    atomic_write_json(odd.summary_path, {"seconds": "soon", "loss": [1], "untrained_loss": {}})
    worse = rundirs.make_run(runs_dir, "worse", steps=30)
    rundirs.fail(worse, {"kind": 7, "what": ["not", "text"], "where": 3, "why": {}, "fix": 1.5})
    with worse.metrics_path(1).open("ab") as file:
        file.write(b'\xff\xfe garbage \x1b[2J\n{"step": 31, "loss": 1.0')
    worse.log_path.write_bytes(b"\x1b[31mred\x1b[0m \xff\xfe\n" + b"x" * 100_000)
    async with AvaTui().run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "worse", "odd")
        await pilot.press("w")
        await see(pilot, "worse", "not")
        await pilot.press("o")
        await see(pilot, "xxxx")
        await pilot.press("o", "down")
        await see(pilot, "All 30 steps are done.")


async def test_light_and_dark(fake_plan: FakePlan, runs_dir: Path) -> None:
    app = AvaTui(theme=look.LIGHT)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step")
        assert app.theme == look.LIGHT
        for theme in (look.CONTRAST, look.DARK, look.LIGHT):
            await pilot.press("t")
            assert app.theme == theme


async def test_an_idle_screen_is_not_drawn_again(
    fake_plan: FakePlan, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    app = AvaTui()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("w")
        await see(pilot, "All 400 steps are done")
        await pilot.pause()
        drawn: list[object] = []
        monkeypatch.setattr(app, "_display", lambda *args: drawn.append(args))
        polls = app.screen.reader.looks
        await until(pilot, lambda: app.screen.reader.looks > polls + 8)
        assert drawn == []


def test_every_key_has_an_action_and_a_line_of_help() -> None:
    for key in keymap.KEYS:
        name = key.action.partition("(")[0]
        assert hasattr(Main, f"action_{name}"), key
        assert key.help, key
    for facts in (
        {"recipe", "list"},
        {"run", "live", "list"},
        {"run", "ended", "resumable", "full"},
    ):
        shown = keymap.footer(frozenset(facts))
        keys = [key.keys[0] for key in shown]
        assert len(keys) == len(set(keys))
        width = sum(len(keymap.shown(key.keys[0])) + len(key.label) + 3 for key in shown)
        assert width <= 80


FEATURED = [item for item in plan.recipes() if item.featured]


@pytest.mark.parametrize("item", FEATURED, ids=lambda item: item.name)
async def test_every_recipe_of_the_list_opens(runs_dir: Path, item: plan.Recipe) -> None:
    app = AvaTui()
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, item.name)
        app.screen.choices.choose("recipe", item.name)
        shown = await see(pilot, item.title, "tokens per step")
        assert " error " not in shown

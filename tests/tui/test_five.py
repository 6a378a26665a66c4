"""The five places, jump mode, the tour, and keys changed inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tui import rundirs
from tests.tui.driving import check, screen_text, see, until
from tests.tui.lessons import quick
from workbench.tui import keymap, own_keys
from workbench.tui.app import AvaTui
from workbench.tui.screens import tour
from workbench.tui.screens.build import Build
from workbench.tui.screens.charts import Charts
from workbench.tui.screens.jump import labels
from workbench.tui.screens.learn import Learn
from workbench.tui.screens.main import Main

if TYPE_CHECKING:
    from tests.tui.conftest import FakePlan
    from tests.tui.lessons import QuickKernel

__all__ = ["quick"]  # the fixture
SIZES = ((80, 24), (120, 40))
SIZE = (100, 30)


@pytest.fixture(autouse=True)
def own_folder(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, keys and state of a test stay in it."""
    for name in own_keys.PLACES.values():
        monkeypatch.setattr(keymap, name, getattr(keymap, name))
    for place in (Main, Build, Charts, Learn):
        monkeypatch.setattr(place, "TABLE", place.TABLE)
        monkeypatch.setattr(place, "BINDINGS", place.BINDINGS)
        monkeypatch.setattr(place, "_merged_bindings", place._merged_bindings)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(runs_dir.absolute().parent / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(runs_dir.absolute().parent / "state"))


async def test_each_place_has_its_key_and_says_where_one_is(
    runs_dir: Path,
    quick: QuickKernel,
) -> None:
    for number in range(2):
        rundirs.finish(rundirs.make_run(runs_dir, f"run-{number}"))
    app = AvaTui(workspace="mine")
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "tiny_cpu", "run-1")
        for key, kind, place in (
            ("f2", Learn, "learn"), ("f3", Build, "build"), ("f6", Charts, "compare"),
            ("f5", Main, "watch"), ("f3", Build, "build"), ("f4", Main, "launch"),
            ("1", Learn, "learn"), ("5", Charts, "compare"), ("4", Main, "watch"),
            ("2", Build, "build"),
        ):  # fmt: skip
            await pilot.press(key)
            await until(pilot, lambda kind=kind: isinstance(app.screen, kind), f"{kind} by {key}")
            assert app.screen.place == place  # type: ignore[attr-defined]
            first = screen_text(app).splitlines()[0]
            assert all(name in first for name in ("Learn", "Build", "Launch", "Watch", "Compare"))
            assert len(app.screen_stack) <= 2


async def test_edits_wait_in_build(runs_dir: Path) -> None:
    app = AvaTui()
    async with app.run_test(size=(140, 40)) as pilot:
        await see(pilot, "tiny_cpu")
        await pilot.press("e")
        await see(pilot, "One step")
        assert app.screen.form.choose("training.max_steps")  # type: ignore[attr-defined]
        await pilot.press("plus")
        await see(pilot, "1 edit")
        await pilot.press("f4")
        await see(pilot, "RECIPES")
        await pilot.press("f3")
        await see(pilot, "1 edit")
        await pilot.press("f4", "down", "e")
        await see(pilot, "holds another plan with 1 edit")
        await pilot.press("enter")
        await see(pilot, "1 edit")
        await pilot.press("f4", "down", "e")
        await see(pilot, "holds another plan")
        await pilot.press("n")
        await see(pilot, "Build", "as it is")


async def test_without_runs_there_is_nothing_to_watch_or_compare(
    fake_plan: FakePlan, runs_dir: Path
) -> None:
    app = AvaTui()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("f5")
        await see(pilot, "no run yet")
        await pilot.press("f6")
        await see(pilot, "two runs are needed")
        assert isinstance(app.screen, Main)


@pytest.mark.parametrize("size", SIZES)
async def test_jump(fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]) -> None:
    rundirs.finish(rundirs.make_run(runs_dir, "done"))
    app = AvaTui()
    async with app.run_test(size=size) as pilot:
        await see(pilot, "tokens per step", "done")
        await pilot.press("ctrl+o")
        await see(pilot, "aF2")
        shown = screen_text(app)
        check(f"jump-{size[0]}x{size[1]}", shown)
        line = next(line for line in shown.splitlines() if "✓ done" in line)
        await pilot.press(line[0] if line[0] != " " else line[1])
        await see(pilot, "All 400 steps are done")
        assert "aF2" not in screen_text(app)
        await pilot.press("ctrl+o", "escape")
        await until(pilot, lambda: isinstance(app.screen, Main))
        assert "aF2" not in screen_text(app)


async def test_jump_to_a_key_in_build(runs_dir: Path) -> None:
    app = AvaTui()
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "tiny_cpu")
        await pilot.press("e")
        await see(pilot, "One step")
        await pilot.press("ctrl+o")
        shown = await see(pilot, "aa2 Learn")
        line = next(line for line in shown.splitlines() if "hidden_size" in line)
        await pilot.press(*line.strip()[:2])
        await until(pilot, lambda: app.screen.form.chosen == "model.hidden_size")  # type: ignore[attr-defined]


def test_labels_are_short_and_never_the_beginning_of_another() -> None:
    assert labels(3) == ["a", "s", "d"]
    many = labels(100)
    assert len(set(many)) == 100
    assert {len(each) for each in many} == {2}


@pytest.mark.parametrize("size", SIZES)
async def test_the_tour_is_five_lines_and_comes_once(
    fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]
) -> None:
    app = AvaTui(tour=True)
    async with app.run_test(size=size) as pilot:
        shown = await see(
            pilot, "Welcome", "any key goes on", "data.path" if size[1] > 24 else "batch_size"
        )
        check(f"tour-{size[0]}x{size[1]}", shown)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Main))
    assert tour.file().exists()


def test_the_first_start_is_known_by_a_file() -> None:
    import workbench.tui as face

    assert face._is_first_start()
    tour.remember()
    assert not face._is_first_start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_state_that_cannot_be_written_does_no_harm(runs_dir: Path) -> None:
    home = Path(os.environ["XDG_STATE_HOME"])
    home.mkdir()
    home.chmod(0o500)
    tour.remember()
    assert not tour.file().exists()


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_is_changed_inside(
    fake_plan: FakePlan, runs_dir: Path, size: tuple[int, int]
) -> None:
    app = AvaTui()
    async with app.run_test(size=size) as pilot:
        await see(pilot, "tokens per step", "none yet")
        await pilot.press("K")
        await see(pilot, "Another key for")
        await pilot.press(*"themehigh"[:5])
        await see(pilot, "high contrast")
        await pilot.press("enter")
        await see(pilot, "waiting for a key")
        await pilot.press("q")
        shown = await see(pilot, "is given to", "press another one")
        check(f"change-keys-{size[0]}x{size[1]}", shown)
        before = app.theme
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, Main))
        await pilot.press("f9")
        await until(pilot, lambda: app.theme != before, "another theme")
        now = app.theme
        await pilot.press("t")
        await pilot.pause()
        assert app.theme == now
    assert own_keys.file().read_text() == 'list:\n  "theme": "f9"\n'


def test_changes_are_added_to_a_file_with_comments() -> None:
    path = own_keys.file()
    path.parent.mkdir(parents=True)
    path.write_text("# mine\nbuild:\n  undo: f9  # as I like it\n")
    own_keys.take_over()
    own_keys.give("build", "panel('yaml')", "f10")
    own_keys.give("list", "widen #2", "f11")
    text = path.read_text()
    assert text.startswith("# mine\nbuild:\n  undo: f9  # as I like it\n")
    own_keys.take_over()
    assert {key.action: key.keys for key in keymap.BUILD_KEYS}["panel('yaml')"] == ("f10",)

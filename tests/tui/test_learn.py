"""Learn: the list, the reader, cells that run, edits that stay, a kernel that dies."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tui.driving import check, screen_text, see, until
from tests.tui.lessons import quick
from workbench.lessons import find
from workbench.tui import learner
from workbench.tui.app import AvaTui
from workbench.tui.screens.build import Build
from workbench.tui.screens.learn import Learn
from workbench.tui.screens.reader import Reader
from workbench.tui.study import Study

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from tests.tui.conftest import FakePlan
    from tests.tui.lessons import QuickKernel

__all__ = ["quick"]  # the fixture
SIZES = ((80, 24), (120, 40))
SIZE = (100, 34)


@pytest.fixture(autouse=True)
def place(runs_dir: Path, quick: QuickKernel) -> Path:
    """The learner's folder."""
    del quick
    return runs_dir.absolute().parent / "mine"


@asynccontextmanager
async def reading(
    place: Path, section: int = 0, size: tuple[int, int] = SIZE
) -> AsyncIterator[tuple[Pilot[Any], Study]]:
    """The first lesson, open."""
    app = AvaTui("runs", workspace=str(place), lesson="first")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Reader), "the reader")
        study = app.places.study
        assert study is not None
        for _ in range(section):
            await pilot.press("right")
        await pilot.pause()
        yield pilot, study


async def ran(pilot: Pilot[Any], study: Study) -> None:
    """Wait until nothing runs any more."""
    await until(pilot, lambda: not study.busy, "the end of the cells")
    await until(pilot, lambda: not pilot.app.screen._stale, "the page")  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
async def test_the_list(place: Path, fake_plan: FakePlan, size: tuple[int, int]) -> None:
    app = AvaTui("runs", workspace="/learner")
    async with app.run_test(size=size) as pilot:
        await see(pilot, "tokens per step")
        await pilot.press("f2")
        shown = await see(pilot, "BASICS", "The second lesson", "not attempted")
        check(f"learn-{size[0]}x{size[1]}", shown)


@pytest.mark.parametrize("size", SIZES)
async def test_a_section(place: Path, size: tuple[int, int]) -> None:
    async with reading(place, 1, size) as (pilot, study):
        shown = await see(pilot, "A first number", "Guess", "2 of 3")
        check(f"lesson-{size[0]}x{size[1]}", shown)
        await pilot.press("enter")
        await ran(pilot, study)
        await pilot.press("tab", "tab", "enter")
        await ran(pilot, study)
        check(f"lesson-ran-{size[0]}x{size[1]}", await see(pilot, "there is no answer"))
        await pilot.press("shift+tab", "e")
        check(f"lesson-edit-{size[0]}x{size[1]}", await see(pilot, "keep and run"))


async def test_a_cell_runs_after_the_set_up_and_shows_what_it_prints(
    place: Path,
    quick: QuickKernel,
) -> None:
    async with reading(place, 1) as (pilot, study):
        await pilot.press("enter")
        await ran(pilot, study)
        await see(pilot, "5.545", "done")
        assert [text.splitlines()[0] for text in quick.ran] == [
            "from workbench.lessons import lesson",
            "import math",
        ]
        await pilot.press("r")
        await ran(pilot, study)
        assert len(quick.ran) == 3  # the set-up cell runs once


async def test_an_answer_passes_the_check_and_is_kept(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        await pilot.press("tab", "e")
        await see(pilot, "keep and run")
        field = pilot.app.screen.field  # type: ignore[attr-defined]
        field.text = 'answer = "a"'
        await pilot.press("f9")
        await ran(pilot, study)
        assert study.cells["answer"].source == 'answer = "a"'
        await pilot.press("tab", "enter")
        await ran(pilot, study)
        await see(pilot, "passed", "1/1 checks", "exercise, edited")
    notebook = json.loads((place / "01-first.ipynb").read_text())
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    assert sources["answer"] == 'answer = "a"'
    again = Study(find("first"), place)
    again.load()
    assert again.cells["answer"].source == 'answer = "a"'
    assert learner.shown(again.cells["guessed"].outputs[0]).startswith("✓")
    assert again.passed == (1, 1)


async def test_escape_keeps_an_edit_and_x_takes_it_back(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        await pilot.press("tab", "e")
        await see(pilot, "keep and run")
        await pilot.press("x", "enter", "y", "escape")
        await see(pilot, "exercise, edited")
        assert study.cells["answer"].source.startswith("x\ny")
        await pilot.press("x")
        await see(pilot, "is gone then")
        await pilot.press("enter")
        await until(pilot, lambda: not study.is_edited("answer"))


async def test_keys_of_the_lesson_are_letters_while_a_cell_is_edited(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        await pilot.press("tab", "e")
        await see(pilot, "keep and run")
        await pilot.press(*"qnpt12", "escape")
        assert isinstance(pilot.app.screen, Reader)
        assert study.cells["answer"].source.startswith("qnpt12")
        assert study.section == 1


async def test_a_running_cell_is_interrupted(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        study.cells["guess"].source = "sleep"
        await pilot.press("R")
        await see(pilot, "asleep", "runs")
        await pilot.press("i")
        await ran(pilot, study)
        shown = await see(pilot, "stopped", "KeyboardInterrupt")
        assert "waits" not in shown
        assert study.cells["guessed"].status == "idle"


async def test_an_error_ends_the_queue_and_shows_the_line(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        study.cells["guess"].source = "wrong"
        await pilot.press("R")
        await ran(pilot, study)
        await see(pilot, "---> 1 wrong", "NameError: no wrong")
        assert study.cells["answer"].status == "idle"


async def test_a_dead_kernel_is_said_and_the_next_cell_starts_anew(
    place: Path,
    quick: QuickKernel,
) -> None:
    async with reading(place, 1) as (pilot, study):
        study.cells["guess"].source = "die"
        await pilot.press("enter")
        await ran(pilot, study)
        await see(pilot, "has died", "the kernel has ended")
        assert quick.closed == 1
        study.cells["guess"].source = "print(math.log(256))"
        await pilot.press("enter")
        await ran(pilot, study)
        shown = await see(pilot, "5.545", "● kernel")
        assert "has died" not in shown
        assert quick.ran[-2].startswith("from workbench")  # the set-up cell, again


async def test_updates_and_clears_are_followed(place: Path) -> None:
    async with reading(place, 1) as (pilot, study):
        for text, last in (("again", "two"), ("clean", "new")):
            study.cells["guess"].source = text
            await pilot.press("enter")
            await ran(pilot, study)
            assert [learner.shown(each) for each in study.cells["guess"].outputs] == [last]


async def test_another_place_is_visited_while_a_cell_runs(
    place: Path,
    quick: QuickKernel,
    fake_plan: FakePlan,
) -> None:
    async with reading(place, 1) as (pilot, study):
        study.cells["guess"].source = "sleep"
        await pilot.press("enter")
        await see(pilot, "asleep")
        await pilot.press("f4")
        await see(pilot, "RECIPES")
        assert study.busy
        quick.interrupted.set()
        await until(pilot, lambda: not study.busy)
        await pilot.press("f2")
        await see(pilot, "A first number", "asleep", "stopped")
    assert quick.closed == 1  # the kernel ends with the face


async def test_leaving_a_lesson_leads_to_the_list_and_back_out(
    place: Path, fake_plan: FakePlan
) -> None:
    async with reading(place) as (pilot, _):
        await pilot.press("escape")
        await see(pilot, "BASICS")
        assert isinstance(pilot.app.screen, Learn)
        await pilot.press("down")
        await see(pilot, "lesson 2", "after")
        await pilot.press("enter")
        await see(pilot, "2  The second lesson")
        await pilot.press("left_curly_bracket")
        await see(pilot, "1  The first lesson")
        await pilot.press("q")
        await see(pilot, "BASICS")
        await pilot.press("q")
        await see(pilot, "RECIPES")


async def test_sections_by_keys_and_from_the_list(place: Path) -> None:
    async with reading(place) as (pilot, study):
        await pilot.press("n")
        await see(pilot, "2 of 3")
        await pilot.press("c")
        await see(pilot, "Sections", "0/1 checks")
        await pilot.press("down", "enter")
        await see(pilot, "3 of 3", "training.max_steps")
        await pilot.press("n")
        assert study.section == 2
        await pilot.press("p", "p")
        await see(pilot, "1 of 3", "Words with code")


async def test_everything_goes_with_the_mouse(place: Path) -> None:
    async with reading(place, size=(100, 40)) as (pilot, study):

        async def click(words: str, nth: int = 0) -> None:
            await see(pilot, words)
            lines = screen_text(pilot.app).splitlines()  # type: ignore[arg-type]
            at = [(line.find(words), row) for row, line in enumerate(lines) if words in line]
            await pilot.click(offset=(at[nth][0] + 1, at[nth][1]))

        await click("→  A first number")
        await see(pilot, "2 of 3")
        await click("Run")
        await ran(pilot, study)
        await see(pilot, "5.545")
        await click("Is it right?")
        assert pilot.app.screen.page.chosen == "guessed"  # type: ignore[attr-defined]
        await click(" Check")
        await ran(pilot, study)
        await see(pilot, "there is no answer")
        await click("← Back")
        await see(pilot, "1 of 3")
        await click("Learn ")
        await click(" back")
        await click("The second lesson")
        await click("enter  Open")
        await see(pilot, "2  The second lesson")


async def test_a_hint_at_a_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = ["look at the loss", "it is a"]
    count = 0

    def hints(*_: object, more: bool) -> tuple[list[str], int]:
        nonlocal count
        count = min(count + more, len(every))
        return every[:count], len(every) - count

    monkeypatch.setattr(learner, "hints", hints)
    async with reading(place, 1) as (pilot, _):
        await pilot.press("tab", "tab", "h")
        shown = await see(pilot, "hint 1:  look at the loss")
        assert "it is a" not in shown
        await pilot.press("h")
        await see(pilot, "hint 2:  it is a", "that was the last hint")


async def test_a_config_opens_in_build(place: Path) -> None:
    async with reading(place, 2) as (pilot, study):
        study.cells["config"].source = (
            "%%config first.yaml --training.batch_size 4\nextends: gpu/tiny\n"
            "training:\n  max_steps: 20\n"
        )
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, Build), "Build")
        draft = pilot.app.places.draft  # type: ignore[attr-defined]
        assert draft.value("training.max_steps") == 20
        assert draft.value("training.batch_size") == 4
        assert draft.value("run.runs_dir") == str(place / "runs")
    assert (place / "work" / "first" / "first.yaml").read_text().startswith("extends")


async def test_a_config_that_is_no_yaml_is_said(place: Path) -> None:
    async with reading(place, 2) as (pilot, study):
        study.cells["config"].source = "%%config first.yaml\ntraining: [1\n"
        await pilot.press("b")
        await see(pilot, "That did not work", "first.yaml")


async def test_a_lesson_that_is_not_there_is_said(place: Path, fake_plan: FakePlan) -> None:
    app = AvaTui("runs", workspace=str(place), lesson="nothing")
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "That did not work", "there is no lesson 'nothing'")


def learner_text(path: Path) -> str:
    """What stands in a file."""
    return path.read_text()


@pytest.fixture
def damaged(place: Path) -> Path:
    """A notebook that is none."""
    place.mkdir(parents=True)
    path = place / "01-first.ipynb"
    path.write_text("{")
    return path


async def test_a_damaged_notebook_is_said_and_left_alone(
    place: Path, fake_plan: FakePlan, damaged: Path
) -> None:
    app = AvaTui("runs", workspace=str(place), lesson="first")
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "notebook cannot be read", "move it away")
    assert learner_text(damaged) == "{"


async def test_edits_made_elsewhere_are_there(place: Path) -> None:
    study = Study(find("first"), place)
    study.edit("answer", "answer = 1")
    assert study.trouble is None
    path = place / "01-first.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["id"] == "guess":
            cell["source"] = ["print(1)\n", "print(2)"]
    notebook["cells"].append({"cell_type": "markdown", "id": "own", "metadata": {}, "source": "x"})
    path.write_text(json.dumps(notebook))
    study.edit("answer", "answer = 2")
    again = Study(find("first"), place)
    again.load()
    assert again.cells["guess"].source == "print(1)\nprint(2)"
    assert again.cells["answer"].source == "answer = 2"
    assert json.loads(path.read_text())["cells"][-1]["id"] == "own"


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 10), (300, 12), (30, 100)])
async def test_any_size_is_survived(place: Path, size: tuple[int, int]) -> None:
    async with reading(place, 1) as (pilot, _):
        await pilot.resize_terminal(*size)
        await pilot.press("tab", "e", "x", "enter", "escape", "n", "p", "question_mark", "escape")
        await pilot.resize_terminal(*SIZE)
        await see(pilot, "A first number")

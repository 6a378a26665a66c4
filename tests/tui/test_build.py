"""Build in the real application: keys, mouse, typing, and what follows from them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tui.driving import check, screen_text, see, until
from workbench import here as fits
from workbench import machine
from workbench.draft import Draft
from workbench.plan import plan_from
from workbench.tui.app import AvaTui
from workbench.tui.screens.build import Build
from workbench.tui.widgets.form import Form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

WIDE, NARROW = (140, 40), (80, 24)


@pytest.fixture(autouse=True)
def same_machine(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private folder, and a machine of the same size everywhere."""
    del runs_dir
    monkeypatch.setattr(machine, "total_memory", lambda: 16 * 2**30)


@asynccontextmanager
async def build(
    size: tuple[int, int] = WIDE, recipe: str = "tiny_cpu"
) -> AsyncIterator[tuple[Pilot[Any], Build]]:
    """Build with a recipe."""
    app = AvaTui("runs")
    async with app.run_test(size=size) as pilot:
        screen = Build(Draft(plan_from(recipe)))
        await app.push_screen(screen)
        await see(pilot, "Build", "hidden_size")
        yield pilot, screen


async def typed(pilot: Pilot[Any], words: str) -> None:
    """Type a text."""
    for letter in words:
        await pilot.press(
            {" ": "space", ".": "full_stop", "-": "minus", "_": "underscore"}.get(letter, letter)
        )


async def to(pilot: Pilot[Any], screen: Build, path: str) -> None:
    """Choose a key of the form."""
    assert screen.form.choose(path)
    await pilot.pause()


async def test_a_recipe_opens_in_build_and_comes_back() -> None:
    app = AvaTui("runs")
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "RECIPES")
        await pilot.press("e")
        await see(pilot, "Build", "One step")
        await pilot.press("escape")
        await see(pilot, "RECIPES")


async def test_the_estimate_follows_while_one_types() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("enter")
        await pilot.press("6")
        await see(pilot, "6 sequences × 1 accumulation", "↓")
        await pilot.press("4")
        await see(pilot, "64 sequences × 1 accumulation", "↑")
        await pilot.press("backspace", "2", "enter")
        await see(pilot, "62 sequences × 1 accumulation", "1 edit")
        assert screen.draft.undoable == ["training.batch_size = 62"]


async def test_escape_takes_back_what_was_typed() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("enter", "9", "escape")
        await see(pilot, "8 sequences × 1 accumulation", "as it is")
        assert screen.draft.edits == {}
        assert screen.query_one(Form).has_focus


async def test_escape_without_a_letter_typed_changes_nothing_before_it() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "enter", "escape")
        assert screen.draft.value("training.batch_size") == 16


async def test_a_value_that_is_none_is_said_at_once_and_undone() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("enter", "x")
        await see(pilot, "a value is none", "✗ batch_size")
        await pilot.press("enter", "u")
        await see(pilot, "✓ fits")
        assert not screen.draft.findings or screen.draft.config is not None


async def test_half_a_list_is_waited_for() -> None:
    async with build() as (pilot, screen):
        screen.building.all_keys = True
        screen.form.set_lines(screen.building.lines())
        await to(pilot, screen, "lora.target_modules")
        await pilot.press("enter", "left_square_bracket", "a")
        await pilot.press("right_square_bracket", "enter")
        assert screen.draft.value("lora.target_modules")


@pytest.mark.parametrize(
    ("key", "path", "value"),
    [
        ("space", "training.gradient_checkpointing", True),
        ("plus", "training.batch_size", 16),
        ("minus", "training.batch_size", 4),
        ("equals_sign", "training.learning_rate", 0.005),
        ("enter", "deepspeed.enabled", True),
    ],
)
async def test_one_key_edits(key: str, path: str, value: object) -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, path)
        await pilot.press(key)
        await pilot.pause()
        assert screen.draft.value(path) == pytest.approx(value)


async def test_choices_are_picked_from_a_list() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.optimizer")
        await pilot.press("enter")
        await see(pilot, "training.optimizer", "enter picks")
        await typed(pilot, "lion")
        await pilot.press("enter")
        await see(pilot, "was adamw")
        assert screen.draft.value("training.optimizer") == "lion"


async def test_undo_and_redo_over_many_edits() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.max_steps")
        for _ in range(6):
            await pilot.press("plus")
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus")
        for _ in range(7):
            await pilot.press("u")
        assert screen.draft.edits == {}
        for _ in range(7):
            await pilot.press("U")
        await until(pilot, lambda: screen.draft.value("training.max_steps") == 64000, "redo")


async def test_an_edit_is_taken_back_for_one_key() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.max_steps")
        await pilot.press("plus")
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "x")
        assert screen.draft.edits == {"training.max_steps": 2000}


async def test_search_finds_and_escape_ends_it() -> None:
    async with build() as (pilot, screen):
        await pilot.press("slash")
        await typed(pilot, "micro batch")
        await see(pilot, "found: micro batch", "gradient_accumulation_steps")
        await pilot.press("enter", "escape")
        await see(pilot, "hidden_size", "as it is")
        assert screen.building.words == ""


async def test_all_keys_and_back() -> None:
    async with build() as (pilot, screen):
        before = screen.form.count
        await pilot.press("a")
        assert screen.form.count > 500
        await pilot.press("end")
        await until(pilot, lambda: screen.form.scroll_y > 400, "the end of the form")
        await pilot.press("home", "a")
        assert screen.form.count == before


async def test_sections_are_jumped_to() -> None:
    async with build() as (pilot, screen):
        await pilot.press("right_curly_bracket")
        assert screen.form.chosen == "training.batch_size"
        await pilot.press("left_curly_bracket")
        assert screen.form.chosen == "model.hidden_size"


async def test_repairs_have_number_keys() -> None:
    async with build() as (pilot, screen):
        screen.draft.set("training.lr_scheduler", "cosin")
        screen.refresh_all()
        await see(pilot, "✗")
        await pilot.press("1")
        await see(pilot, "✓ fits")
        assert screen.draft.config is not None


async def test_the_global_batch_is_kept_with_one_key() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("minus", "g")
        await see(pilot, "4 sequences × 2 accumulation", "= 8 sequences")
        await pilot.press("plus", "plus", "g")
        await see(pilot, "cannot be kept")
        await pilot.press("escape")


async def test_another_card_is_planned_for() -> None:
    async with build() as (pilot, screen):
        await pilot.press("h")
        await see(pilot, "this machine", "enter picks")
        await typed(pilot, "h100_80gb")
        await pilot.press("enter")
        await see(pilot, "of 80 GiB", "tokens/s", "MFU")
        assert screen.draft.hardware is not None


async def test_make_it_fit_applies_a_plan() -> None:
    async with build() as (pilot, screen):
        screen.draft.put({"run.hardware": "v100_16gb", "training.batch_size": 4096})
        screen.refresh_all()
        await see(pilot, "✗ does not fit")
        await pilot.press("m")
        await see(pilot, "Plans that fit", "It sets")
        await pilot.press("enter")
        await see(pilot, "✓ fits")
        batch = screen.draft.value("training.batch_size")
        steps = screen.draft.value("training.gradient_accumulation_steps")
        assert batch * steps == 4096


async def test_what_if_shows_variants_and_takes_one() -> None:
    async with build() as (pilot, screen):
        await pilot.press("h")
        await typed(pilot, "a100_80gb")
        await pilot.press("enter", "w")
        await see(pilot, "What if", "as it is", "sequence")
        await typed(pilot, "512 tokens")
        await pilot.press("enter")
        await until(pilot, lambda: screen.draft.value("data.max_length") == 512, "the edit")


async def test_a_layer_is_laid_over_the_plan() -> None:
    async with build() as (pilot, screen):
        await pilot.press("i")
        await see(pilot, "Lay over the plan")
        await typed(pilot, "hardware/a100")
        await pilot.press("enter")
        await until(pilot, lambda: screen.draft.value("run.hardware") is not None, "the layer")
        await pilot.press("u")
        assert screen.draft.value("run.hardware") is None


async def test_panels_go_round_wide_and_narrow() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "d")
        await see(pilot, "What differs", "+ 16")
        await pilot.press("y")
        await see(pilot, "The plan as a layer", "batch_size: 16")
        await pilot.press("c")
        await see(pilot, "ava train tiny_cpu --training.batch_size 16")
        await pilot.press("c")
        await see(pilot, "One step")
    async with build(NARROW) as (pilot, screen):
        await pilot.press("tab")
        await see(pilot, "One step", "peak")
        await pilot.press("tab")
        await see(pilot, "What differs")
        await pilot.press("escape")
        await see(pilot, "hidden_size")


async def test_saving_writes_a_layer_and_never_over_a_file(tmp_path: Path) -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "s")
        await see(pilot, "Save as a layer")
        await typed(pilot, "mine")
        await pilot.press("enter")
        file = tmp_path / "mine.yaml"
        await until(pilot, file.exists, "the file")
        assert plan_from(layers=[str(file)]).typed == screen.draft.config
        before = file.read_text()
        await pilot.press("plus", "s")
        await see(pilot, "Save as a layer")
        await typed(pilot, "mine")
        await pilot.press("enter")
        await see(pilot, "there is a file of this name already")
        assert file.read_text() == before


async def test_leaving_with_edits_is_asked_for() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "escape")
        await see(pilot, "1 edit is nowhere but here")
        await pilot.press("escape")
        await see(pilot, "One step")
        await pilot.press("escape")
        await see(pilot, "nowhere but here")
        await pilot.press("q")
        await see(pilot, "RECIPES")


async def test_a_launch_says_first_what_will_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[tuple[str | None, list[str]]] = []

    class Run:
        name = "my-run"

    def launch(self: Draft, name: str | None = None) -> Run:
        launched.append((name, self.command()))
        return Run()

    monkeypatch.setattr(Draft, "launch", launch)
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        await pilot.press("plus", "l")
        await see(pilot, "where", "this machine", "1,000 steps", "writes")
        await typed(pilot, "mine")
        await pilot.press("enter")
        await until(pilot, lambda: bool(launched), "the launch")
        await see(pilot, "RECIPES")
    assert launched == [("mine", ["ava", "train", "tiny_cpu", "--training.batch_size", "16"])]


async def test_a_plan_with_errors_is_not_launched() -> None:
    async with build() as (pilot, screen):
        screen.draft.set("training.batch_size", "many")
        screen.refresh_all()
        await pilot.press("l")
        await see(pilot, "Not ready", "batch_size")
        await pilot.press("escape")


async def test_help_tells_every_key_and_f1_the_key() -> None:
    async with build() as (pilot, screen):
        await pilot.press("question_mark")
        await see(pilot, "plans that fit, the fastest first", "take the last edit back")
        await pilot.press("escape")
        await to(pilot, screen, "training.batch_size")
        await pilot.press("f1")
        await see(pilot, "Where the value comes from", "gpu/nano")
        await pilot.press("escape")


async def test_the_mouse_chooses_and_edits() -> None:
    async with build() as (pilot, screen):
        shown = screen_text(pilot.app).splitlines()
        row = next(i for i, line in enumerate(shown) if "batch_size" in line)
        await pilot.click(offset=(10, row))
        assert screen.form.chosen == "training.batch_size"
        await pilot.click(offset=(10, row))
        await see(pilot, "batch_size >")
        await pilot.press("escape")
        shown = screen_text(pilot.app).splitlines()
        footer = shown[-1]
        await pilot.click(offset=(footer.index("what if"), len(shown) - 1))
        await see(pilot, "enter picks")


async def test_a_resize_rearranges() -> None:
    async with build() as (pilot, _):
        await pilot.resize_terminal(80, 24)
        await see(pilot, "sequences = 2,048 tokens a step")
        await pilot.resize_terminal(140, 40)
        await see(pilot, "One step")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_pictures(size: tuple[int, int]) -> None:
    name = f"{size[0]}x{size[1]}"
    async with build(size) as (pilot, screen):
        await pilot.pause()
        check(f"build-{name}", await see(pilot, "hidden_size", "✓ fits"))
        await to(pilot, screen, "training.batch_size")
        await pilot.press("enter", "6")
        check(f"build-typing-{name}", await see(pilot, "6 sequences  was 8"))
        await pilot.press("enter", "h")
        check(f"build-hardware-{name}", await see(pilot, "enter picks"))
        await pilot.press("escape", "l")
        check(f"build-launch-{name}", await see(pilot, "writes"))


# ------------------------------------------------------------------ where the hardware is not here


async def test_hardware_that_is_not_here_offers_an_export(monkeypatch: pytest.MonkeyPatch) -> None:
    _is_a_cpu(monkeypatch)
    async with build() as (pilot, screen):
        screen.draft.use_hardware("h100_80gb")
        await pilot.press("l")
        shown = await see(pilot, "Not on this machine", "this machine has")
        assert "Launch here all the same" in shown
        await pilot.press("enter")
        await see(pilot, "Export to", "a Slurm batch script")
        await typed(pilot, "slurm")
        await pilot.press("enter")
        await see(pilot, "Export: slurm")
        await pilot.press("enter")
        await see(pilot, "Written", "Start it with")
        assert files("slurm-job")
        assert "runs" not in files(".")
        await pilot.press("escape", "l", "enter")
        await see(pilot, "Export to")
        await typed(pilot, "slurm")
        await pilot.press("enter", "enter")
        await see(pilot, "the file is there already")


async def test_it_can_be_launched_here_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _is_a_cpu(monkeypatch)
    async with build() as (pilot, screen):
        screen.draft.use_hardware("h100_80gb")
        await pilot.press("l", "l")
        await see(pilot, "planned for", "name of the run")


def files(folder: str) -> set[str]:
    """What is in a folder."""
    return {path.name for path in Path(folder).iterdir()}


def _is_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.hardware.devices import device

    here = replace(device("cpu"), memory_bytes=16 * 2**30)
    monkeypatch.setattr(fits, "_here", lambda: (here, 0))


def test_whether_this_machine_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _is_a_cpu(monkeypatch)
    assert fits.fits_here(plan_from("tiny_cpu")) is True
    assert fits.fits_here(plan_from("sixteen_gpus")) is False
    assert fits.fits_here(plan_from("single_h100")) is False
    large = {"model.hidden_size": "16384", "model.num_layers": "80", "model.head_dim": "null"}
    assert fits.fits_here(plan_from("tiny_cpu", overrides=large)) is False
    wrong = {"training.batch_size": "many"}
    assert fits.fits_here(plan_from("tiny_cpu", overrides=wrong)) is None


async def test_the_list_says_for_which_recipes_this_machine_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _is_a_cpu(monkeypatch)
    async with AvaTui("runs").run_test(size=WIDE) as pilot:
        await see(pilot, "✓ tiny_cpu", "✗ single_h100")


# ------------------------------------------------------------------ the mouse


async def test_a_mouse_changes_a_value_and_takes_it_back() -> None:
    async with build() as (pilot, screen):
        await to(pilot, screen, "training.batch_size")
        for words, value in (("+", 16), ("-", 8), ("-", 4), ("undo", 8)):
            await click(pilot, f" {words} ", "training.batch_size  a whole")
            await until(pilot, lambda v=value: screen.draft.value("training.batch_size") == v)  # type: ignore[misc]


async def test_everything_can_be_reached_with_the_mouse() -> None:
    async with build(NARROW) as (pilot, _screen):
        await click(pilot, ": more", ": more")
        await see(pilot, "What to do", "esc leaves")
        await click(pilot, "esc leaves", "esc leaves")
        await until(pilot, lambda: "What to do" not in screen_text(pilot.app))


async def click(pilot: Pilot[Any], words: str, line_with: str) -> None:
    """Click into the middle of words, in the line that has others too."""
    lines = screen_text(pilot.app).splitlines()
    row = next(number for number, line in enumerate(lines) if line_with in line)
    column = lines[row].rindex(words) + len(words) // 2
    await pilot.click(offset=(column, row))

"""The form and the panels as text, without a screen."""

from __future__ import annotations

import math

import pytest
from rich.cells import cell_len

from workbench.config.keys import keys
from workbench.draft import Draft
from workbench.plan import plan_from
from workbench.tui.building import Building
from workbench.tui.form import found, key_row, lines_of, section_row, stepped, value_text
from workbench.tui.pages.estimate import estimate_page, repairs, short_page
from workbench.tui.pages.key import brief_page, full_page


def text(rows: list[list[tuple[str, str]]]) -> str:
    """Rows as lines of text."""
    return "\n".join("".join(part for part, _ in row) for row in rows)


def building(recipe: str = "tiny_cpu") -> Building:
    """Build's state for a recipe."""
    return Building(Draft(plan_from(recipe)))


def test_a_section_has_one_heading() -> None:
    lines = lines_of(["training.batch_size", "training.seed", "data.path"])
    assert [line.path for line in lines if not line.is_key] == ["training", "data"]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("batch_size", "training.batch_size"),
        ("learning rate", "training.learning_rate"),
        ("train_micro_batch_size_per_gpu", "training.batch_size"),
        ("batch-size", "training.batch_size"),
        ("zero stage", "deepspeed.zero_stage"),
    ],
)
def test_a_search_finds_keys_by_name_spelling_and_meaning(words: str, path: str) -> None:
    assert path in found(words)


def test_names_come_before_meanings_and_nothing_is_found_twice() -> None:
    paths = found("warmup")
    assert "warmup" in paths[0]
    assert len(paths) == len(set(paths))
    assert found("no such thing at all") == []


@pytest.mark.parametrize("width", [20, 40, 56, 80, 120])
def test_every_row_has_the_width_of_the_form(width: int) -> None:
    state = building("production")
    for line in lines_of(keys()):
        row = (
            key_row(state.key(line.path), state.shown(line.path), width, chosen="!")
            if line.is_key
            else section_row(line.path, width)
        )
        assert sum(cell_len(part) for part, _ in row) == width, line.path


def test_an_edited_row_says_what_it_was() -> None:
    state = building()
    state.draft.set("training.batch_size", "12")
    row = text([key_row(state.key("training.batch_size"), state.shown("training.batch_size"), 90)])
    assert row.startswith(" ● batch_size")
    assert "12 sequences" in row
    assert "was 8" in row
    assert row.endswith("edits")


@pytest.mark.parametrize(
    ("path", "value", "up", "down"),
    [
        ("training.gradient_checkpointing", False, True, True),
        ("training.batch_size", 8, 16, 4),
        ("training.batch_size", 1, 2, 1),
        ("training.learning_rate", 1e-3, 2e-3, 5e-4),
        ("training.learning_rate", 4e-3, 5e-3, 2e-3),
        ("training.learning_rate", 1.0, 2.0, 0.5),
    ],
)
def test_values_turn(path: str, value: object, up: object, down: object) -> None:
    key = keys()[path]
    assert stepped(key, value, 1) == pytest.approx(up)
    assert stepped(key, value, -1) == pytest.approx(down)


def test_choices_go_round_and_bounds_hold() -> None:
    key = keys()["training.optimizer"]
    value = key.choices[0]
    for _ in key.choices:
        value = stepped(key, value, 1)
    assert value == key.choices[0]
    assert stepped(key, stepped(key, value, 1), -1) == value
    dropout = keys()["model.hidden_dropout"]
    assert stepped(dropout, 0.5, 1) in (0.5, 1.0)
    for path, each in keys().items():
        if each.type in ("integer", "number") and isinstance(each.default, int | float):
            for by in (1, -1):
                new = stepped(each, each.default, by)
                assert math.isfinite(new), path
                low = each.bounds.get("ge", -math.inf)
                assert low <= new <= each.bounds.get("le", math.inf), path


def test_values_are_shown_as_they_are_typed() -> None:
    shown = [value_text(each) for each in (None, True, "", "a b", 3, 0.004, [1, "x"])]
    assert shown == ["–", "on", "(empty)", "a b", "3", "0.004", "1, x"]


def test_what_is_shown_without_a_search_is_what_matters() -> None:
    state = building()
    few = [line.path for line in state.lines() if line.is_key]
    assert "training.batch_size" in few
    assert len(few) < 60
    state.all_keys = True
    assert len([line for line in state.lines() if line.is_key]) == len(keys())
    state.words = "lora"
    assert [line.path for line in state.lines() if line.is_key] == found("lora")


def test_the_estimate_page_says_what_matters_first() -> None:
    state = building()
    page = text(estimate_page(state.outlook)(60, 40))
    assert page.startswith("✓ fits")
    for words in ("weights", "optimizer", "peak", "One step", "2,048 tokens", "Findings"):
        assert words in page


def test_a_plan_that_does_not_fit_says_by_how_much() -> None:
    state = building()
    state.draft.put({"run.hardware": "v100_16gb", "training.batch_size": 65536})
    page = text(estimate_page(state.outlook)(70, 40))
    assert page.startswith("✗ does not fit")
    assert "too much" in page.splitlines()[0]
    assert "┃" in page.splitlines()[1]


def test_changes_since_the_last_edit_are_shown() -> None:
    state = building()
    state.remember()
    state.draft.set("training.batch_size", "16")
    page = text(estimate_page(state.outlook)(60, 40))
    assert "↑" in page
    state.remember()
    state.draft.set("training.batch_size", "4")
    assert "↓" in text(estimate_page(state.outlook)(60, 40))


def test_a_value_that_is_none_is_said_in_place_of_the_estimate() -> None:
    state = building()
    state.draft.set("training.batch_size", "many")
    assert "a value is none" in text(estimate_page(state.outlook)(60, 30))
    assert "✗" in text(short_page(state.outlook)(60, 4))
    assert state.shown("training.batch_size").worst == "error"


@pytest.mark.parametrize("width", [30, 60, 78, 100])
def test_the_short_page_has_four_rows(width: int) -> None:
    rows = short_page(building("production").outlook)(width, 4)
    assert len(rows) == 4
    assert all(sum(cell_len(part) for part, _ in row) <= width for row in rows)


def test_repairs_have_numbers_and_numbers_repair() -> None:
    state = building()
    state.draft.set("training.lr_scheduler", "cosin")
    listed = repairs(state.draft.findings)
    assert listed
    page = text(estimate_page(state.outlook)(60, 40))
    assert "1  " in page
    state.repair(1)
    assert state.draft.config is not None


def test_the_key_pages_say_where_a_value_comes_from() -> None:
    state = building("production")
    path = "training.batch_size"
    shown = state.shown(path)
    page = text(full_page(state.key(path), shown, state.about(path))(70, 40))
    assert "Where the value comes from" in page
    assert "train_micro_batch_size_per_gpu" in page
    brief = text(brief_page(state.key(path), shown, [])(70, 5))
    assert path in brief
    assert len(brief.splitlines()) <= 5


def test_the_panels_say_the_same_plan() -> None:
    state = building()
    state.draft.set("training.batch_size", "12")
    assert "training.batch_size" in text(state.panel("diff")(60, 20))
    assert "batch_size: 12" in text(state.panel("yaml")(60, 20))
    command = text(state.panel("command")(60, 20))
    assert "ava train tiny_cpu" in command
    assert "--training.batch_size 12" in command.replace("\n    ", " ")

"""What all places share: the palette, themes, own keys, help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tui.driving import see
from workbench.errors import UsageError
from workbench.tui import keymap, look, own_keys
from workbench.tui.app import AvaTui
from workbench.tui.screens.build import Build
from workbench.tui.screens.charts import Charts
from workbench.tui.screens.main import Main

TABLES = {"KEYS": Main, "BUILD_KEYS": Build, "CHART_KEYS": Charts}


@pytest.fixture(autouse=True)
def tables_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test changes in the tables is put back."""
    for name in TABLES:
        monkeypatch.setattr(keymap, name, getattr(keymap, name))


@pytest.mark.parametrize("name", TABLES)
def test_every_line_has_an_action_words_and_no_rival(name: str) -> None:
    table = getattr(keymap, name)
    for key in table:
        assert hasattr(TABLES[name], f"action_{key.action.partition('(')[0]}"), key
        assert key.help, key
    for number, key in enumerate(table):
        for other in table[number + 1 :]:
            rivals = set(key.keys) & set(other.keys)
            both = key.when <= other.when or other.when <= key.when
            assert not (rivals and both), (key, other)


@pytest.mark.parametrize("theme", [look.DARK, look.LIGHT, look.CONTRAST])
def test_text_has_contrast_in_every_theme(theme: str) -> None:
    def light(colour: Any) -> float:
        parts = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
            for c in (each / 255 for each in colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    grounds = {look.DARK: (14, 18, 25), look.LIGHT: (255, 255, 255), look.CONTRAST: (0, 0, 0)}
    ground = light(grounds[theme])
    quiet = {"faint", "axis", "raw", "button", "choice", "!", "~"}  # lines, and own backgrounds
    for name, style in look.styles(theme).items():
        if name in quiet or style.color is None or style.color.triplet is None:
            continue
        own = light(style.color.triplet)
        ratio = (max(own, ground) + 0.05) / (min(own, ground) + 0.05)
        least = 3.0 if name.startswith(("cat:", "run:")) else 4.5
        assert ratio >= least, (theme, name, ratio)


async def test_the_palette_does_what_a_key_does(runs_dir: Path) -> None:
    app = AvaTui(str(runs_dir))
    async with app.run_test(size=(100, 30)) as pilot:
        await see(pilot, "RECIPES")
        await pilot.press("ctrl+p")
        await see(pilot, "What to do", "high contrast")
        for letter in "contrast":
            await pilot.press(letter)
        await pilot.press("enter")
        await pilot.pause()
        assert app.theme == look.LIGHT


def test_the_printed_keys_are_a_file_that_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(own_keys.as_yaml())
    before = {name: getattr(keymap, name) for name in TABLES}
    own_keys.take_over(file)
    assert {name: getattr(keymap, name) for name in TABLES} == before


def test_a_key_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("build:\n  undo: f9\n  \"panel('yaml')\": [Y, f7]\n")
    own_keys.take_over(file)
    keys = {key.action: key.keys for key in keymap.BUILD_KEYS}
    assert keys["undo"] == ("f9",)
    assert keys["panel('yaml')"] == ("Y", "f7")
    assert any(binding.key == "f9" for binding in keymap.bindings(keymap.BUILD_KEYS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bulid:\n  undo: x\n", "no place"),
        ("build: 3\n", "no place"),
        ("build:\n  und: f9\n", "undo"),
        ("build:\n  undo: 'ä ö'\n", "no name of a key"),
        ("build:\n  undo: h\n", "given to"),
    ],
)
def test_a_mistake_in_the_file_is_said_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        own_keys.take_over(file)
    assert words in error.value.render()
    assert str(file) in error.value.render()


def test_no_file_changes_nothing(tmp_path: Path) -> None:
    own_keys.take_over(tmp_path / "none.yaml")

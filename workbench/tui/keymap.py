"""The one table of keys: dispatch, the footer and the help screen are all made from it."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding


class Key(NamedTuple):
    """One thing that a key does.

    Attributes:
        keys: The keys, first the one that is shown.
        action: The action of the main screen.
        label: Its word in the footer; not shown there when empty.
        help: Its line in the help screen.
        when: What must be true of the screen, of these: ``recipe`` or ``run`` (what is selected),
            ``live``, ``ended`` or ``resumable`` (the run), ``runs`` (there are some), ``full`` or
            ``list`` (whether the list is hidden).
        group: Heading in the help screen.
    """

    keys: tuple[str, ...]
    action: str
    label: str
    help: str
    when: frozenset[str] = frozenset()
    group: str = "Everywhere"


def _key(  # a line of the table
    keys: str, action: str, label: str, text: str, when: str = "", group: str = "Everywhere"
) -> Key:
    return Key(tuple(keys.split()), action, label, text, frozenset(when.split()), group)


_RUN, _LIST = "With a run", "In the list"

KEYS: tuple[Key, ...] = (
    _key("up k", "move(-1)", "", "one up", group=_LIST),
    _key("down j", "move(1)", "", "one down", group=_LIST),
    _key("w", "go('run')", "watch", "to the newest run", "recipe runs", _LIST),
    _key("l", "go('recipe')", "recipes", "to the recipes", "run list", _LIST),
    _key(
        "enter", "launch", "launch", "launch the recipe: it asks for a name first", "recipe", _LIST
    ),
    _key("enter", "widen", "open", "show the run in the full width", "run list", _LIST),
    _key("escape left", "back", "list", "back to the list", "full", _LIST),
    _key("s", "stop", "stop", "stop the run: it finishes the step and saves", "run live", _RUN),
    _key("r", "resume", "resume", "go on from the last checkpoint", "run resumable", _RUN),
    _key("o", "log", "log", "curve or log", "run", _RUN),
    _key("y", "scale", "scale", "linear or logarithmic loss", "run", _RUN),
    _key("right_square_bracket", "smooth(1)", "", "smooth the curve more", "run", _RUN),
    _key("left_square_bracket", "smooth(-1)", "", "smooth the curve less", "run", _RUN),
    _key("plus equals_sign", "zoom(1)", "", "look closer at the newest steps", "run", _RUN),
    _key("minus", "zoom(-1)", "", "look at more steps", "run", _RUN),
    _key("f", "widen", "wide", "hide the list, or show it again", "", "Everywhere"),
    _key("tab", "swap", "", "to the other side, to scroll there"),
    _key("t", "theme", "", "dark or light"),
    _key("question_mark f1", "help", "help", "this page"),
    _key("q ctrl+q ctrl+c", "quit", "quit", "leave; runs go on without ava-tui"),
    _key("ctrl+z", "suspend", "", "pause and go to the shell; fg comes back"),
)

_SHOWN = {
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "escape": "esc",
    "ctrl+c": "ctrl-c",
    "ctrl+q": "ctrl-q",
    "ctrl+z": "ctrl-z",
    "f1": "F1",
}


def shown(key: str) -> str:
    """A key as it is written on the keyboard."""
    return _SHOWN.get(key, key)


def bindings() -> list[Binding]:
    """The table as Textual bindings; a key with several lines tries them in order."""
    return [
        Binding(",".join(key.keys), f"screen.{key.action}", key.label, show=False) for key in KEYS
    ]


def footer(facts: frozenset[str]) -> list[Key]:
    """The keys to show when these facts hold."""
    return [key for key in KEYS if key.label and key.when <= facts]


def groups() -> dict[str, list[Key]]:
    """The whole table under its headings."""
    result: dict[str, list[Key]] = {}
    for key in KEYS:
        result.setdefault(key.group, []).append(key)
    return result

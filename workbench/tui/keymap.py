"""The one table of keys: dispatch, the footer and the help screen are all made from it."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding


class Key(NamedTuple):
    """One thing that a key does.

    Attributes:
        keys: The keys, first the one that is shown.
        action: The action of its screen; ``#`` stands for the key that was pressed.
        label: Its word in the footer; not shown there when empty.
        help: Its line in the help screen.
        when: What must be true of the screen. In the list: ``recipe`` or ``run`` (what is chosen),
            ``comparable`` (two are marked), ``live``, ``ended`` or ``resumable`` (the run),
            ``runs`` (there are some), ``full`` or ``list`` (whether the list is hidden).
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


_PLACES = "Places"

_EVERYWHERE: tuple[Key, ...] = (
    _key("f2 1", "goto('learn')", "", "Learn: the lessons", group=_PLACES),
    _key("f3 2", "goto('build')", "", "Build: change a plan", group=_PLACES),
    _key("f4 3", "goto('launch')", "", "Launch: the recipes", group=_PLACES),
    _key("f5 4", "goto('watch')", "", "Watch: the runs", group=_PLACES),
    _key("f6 5", "goto('compare')", "", "Compare: runs over each other", group=_PLACES),
    _key("ctrl+o", "jump", "", "a letter at everything that can be pressed", group=_PLACES),
    _key("ctrl+p colon", "palette", "", "everything that can be done here, by its words"),
    _key("t", "theme", "", "dark, light, high contrast"),
    _key("K", "change_keys", "", "other keys for what can be done here"),
)
"""What every place can do."""


def _everywhere(*, digits: bool = True) -> tuple[Key, ...]:
    """The same; without the digits where they do something else."""
    return tuple(
        key._replace(keys=tuple(name for name in key.keys if digits or not name.isdigit()))
        for key in _EVERYWHERE
    )


_RUN, _LIST = "With a run", "In the list"

KEYS: tuple[Key, ...] = (
    _key("up k", "move(-1)", "", "one up", group=_LIST),
    _key("down j", "move(1)", "", "one down", group=_LIST),
    _key("w", "go('run')", "", "to the newest run", "recipe runs", _LIST),
    _key("l", "go('recipe')", "", "to the recipes", "run list", _LIST),
    _key(
        "enter", "launch", "launch", "launch the recipe: it asks for a name first", "recipe", _LIST
    ),
    _key("enter", "widen", "open", "show the run in the full width", "run list", _LIST),
    _key("e b", "build", "edit", "change the plan before it is launched", "recipe", _LIST),
    _key("escape left", "back", "list", "back to the list", "full", _LIST),
    _key("v", "charts", "curves", "the curves from near: zoom, axes, metrics, export", "run", _RUN),
    _key("space", "mark", "", "mark the run to be compared, or not", "run", _RUN),
    _key("c", "compare", "compare", "the marked runs over each other", "comparable", _RUN),
    _key("s", "stop", "stop", "stop the run: it finishes the step and saves", "run live", _RUN),
    _key("r", "resume", "resume", "go on from the last checkpoint", "run resumable", _RUN),
    _key("o", "page('log')", "log", "the log, or the curve again", "run", _RUN),
    _key("p", "page('figures')", "predicted", "what was predicted beside it", "run", _RUN),
    _key("g", "page('samples')", "", "what it wrote, step by step", "run", _RUN),
    _key("u", "page('system')", "", "processor, memory, disk, GPU", "run", _RUN),
    _key("n", "note", "", "write a note beside the run", "run", _RUN),
    _key("i", "twin", "", "the commands that do the same", "", "Everywhere"),
    _key("y", "scale", "", "linear or logarithmic loss", "run", _RUN),
    _key("right_square_bracket", "smooth(1)", "", "smooth the curve more", "run", _RUN),
    _key("left_square_bracket", "smooth(-1)", "", "smooth the curve less", "run", _RUN),
    _key("plus equals_sign", "zoom(1)", "", "look closer at the newest steps", "run", _RUN),
    _key("minus", "zoom(-1)", "", "look at more steps", "run", _RUN),
    _key("f", "widen", "", "hide the list, or show it again", "", "Everywhere"),
    _key("tab", "swap", "", "to the other side, to scroll there"),
    *_everywhere(),
    _key("question_mark f1", "help", "help", "this page"),
    _key("q ctrl+q ctrl+c", "quit", "quit", "leave; runs go on without ava-tui"),
    _key("ctrl+z", "suspend", "", "pause and go to the shell; fg comes back"),
)

_EDIT, _PLAN = "With a key", "With the plan"

BUILD_KEYS: tuple[Key, ...] = (
    _key(
        "enter", "edit", "edit", "type another value; everything follows as you type", group=_EDIT
    ),
    _key(
        "space",
        "turn(1)",
        "",
        "switch it, the next choice, the next larger number",
        group=_EDIT,
    ),
    _key(
        "plus equals_sign",
        "turn(1)",
        "",
        "the next larger: counts double, others 1, 2, 5, 10",
        group=_EDIT,
    ),
    _key("minus", "turn(-1)", "", "the next smaller, the choice before", group=_EDIT),
    _key("x backspace", "reset", "", "take back what was set here", group=_EDIT),
    _key("f1", "explain", "", "everything about the key", group=_EDIT),
    _key("slash", "search", "search", "find keys by name, other spelling or meaning", group=_EDIT),
    _key("a", "all", "all", "all keys, or only those that are set", group=_EDIT),
    _key("right_curly_bracket", "section(1)", "", "to the next section", group=_EDIT),
    _key("left_curly_bracket", "section(-1)", "", "to the section before", group=_EDIT),
    _key("u ctrl+z", "undo", "", "take the last edit back", "undoable", group=_PLAN),
    _key("U ctrl+y ctrl+r", "redo", "", "do it again", "redoable", group=_PLAN),
    _key(
        "1 2 3 4 5 6 7 8 9",
        "fix(#)",
        "",
        "make the repair with this number",
        "fixable",
        group=_PLAN,
    ),
    _key("h", "hardware", "card", "plan for another device", group=_PLAN),
    _key("g", "keep", "", "keep the sequences of a step: accumulation follows", group=_PLAN),
    _key("m", "fit", "fit", "plans that fit, the fastest first", group=_PLAN),
    _key(
        "w",
        "what_if",
        "what if",
        "another card, more devices, other lengths, side by side",
        group=_PLAN,
    ),
    _key("i", "layer", "", "lay another layer over the plan", group=_PLAN),
    _key(
        "tab",
        "panel(1)",
        "panel",
        "the next panel: estimate, differences, YAML, command",
        group=_PLAN,
    ),
    _key("d", "panel('diff')", "", "what differs from the plan that you began with", group=_PLAN),
    _key("y", "panel('yaml')", "", "the plan as a layer file", group=_PLAN),
    _key("c", "panel('command')", "", "the command line that does the same", group=_PLAN),
    _key("s", "save", "save", "save as a layer", group=_PLAN),
    _key("l", "launch", "launch", "launch it: it says first what will happen", group=_PLAN),
    _key("escape q", "leave", "back", "back to the recipes and runs", group="Everywhere"),
    *_everywhere(digits=False),
    _key("question_mark", "help", "help", "this page"),
)

_PICTURE, _RUNS = "The picture", "The runs"

CHART_KEYS: tuple[Key, ...] = (
    _key("n", "metric(1)", "metric", "the next metric", "curves", _PICTURE),
    _key("p", "metric(-1)", "", "the metric before", "curves", _PICTURE),
    _key("m", "pick", "", "pick a metric from a list", "curves", _PICTURE),
    _key("v", "grid", "grid", "many metrics side by side, or one", "curves", _PICTURE),
    _key("x", "axis", "axis", "over steps, tokens, seconds or FLOPs", "curves", _PICTURE),
    _key("y", "scale('y')", "log", "linear or logarithmic", "curves", _PICTURE),
    _key("X", "scale('x')", "", "the same for the axis below", "curves", _PICTURE),
    _key("right_square_bracket", "smooth(1)", "", "smooth more", "curves", _PICTURE),
    _key("left_square_bracket", "smooth(-1)", "", "smooth less", "curves", _PICTURE),
    _key("plus equals_sign", "zoom(1)", "zoom", "closer, around the crosshair", "curves", _PICTURE),
    _key("minus", "zoom(-1)", "", "further away", "curves", _PICTURE),
    _key("right", "cursor(1)", "", "crosshair to the right", "curves", _PICTURE),
    _key("left", "cursor(-1)", "", "crosshair to the left", "curves", _PICTURE),
    _key("shift+right period", "cursor(10)", "", "the same, ten columns", "curves", _PICTURE),
    _key("shift+left comma", "cursor(-10)", "", "the same, ten columns", "curves", _PICTURE),
    _key("d", "pan(1)", "", "the window to the right", "curves", _PICTURE),
    _key("a", "pan(-1)", "", "the window to the left", "curves", _PICTURE),
    _key("0 home", "whole", "whole", "everything again", "curves elsewhere", _PICTURE),
    _key("o", "clip", "clip", "leave outliers out, and say how many", "curves", _PICTURE),
    _key("tab", "table", "table", "results, configs, what changed; or the curves", "", _RUNS),
    _key(
        "s",
        "sort",
        "sort",
        "sort by the next column; a click on a column sorts too",
        "table",
        _RUNS,
    ),
    _key("r", "turn", "reverse", "the other way round", "table", _RUNS),
    _key("e", "export", "export", "to CSV, PNG, SVG or text", "", _RUNS),
    _key("escape q", "leave", "back", "back to the list"),
    *_everywhere(),
    _key("question_mark f1", "help", "help", "this page"),
)

_LESSONS, _CELL, _LESSON = "The lessons", "With a cell", "In the lesson"

LEARN_KEYS: tuple[Key, ...] = (
    _key("up k", "move(-1)", "", "one up", group=_LESSONS),
    _key("down j", "move(1)", "", "one down", group=_LESSONS),
    _key("enter", "open", "open", "open the lesson", "lesson", _LESSONS),
    _key("escape q", "leave", "back", "back to the recipes and runs"),
    *_everywhere(),
    _key("question_mark f1", "help", "help", "this page"),
)

LESSON_KEYS: tuple[Key, ...] = (
    _key("enter r", "run", "run", "run the cell", "cell", _CELL),
    _key("e", "edit", "edit", "change the cell; escape keeps the change", "editable", _CELL),
    _key("h", "hint", "hint", "a hint, one more with each press", "check", _CELL),
    _key("b", "build", "build", "open this config in Build", "config", _CELL),
    _key("i", "interrupt", "stop", "stop the cell that runs", "busy", _CELL),
    _key("R", "run_all", "", "run the cells of this section, from the top", "cell", _CELL),
    _key("x", "reset", "", "the cell as the lesson has it", "edited", _CELL),
    _key("z", "restart", "", "end the kernel; the next cell starts a new one", "kernel", _CELL),
    _key("tab", "cell(1)", "", "the next cell", "cell", _CELL),
    _key("shift+tab", "cell(-1)", "", "the cell before", "cell", _CELL),
    _key("right n", "section(1)", "next", "the next section", group=_LESSON),
    _key("left p", "section(-1)", "", "the section before", group=_LESSON),
    _key("space", "on", "", "a page down, then the next section", group=_LESSON),
    _key("c", "contents", "sections", "pick a section", group=_LESSON),
    _key("right_curly_bracket", "lesson(1)", "", "the next lesson", group=_LESSON),
    _key("left_curly_bracket", "lesson(-1)", "", "the lesson before", group=_LESSON),
    _key("escape q", "leave", "back", "back to the lessons; cells run on"),
    *_everywhere(),
    _key("question_mark f1", "help", "help", "this page"),
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
    "ctrl+o": "ctrl-o",
    "shift+tab": "⇧tab",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
    "slash": "/",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "backspace": "⌫",
    "shift+left": "⇧←",
    "shift+right": "⇧→",
    "left": "←",
    "right": "→",
    "period": ".",
    "comma": ",",
    "ctrl+p": "ctrl-p",
    "colon": ":",
    "ctrl+y": "ctrl-y",
    "ctrl+r": "ctrl-r",
}


def shown(key: str) -> str:
    """A key as it is written on the keyboard."""
    return _SHOWN.get(key, key)


def bindings(table: tuple[Key, ...] = KEYS) -> list[Binding]:
    """The table as Textual bindings; a key with several lines tries them in order."""
    return [
        Binding(name, f"screen.{key.action.replace('#', name)}", key.label, show=False)
        for key in table
        for name in key.keys
    ]


def footer(facts: frozenset[str], table: tuple[Key, ...] = KEYS) -> list[Key]:
    """The keys to show when these facts hold."""
    return [key for key in table if key.label and key.when <= facts]


def groups(table: tuple[Key, ...] = KEYS) -> dict[str, list[Key]]:
    """The whole table under its headings."""
    result: dict[str, list[Key]] = {}
    for key in table:
        result.setdefault(key.group, []).append(key)
    return result

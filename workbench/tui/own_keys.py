"""Keys that a person has changed: ``~/.config/ava/keys.yaml`` over the tables of `keymap`.

    build:
      undo: ctrl+z
      "panel('yaml')": [Y, f2]
    curves:
      zoom(1): [z, plus]

A place is one of `PLACES`; what follows is an action of its table with its new keys.
``ava-tui --keys`` prints the tables in this form.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.config.document import Document
    from workbench.tui.keymap import Key

PLACES = {
    "list": "KEYS",
    "build": "BUILD_KEYS",
    "curves": "CHART_KEYS",
    "lessons": "LEARN_KEYS",
    "lesson": "LESSON_KEYS",
}


def file() -> Path:
    """Where a person's own keys stand."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "ava" / "keys.yaml"


def take_over(path: Path | None = None) -> None:
    """Change the tables as the file says, before any screen is made from them.

    Raises:
        ConfigError: The file cannot be read.
        UsageError: It names a place or an action that is not there, or gives a key to two actions.
    """
    path = path or file()
    if not path.is_file():
        return
    from workbench.config.reading import read_file
    from workbench.tui import keymap

    document = read_file(path)
    for place, changes in document.tree.items():
        where = f"{path}:{document.marks[place,].line}"
        if place not in PLACES or not isinstance(changes, dict):
            raise UsageError(
                f"there is no place {place!r}", where=where, fix=f"one of: {', '.join(PLACES)}"
            )
        table = getattr(keymap, PLACES[place])
        setattr(keymap, PLACES[place], _changed(table, place, changes, document, path))


def _changed(
    table: tuple[Key, ...], place: str, changes: dict[str, object], document: Document, path: Path
) -> tuple[Key, ...]:
    found = named(table)
    for action, given in changes.items():
        where = f"{path}:{document.marks[place, action].line}"
        if action not in found:
            import difflib

            close = difflib.get_close_matches(str(action), found, 3) or sorted(found)
            raise UsageError(
                f"{place} has no action {action!r}", where=where, fix=f"one of: {', '.join(close)}"
            )
        keys = tuple(str(each) for each in (given if isinstance(given, list) else [given]))
        _refuse_unnamed(keys, where)
        found[action] = found[action]._replace(keys=keys)
    _refuse_twice(list(found.values()), place, path)
    return tuple(found.values())


def check(place: str, action: str, key: str) -> tuple[Key, ...]:
    """The table of a place with this key for that action.

    Raises:
        UsageError: The key cannot be named in the file, or another action has it.
    """
    from workbench.tui import keymap

    _refuse_unnamed((key,), None)
    found = named(getattr(keymap, PLACES[place]))
    found[action] = found[action]._replace(keys=(key,))
    _refuse_twice(list(found.values()), place, file())
    return tuple(found.values())


def give(place: str, action: str, key: str) -> Path:
    """Give an action another key, here and in the person's file; what else stands there stays.

    Raises:
        UsageError: As `check`.
        ConfigError: The file cannot be read or written.
    """
    from workbench.config.findings import Edit
    from workbench.config.saving import save_edits
    from workbench.runs.files import atomic_write_text
    from workbench.tui import keymap

    table = check(place, action, key)
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or not path.stat().st_size:
        atomic_write_text(path, f"{place}:\n  {json.dumps(action)}: {json.dumps(key)}\n")
    else:
        save_edits(path, [Edit(f"{place}.{action}", key)])
    setattr(keymap, PLACES[place], table)
    return path


def named(table: tuple[Key, ...]) -> dict[str, Key]:
    """The lines by their actions; the second line of an action is ``widen #2``."""
    found: dict[str, Key] = {}
    for key in table:
        same = sum(each.action == key.action for each in found.values())
        found[f"{key.action} #{same + 1}" if same else key.action] = key
    return found


def _refuse_unnamed(keys: tuple[str, ...], where: str | None) -> None:
    if not all(key.replace("+", "").replace("_", "").isalnum() for key in keys):
        raise UsageError(
            f"this is no name of a key: {', '.join(keys)}",
            where=where,
            fix="as ava-tui --keys writes them: f2, ctrl+z, question_mark",
        )


def _refuse_twice(table: list[Key], place: str, path: Path) -> None:
    """A key may stand for two actions only where never both can be done."""
    for number, key in enumerate(table):
        for other in table[number + 1 :]:
            both = set(key.keys) & set(other.keys)
            if both and (key.when <= other.when or other.when <= key.when):
                raise UsageError(
                    f"{place}: the key {min(both)!r} is given to {key.action} and {other.action}",
                    where=str(path),
                    fix="give one of them another key",
                )


def as_yaml() -> str:
    """The tables in the form of the file, each action with what it does."""
    from workbench.tui import keymap

    lines = [f"# Keys of ava-tui. Put what you change into {file()}"]
    for place, name in PLACES.items():
        lines += ["", f"{place}:"]
        for action, key in named(getattr(keymap, name)).items():
            names = ", ".join(repr(each) for each in key.keys)
            lines.append(f"  {action!r}: [{names}]  # {key.help}")
    return "\n".join(lines) + "\n"

"""The `ava config` commands that change a file: set, unset, repair."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.options import take_flag
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.config.findings import Edit


def set_keys(args: list[str]) -> str:
    """`ava config set FILE KEY VALUE …`; returns the file, to be checked.

    Raises:
        UsageError: Words are missing, or a key does not exist.
        ConfigError: A value is not what its key takes, or the file cannot be edited.
    """
    from workbench.config.conversions import number
    from workbench.config.findings import Edit
    from workbench.config.spelling import spelled_in

    path, *words = args or [""]
    if not path or not words or len(words) % 2:
        raise UsageError(
            "a file, and a value for each key", fix="ava config set my.yaml learning_rate 3e-4"
        )
    values = _values(path, dict(zip(words[::2], words[1::2], strict=True)))
    tree = _tree(path)
    edits: list[Edit] = []
    for key, value in values.items():
        others = spelled_in(tree, key)
        plain = [name for name, alias in others.items() if alias.convert in (None, number)]
        name = plain[0] if plain and not _holds(tree, key) else key
        edits += [Edit(other, remove=True) for other in others if other != name]
        edits.append(Edit(name, value))
    return _edit(path, edits)


def _values(path: str, given: dict[str, str]) -> dict[str, Any]:
    """What is typed, under the keys' own names; a value that its key cannot take is refused."""
    from workbench.config.findings import FindingsError
    from workbench.config.overrides import COMMAND_LINE
    from workbench.plan import plan_from

    plan = plan_from(layers=[path], overrides=given)
    origins = plan.composed.origins.items()
    values = {key: origin.value for key, origin in origins if origin.layer == COMMAND_LINE}
    wrong = [f for f in plan.findings if f.rule == "invalid-value" and f.path in values]
    if wrong:
        raise FindingsError(wrong)
    return values


def unset_keys(args: list[str]) -> str:
    """`ava config unset FILE KEY …`; returns the file, to be checked.

    Raises:
        UsageError: Words are missing, or a key does not exist.
        ConfigError: The file cannot be edited.
    """
    from workbench.config.findings import Edit
    from workbench.config.overrides import resolve_key
    from workbench.config.spelling import spelled_in

    path, *names = args or [""]
    if not path or not names:
        raise UsageError("a file and a key", fix="ava config unset my.yaml learning_rate")
    tree = _tree(path)
    edits: list[Edit] = []
    for name in names:
        key = resolve_key(name)
        found = [*spelled_in(tree, key), *([key] if _holds(tree, key) else [])]
        if not found:
            sys.stderr.write(f"{path} has no line for {key} alone\n")
        edits += [Edit(each, remove=True) for each in found]
    return _edit(path, edits)


def _tree(path: str) -> dict[str, Any]:
    """The values of the file by itself."""
    from workbench.config.reading import read_file

    return read_file(Path(path)).tree


def _holds(tree: dict[str, Any], key: str) -> bool:
    """Whether the file sets the key under its own name."""
    value: Any = tree
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _edit(path: str, edits: list[Edit]) -> str:
    from workbench.config.saving import save_edits

    save_edits(Path(path), edits)
    return path


def repair_file(args: list[str]) -> str | None:
    """`ava config repair FILE [--write]`; returns the file when there is nothing to repair.

    Raises:
        UsageError: Not one file.
        ConfigError: The file cannot be read or written.
    """
    from workbench.config.reading import read_text
    from workbench.config.repairs import repair
    from workbench.config.saving import replace_text

    write = take_flag(args, "--write")
    if len(args) != 1:
        raise UsageError("one file", fix="ava config repair my.yaml")
    path = Path(args[0])
    text = read_text(path)
    repaired = repair(text, str(path))
    if repaired is None:
        sys.stderr.write("nothing that can be repaired mechanically\n")
        return str(path)
    sys.stderr.writelines(f"{change}\n" for change in repaired.changes)
    if not write:
        sys.stdout.write(repaired.text)
        sys.stderr.write(f"nothing is written yet: ava config repair {path} --write\n")
        return None
    backup = replace_text(path, repaired.text, expected_text=text)
    sys.stderr.write(f"{path} is repaired; the file as it was is {backup}\n")
    return None

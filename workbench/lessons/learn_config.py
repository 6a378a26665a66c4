"""Configs of a lesson: the files that ``%%config`` cells write, and the plans that they make."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.runs.files import atomic_write_json, atomic_write_text, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.plan import Plan

_OPTIONS = ".options.json"
_NAME_HELP = "%%config NAME.yaml, and below it the YAML"


def write_config(folder: Path, line: str, text: str) -> tuple[Path, list[str]]:
    """Write what a ``%%config NAME.yaml OPTIONS`` cell holds; returns the file and the options.

    Raises:
        UsageError: The cell names no file, or one that lies elsewhere.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%%config {line}: {error}", fix=_NAME_HELP) from None
    if not words:
        raise UsageError("%%config needs the name of a file", fix=_NAME_HELP)
    name, options = words[0], words[1:]
    path = folder / name
    if not name.endswith((".yaml", ".yml")) or folder.resolve() != path.resolve().parent:
        raise UsageError(
            f"%%config cannot write {name!r}",
            why="a config of a lesson is a YAML file in the lesson's own folder",
            fix=_NAME_HELP,
        )
    atomic_write_text(path, text if text.endswith("\n") else text + "\n")
    known = read_json(folder / _OPTIONS)
    if known.get(name, []) != options:
        atomic_write_json(folder / _OPTIONS, known | {name: options})
    return path, options


def options_of(folder: Path, name: str) -> list[str]:
    """What stands behind the file's name in its ``%%config`` cell: arguments of `ava`."""
    found = read_json(folder / _OPTIONS).get(name, [])
    return [str(word) for word in found] if isinstance(found, list) else []


def plan_of(
    path: Path | None,
    arguments: Sequence[str] = (),
    keys: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
) -> Plan:
    """The plan of a config file with arguments and keys over it.

    Args:
        path: The file; None: the arguments say all.
        arguments: As for `ava train`; files of the lesson's folder are found by their names.
        keys: Keys of the schema with their values, over everything.
        folder: The lesson's folder.

    Raises:
        ConfigError: A layer cannot be read.
        UsageError: A recipe or a key does not exist.
    """
    from workbench.arguments import parse
    from workbench.config.render import inline
    from workbench.plan import plan_from

    options = parse([str(word) for word in arguments])
    if options.resume is not None or options.help:
        raise UsageError(
            "a run is resumed by a command", fix='learn.shell("ava train --resume RUN")'
        )
    options.name_hardware()
    layers = [_found(folder, name) for name in options.layers]
    for name, value in (keys or {}).items():
        options.overrides[name] = value if isinstance(value, str) else inline(value)
    if path is not None:
        layers.append(str(path))
    recipe = options.recipe if layers or options.recipe else "lesson"
    return plan_from(recipe, layers=layers, overrides=options.overrides)


def _found(folder: Path | None, name: str) -> str:
    """A layer's reference: the lesson's own file of that name, or as it was given."""
    own = None if folder is None or "/" in name else folder / name
    return str(own) if own is not None and own.is_file() else name

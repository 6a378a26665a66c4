"""Mechanical repairs of a config's text: the faults that have one obvious meaning.

A repair is offered, never applied in silence, and only when the repaired text can be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.config import mojibake
from workbench.config.document import LINE_BREAK
from workbench.config.json_reader import plain_json
from workbench.config.reading import looks_like_json, read_document
from workbench.config.yaml_errors import glued
from workbench.errors import ConfigError

_MOST = 50  # missing line breaks: with more, the file is no config
_INDENT = re.compile("^[ \t\u00a0]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Repaired:
    """The repaired text, and what was done to it in words."""

    text: str
    changes: tuple[str, ...]


def repair(text: str, name: str) -> Repaired | None:
    """The text without its mechanical faults.

    Garbled characters are restored. Where they make the file unreadable, missing line breaks and
    tabs and no-break spaces in the indentation of YAML are repaired, and comments and trailing
    commas are taken out of JSON.

    Returns:
        None when there is nothing to repair, or the file would still be unreadable.
    """
    changes: list[str] = []
    if (restored := mojibake.repair(text)) is not None:
        text = restored
        changes.append("garbled characters restored")
    if not _readable(text, name):
        if name.lower().endswith(".json") or looks_like_json(text):
            text = _repair_json(text, name, changes)
        else:
            text = _spaces(text, changes)
            text = _split(text, changes)
        if not _readable(text, name):
            return None
    return Repaired(text, tuple(changes)) if changes else None


def _readable(text: str, name: str) -> bool:
    try:
        read_document(text, name)
    except ConfigError:
        return False
    return True


def _repair_json(text: str, name: str, changes: list[str]) -> str:
    try:
        plain = plain_json(text, name)
    except ConfigError:
        return text
    if plain != text:
        changes.append("comments and trailing commas removed")
    return plain


def _spaces(text: str, changes: list[str]) -> str:
    """Tabs and no-break spaces in the indentation become spaces, a tab one step of the file."""
    steps = [len(found[0]) for found in _INDENT.finditer(text) if set(found[0]) == {" "}]
    step = " " * min(steps, default=2)
    repaired = _INDENT.sub(lambda m: m[0].replace("\t", step).replace("\u00a0", " "), text)
    if repaired != text:
        changes.append("indented with spaces")
    return repaired


def _split(text: str, changes: list[str]) -> str:
    """Lines that hold two keys become two lines."""
    lines = LINE_BREAK.split(text)
    breaks = LINE_BREAK.findall(text)
    made: list[str] = []
    for number, line in enumerate(lines, 1):
        halves = glued(lines, number) if len(changes) < _MOST else None
        if halves is None:
            made.append(line)
        else:
            made += [halves.first, breaks[0] if breaks else "\n", halves.second]
            changes.append(
                f"line {number} became {halves.first.strip()!r} and {halves.second.strip()!r}"
            )
        made += breaks[number - 1 : number]
    return "".join(made)

"""The front matter of a lesson: what it says about itself, key by key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import ConfigError
from workbench.lessons.lesson_file import CATEGORIES, HARDWARE
from workbench.lessons.problems import Problem, from_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.document import Document

RULE: Final = "front-matter"
SCHEMA: Final = 1
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Front:
    """What stands under ``ava:``; see `workbench.lessons.lesson_file.Lesson`."""

    id: str
    title: str
    description: str
    category: str
    tags: tuple[str, ...]
    supported_hardware: tuple[str, ...]
    prerequisites: tuple[str, ...]
    estimated_minutes: int


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_words(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\n" not in value.strip()


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_hardware(value: Any) -> bool:
    return _is_list(value) and bool(value) and set(value) <= set(HARDWARE)


def _is_minutes(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 600


# key -> what it has to be, in words; and the test of that
_KEYS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "schema": (f"the version of this format: {SCHEMA}", lambda value: value == SCHEMA),
    "id": ("small letters, digits and '-', as in the file's name", _is_id),
    "title": ('a few words in quotes, as in "First launch"', _is_words),
    "description": ("one sentence in quotes", _is_words),
    "category": (f"one of {', '.join(CATEGORIES)}", lambda value: value in CATEGORIES),
    "tags": ("a list of words, as in [launch, loss]", _is_list),
    "supportedHardware": (f"a list of {' and '.join(HARDWARE)}, as in [cpu]", _is_hardware),
    "prerequisites": ("a list of ids of lessons, as in [first-launch], or []", _is_list),
    "estimatedMinutes": ("a whole number of minutes, 1 to 600", _is_minutes),
}


def read_front(text: str, name: str, problems: list[Problem]) -> Front | None:
    """Read the front matter.

    Args:
        text: The YAML, with as many lines before it as in the file.
        name: The file, for messages.
        problems: Takes everything that is wrong.

    Returns:
        What it says, or None where a key is missing or wrong.
    """
    from workbench.config.yaml_reader import read_yaml

    try:
        document = read_yaml(text, name)
    except ConfigError as error:
        problems.append(from_error(error, name, 1, RULE))
        return None
    ava = document.tree.get("ava")
    if not isinstance(ava, dict):
        problems.append(
            Problem(
                name, 1, RULE, "the front matter has no 'ava:' map", "lessons/README.md shows it"
            )
        )
        return None
    found = [*_unknown(document, ava, name), *_wrong(document, ava, name)]
    problems += found
    if any(key not in ava or not test(ava[key]) for key, (_, test) in _KEYS.items()):
        return None
    return Front(
        id=ava["id"],
        title=ava["title"].strip(),
        description=ava["description"].strip(),
        category=ava["category"],
        tags=tuple(ava["tags"]),
        supported_hardware=tuple(ava["supportedHardware"]),
        prerequisites=tuple(ava["prerequisites"]),
        estimated_minutes=ava["estimatedMinutes"],
    )


def _unknown(document: Document, ava: dict[str, Any], name: str) -> list[Problem]:
    import difflib

    found = []
    for key in ava:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            fix = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(_KEYS)}"
            line = document.marks["ava", key].line
            found.append(Problem(name, line, RULE, f"there is no key ava.{key}", fix))
    return found


def _wrong(document: Document, ava: dict[str, Any], name: str) -> list[Problem]:
    found = []
    for key, (expected, test) in _KEYS.items():
        if key not in ava:
            line = document.marks["ava",].line
            found.append(Problem(name, line, RULE, f"ava.{key} is missing", f"{key}: {expected}"))
        elif not test(ava[key]):
            line = document.marks["ava", key].line
            message = f"ava.{key} is {ava[key]!r}, which it cannot be"
            found.append(Problem(name, line, RULE, message, f"{key}: {expected}"))
    return found

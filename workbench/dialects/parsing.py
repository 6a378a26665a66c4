"""A foreign text as a tree with the line of each key: JSON with comments, or YAML.

The systems' own loaders differ in what they bear; what any of them bears is read here. A text with
a mechanical fault (lines glued together, tabs) is repaired where the repair is obvious, and a
remark says so.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config.json_reader import read_json
from workbench.config.reading import looks_like_json
from workbench.config.repairs import repair
from workbench.config.yaml_reader import read_yaml
from workbench.dialects.base import Remark
from workbench.dialects.hjson_reader import read_hjson
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.document import Document, Repeated
    from workbench.dialects.base import Foreign

_YAML = (".yaml", ".yml")


def parse(
    foreign: Foreign, *, last_wins: bool = False, hjson: bool = False
) -> tuple[Document, tuple[Remark, ...]]:
    """A foreign text as a document, and what was repaired or repeated in it.

    The document is shared between callers and never changed.

    Args:
        foreign: The text.
        last_wins: Keys that stand twice are a remark, as for loaders that keep the last; otherwise
            they are refused.
        hjson: The system's loader reads HJSON, where quotes and commas may be missing.

    Raises:
        ConfigError: Neither JSON nor YAML, or no mapping.
    """
    return _parse(foreign.text, str(foreign.path), last_wins=last_wins, hjson=hjson)


def peek(foreign: Foreign, *, hjson: bool = False) -> dict[str, Any] | None:
    """The tree of a text, to see whose it is; None where it is neither JSON nor YAML."""
    try:
        return parse(foreign, last_wins=True, hjson=hjson)[0].tree
    except ConfigError:
        return None


def leaves(tree: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a tree with the names that lead to it; lists are values, ``{}`` too."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from (((name, *path), leaf) for path, leaf in leaves(value))
        else:
            yield (name,), value


@lru_cache(maxsize=16)  # each dialect looks at a file before one of them reads it
def _parse(
    text: str, name: str, *, last_wins: bool, hjson: bool
) -> tuple[Document, tuple[Remark, ...]]:
    repeated: list[Repeated] | None = [] if last_wins else None
    remarks: list[Remark] = []
    try:
        document = _read(text, name, repeated)
    except ConfigError:
        if (flow := _yaml_after_all(text, name)) is not None:
            return flow, ()
        if hjson and (loose := _hjson(text, name, last_wins=last_wins)) is not None:
            return loose, ()
        repaired = repair(text, name)
        if repaired is None:
            raise
        remarks += [Remark("", "repaired", change) for change in repaired.changes]
        document = _read(repaired.text, name, repeated)
    remarks += [
        Remark(
            ".".join(map(str, each.path)),
            "upstream",
            f"the key stands twice, in line {each.first} and in line {each.second}: the last one "
            "counts, the first is ignored",
            "ignored",
            each.first,
        )
        for each in repeated or ()
    ]
    return document, tuple(remarks)


def _yaml_after_all(text: str, name: str) -> Document | None:
    """A YAML file that looks like JSON, with comments or words that JSON has not."""
    if Path(name).suffix.lower() not in _YAML or not looks_like_json(text):
        return None
    try:
        return read_yaml(text, name)
    except ConfigError:
        return None


def _hjson(text: str, name: str, *, last_wins: bool) -> Document | None:
    """The text as HJSON; None where it is none, so that JSON's own message stands."""
    try:
        return read_hjson(text, name, repeated=[] if last_wins else None)
    except ConfigError as error:
        if "stands twice" in error.what:
            raise
        return None


def _read(text: str, name: str, repeated: list[Repeated] | None) -> Document:
    if Path(name).suffix.lower() in _YAML and not looks_like_json(text):
        return read_yaml(text, name, repeated=repeated)
    if text.lstrip().startswith("{") or Path(name).suffix.lower().startswith(".json"):
        return read_json(text, name, comments=True, repeated=repeated)
    return read_yaml(text, name, repeated=repeated)

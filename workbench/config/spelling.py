"""From any spelling to the key that it means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from workbench.config.aliases import CONVERTED, SAME, SECTIONS, Alias
from workbench.config.keys import keys, sections
from workbench.config.retired import RETIRED


@dataclass(frozen=True, slots=True)
class Spelled:
    """A value that stands in a layer under another name than its key's.

    Attributes:
        written: Where it stands, as names.
        value: What stands there.
        meanings: The keys that it sets; none when it is retired.
    """

    written: tuple[str, ...]
    value: Any
    meanings: tuple[Alias, ...]


@cache
def table() -> dict[str, tuple[Alias, ...]]:
    """Every alias with what it means, those of moved sections included."""
    found: dict[str, tuple[Alias, ...]] = dict(CONVERTED)
    for target, names in SAME.items():
        for name in names:
            found.setdefault(name, (Alias(target),))
    for moved, home in SECTIONS:
        prefix = f"{home}."
        inside: dict[str, tuple[Alias, ...]]
        inside = {path: (Alias(path),) for path in keys() if path.startswith(prefix)}
        inside |= {path: means for path, means in found.items() if path.startswith(prefix)}
        for path, means in inside.items():
            name = f"{moved}.{path.removeprefix(prefix)}"
            if name not in keys():
                found.setdefault(name, means)
    return found


@cache
def alias_sections() -> frozenset[str]:
    """Dotted paths of sections that hold aliases or retired keys, and are no sections of ours."""
    paths = [*table(), *(path.removesuffix(".*") + ".x" for path in RETIRED), *_moved()]
    found = {
        ".".join(parts[:depth])
        for parts in (path.split(".") for path in paths)
        for depth in range(1, len(parts))
    }
    return frozenset(found - sections())


def _moved() -> list[str]:
    return [f"{moved}.x" for moved, _ in SECTIONS]


@cache
def spellings(path: str) -> tuple[str, ...]:
    """The aliases of a key, without those that only repeat a moved section."""
    direct = {*CONVERTED, *(name for names in SAME.values() for name in names)}
    return tuple(
        sorted(
            name
            for name, means in table().items()
            if name in direct and any(alias.target == path for alias in means)
        )
    )


@cache
def aliases_by_name() -> dict[str, tuple[str, ...]]:
    """For each last name, the aliases that end in it, one for each key that they mean."""
    names: dict[str, dict[tuple[str, ...], str]] = {}
    for path in keys():
        for alias in spellings(path):
            meant = tuple(each.target for each in table()[alias])
            names.setdefault(alias.rpartition(".")[2], {}).setdefault(meant, alias)
    return {name: tuple(found.values()) for name, found in names.items()}


@lru_cache(maxsize=4096)
def retired(path: str) -> str | None:
    """Why a key means nothing here; None when it is not retired."""
    for home in homes(path):
        parts = home.split(".")
        patterns = (".".join(parts[:depth]) + ".*" for depth in range(1, len(parts)))
        for pattern in (home, *patterns):
            if pattern in RETIRED:
                return RETIRED[pattern]
    return None


def homes(path: str) -> list[str]:
    """The path itself, and what it is called where its section really stands."""
    found = [path]
    for here in found:
        for moved, home in SECTIONS:
            if here.startswith(f"{moved}."):
                there = home + here.removeprefix(moved)
                if there not in found and len(found) < 8:
                    found.append(there)
    return found


def split(tree: dict[str, Any]) -> tuple[dict[str, Any], list[Spelled]]:
    """A layer's values under their keys' own names, and apart from them all others.

    Names with dots in them are taken apart: ``training.batch_size: 8`` is what it looks like.
    """
    spelled: list[Spelled] = []
    return _split(tree, "", (), spelled), spelled


def spelled_in(tree: dict[str, Any], key: str) -> dict[str, Alias]:
    """Under which other names a layer sets a key, and nothing but it."""
    return {
        ".".join(each.written): each.meanings[0]
        for each in split(tree)[1]
        if [alias.target for alias in each.meanings] == [key]
    }


def _split(
    tree: dict[str, Any], prefix: str, names: tuple[str, ...], spelled: list[Spelled]
) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in tree.items():
        path, here = f"{prefix}{name}", (*names, name)
        if path in keys():
            if any("." in part for part in here):
                spelled.append(Spelled(here, value, (Alias(path),)))
            else:
                plain[name] = value
        elif isinstance(value, dict) and not _is_leaf(path):
            inside = _split(value, f"{path}.", here, spelled)
            if inside or not value:
                plain[name] = inside
        elif path in table():
            spelled.append(Spelled(here, value, table()[path]))
        elif retired(path) is not None:
            spelled.append(Spelled(here, value, ()))
        else:
            plain[name] = value
    return plain


def _is_leaf(path: str) -> bool:
    """Whether a mapping at this path is the value of an alias rather than a section."""
    return path in table() and path not in sections() and path not in alias_sections()

"""Keys that say a key of ours by themselves, read and written by one table.

Several foreign keys may say one of ours; the first in the table that a file has counts, and the
others become residue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.building import ABSENT, NoPlace, names, plant
from workbench.dialects.parsing import leaves

if TYPE_CHECKING:
    from workbench.dialects.building import Builder
    from workbench.dialects.telling import Teller

ORDER: Final = "keys that stood there"
"""Name in the residue under which the file's own keys are listed, in order."""

_TOP: Final = "top level"

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Says:
    """A foreign key that says one of ours.

    Attributes:
        path: The foreign key, dotted.
        ours: The key here.
        read: Their value as ours; it raises `NoPlace` where there is no counterpart.
        tell: Our value as theirs.
        ignored: What upstream does instead of reading it; empty where it reads it.
        shy: Whether writing uses it only where the file had it.
    """

    path: str
    ours: str
    read: Convert | None = None
    tell: Convert | None = None
    ignored: str = ""
    shy: bool = False


def understand(builder: Builder, table: Sequence[Says]) -> None:
    """Understand the keys of a table."""
    spoken: dict[str, str] = {}
    for each in table:
        value = builder.value(each.path)
        if value is ABSENT or not builder.is_left(each.path):
            continue
        if each.ours in spoken:
            builder.keep(each.path, f"{spoken[each.ours]} says it already")
            continue
        try:
            ours = each.read(value) if each.read else value
            builder.put(each.ours, ours, source=each.path)
        except NoPlace as error:
            builder.keep(each.path, str(error))
        else:
            spoken[each.ours] = each.path
        if each.ignored:
            builder.ignored(each.path, each.ignored)


def tell(
    teller: Teller,
    table: Sequence[Says],
    order: Sequence[str],
    assumed: Mapping[str, Any] | None = None,
    always: AbstractSet[str] = frozenset(),
) -> None:
    """Say the chosen keys of ours that a table knows: where the file said them, or where it may.

    Args:
        teller: The writing.
        table: The keys.
        order: The keys of the file that the config came from.
        assumed: What reading takes for a key of ours that a file leaves out; a value of the file
            that could not be used, and was kept, is not overwritten by it.
        always: Keys of ours to say although no layer set them.
    """
    groups: dict[str, list[Says]] = {}
    for each in table:
        groups.setdefault(each.ours, []).append(each)
    for ours, ways in groups.items():
        free = [way for way in ways if held(teller.tree, way.path) is ABSENT]
        stood = next((way for way in free if way.path in order), None)
        if ours not in teller.chosen and ours not in always and stood is None:
            continue
        kept = len(free) < len(ways) and (assumed or {}).get(ours, ABSENT) == teller.our(ours)
        if kept and stood is None:
            continue
        best = (way for way in ways if not way.ignored and not way.shy)
        way = stood or next(best, None)
        if way is None:
            continue
        value = teller.our(ours)
        try:
            teller.say(way.path, way.tell(value) if way.tell else value, ours=ours)
        except NoPlace as error:
            teller.lose(ours, str(error))


def order_of(tree: dict[str, Any]) -> dict[str, list[str]]:
    """The keys of a file, dotted, by their section."""
    order: dict[str, list[str]] = {}
    for path, _ in leaves(tree):
        order.setdefault(path[0] if len(path) > 1 else _TOP, []).append(".".join(path))
    return order


def take_order(tree: dict[str, Any]) -> list[str]:
    """The keys of the file that a residue came from; they leave the residue."""
    order = tree.pop(ORDER, {})
    sections = order.values() if isinstance(order, dict) else ()
    return [str(path) for section in sections if isinstance(section, list) for path in section]


def held(tree: dict[str, Any], path: str) -> Any:
    """What the residue holds at a path."""
    value: Any = tree
    for name in names(path):
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value


def in_order(tree: dict[str, Any], order: Sequence[str], spare: dict[str, Any]) -> dict[str, Any]:
    """A tree with its leaves in the order of the file that it came from.

    Args:
        tree: The values.
        order: The keys of the file, dotted.
        spare: Upstream's defaults: a new key with that value is left out where there was a file.
    """
    flat = {".".join(path): (path, value) for path, value in leaves(tree)}
    made: dict[str, Any] = {}
    for dotted in (*order, *flat):
        if dotted not in flat:
            continue
        path, value = flat.pop(dotted)
        if order and dotted not in order and dotted in spare and spare[dotted] == value:
            continue
        plant(made, path, value)
    return made


def word(**meanings: Any) -> Convert:
    """A word of theirs as a value of ours; another word has no counterpart."""

    def read(value: Any) -> Any:
        if str(value).lower() in meanings:
            return meanings[str(value).lower()]
        raise NoPlace(f"there is no counterpart of {str(value)[:40]!r}")

    return read


def negative_is_none(value: Any) -> Any:
    """A limit of -1 is no limit."""
    if isinstance(value, int | float) and value < 0:
        raise NoPlace("-1 sets no limit")
    return value

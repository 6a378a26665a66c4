"""Several files that belong together as one layer: a model and a training file, a hostfile.

What a file says wins over what another file's reading assumes; of two that say a key, the later
wins, and a remark says so. A dialect may have a method ``together`` that is given the values of all
files by path, and says what the system does with them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys, mappings
from workbench.config.layers import Layer
from workbench.dialects.base import Remark
from workbench.dialects.building import plant
from workbench.dialects.registry import dialect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.dialects.base import Reading


@dataclass(frozen=True, slots=True)
class Joined:
    """What several files say.

    Attributes:
        layer: All of it; marks point into the files only where there is one file.
        remarks: Where the files contradict each other.
    """

    layer: Layer
    remarks: tuple[Remark, ...] = ()


def join(readings: Sequence[Reading]) -> Joined:
    """One layer of one reading or more, the later over the earlier."""
    if len(readings) == 1:
        return Joined(readings[0].layer)
    said: dict[str, tuple[Any, Reading]] = {}
    assumed: dict[str, Any] = {}
    remarks: list[Remark] = []
    for reading in readings:
        for path, value in _own(reading):
            if tuple(path.split(".")) not in reading.layer.marks:
                assumed[path] = value
                continue
            if path in said and said[path][0] != value:
                remarks.append(_contradiction(path, said[path], (value, reading)))
            said[path] = value, reading
    values = assumed | {path: value for path, (value, _) in said.items()}
    for system in dict.fromkeys(reading.system for reading in readings):
        if (together := getattr(dialect(system), "together", None)) is not None:
            remarks += together(values)
    tree: dict[str, Any] = {}
    for path in sorted(values, key=list(keys()).index):
        plant(tree, tuple(path.split(".")), values[path])
    tree["imported"] = _imported(readings)
    names = " + ".join(reading.layer.name for reading in readings)
    return Joined(Layer(names, tree), tuple(remarks))


def _own(reading: Reading) -> list[tuple[str, Any]]:
    """The keys of a reading without its residue."""
    return [pair for pair in flat(reading.layer.tree) if not pair[0].startswith("imported.")]


def _contradiction(path: str, before: tuple[Any, Reading], after: tuple[Any, Reading]) -> Remark:
    first, second = (f"{value} in {reading.layer.name}" for value, reading in (before, after))
    return Remark(path, "assumed", f"{path} is {first} and {second}: the later file counts")


def flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a layer by its dotted path."""
    for name, value in tree.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and value and path not in mappings():
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def _imported(readings: Sequence[Reading]) -> dict[str, Any]:
    """The first file's system is the plan's; the residue of the others stands beside."""
    found: dict[str, dict[str, Any]] = {}
    sources: list[str] = []
    for reading in readings:
        imported = reading.layer.tree.get("imported", {})
        sources.append(str(imported.get("source", reading.layer.name)))
        merge(found.setdefault(reading.system, {}), imported.get("keys", {}))
    first, *others = found
    # The first file names what is written back, so it stands alone.
    result: dict[str, Any] = {"system": first, "source": ", ".join(sources)[:4096]}
    if found[first]:
        result["keys"] = found[first]
    if rest := {system: found[system] for system in others if found[system]}:
        result["others"] = rest
    return result


def merge(into: dict[str, Any], tree: dict[str, Any]) -> None:
    """Put one tree over another, mappings deep."""
    for name, value in tree.items():
        before = into.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merge(before, value)
        else:
            into[name] = dict(value) if isinstance(value, dict) else value

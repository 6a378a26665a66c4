"""Several files that belong together as one layer: a model and a training file, a hostfile.

What a file says wins over what another file's reading assumes; of two that say a key, the later
wins, and a remark says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys, mappings
from workbench.config.layers import Layer
from workbench.dialects.base import Remark
from workbench.dialects.building import plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.config.document import KeyPath
    from workbench.config.origins import Mark
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
        for path, value in flat(reading.layer.tree):
            if path.startswith("imported."):
                continue
            if tuple(path.split(".")) not in reading.layer.marks:
                assumed[path] = value
                continue
            if path in said and said[path][0] != value:
                before, first = said[path]
                remarks.append(
                    Remark(
                        path,
                        "assumed",
                        f"{path} is {before} in {first.layer.name} and {value} in "
                        f"{reading.layer.name}: the later file counts",
                    )
                )
            said[path] = value, reading
    values = assumed | {path: value for path, (value, _) in said.items()}
    tree: dict[str, Any] = {}
    for path in keys():
        if path in values:
            plant(tree, tuple(path.split(".")), values[path])
    tree["imported"] = _imported(readings)
    names = " + ".join(reading.layer.name for reading in readings)
    return Joined(Layer(names, tree, None, _no_marks()), tuple(remarks))


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


def _no_marks() -> dict[KeyPath, Mark]:
    return {}

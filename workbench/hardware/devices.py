"""The device profiles in ``configs/devices``: one file per device, a source for every figure."""

from __future__ import annotations

import difflib
import typing
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.config.findings import Edit, Finding, Fix
from workbench.config.profile import HardwareProfile, Kind, Precision
from workbench.errors import ConfigError, UsageError
from workbench.resources import data_dir

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.config.origins import Origin
    from workbench.config.schema import Config

FIGURES = ("memory_gib", "precisions", "compute_capability", "devices_per_node", "meshes")
"""What a file may say about a device, each as ``{value, source}``."""

_NEEDED = ("precisions", "devices_per_node")


@cache
def names() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(sorted(path.stem for path in (data_dir("configs") / "devices").glob("*.yaml")))


@cache
def device(name: str) -> HardwareProfile:
    """The profile of that name.

    Raises:
        UsageError: There is none.
        ConfigError: Its file is broken.
    """
    if name not in names():
        raise UsageError(
            f"there is no hardware profile {name!r}", fix="one of: " + ", ".join(_close(name))
        )
    return read(data_dir("configs") / "devices" / f"{name}.yaml")


def _close(name: str) -> tuple[str, ...]:
    """The profiles that a name may mean: those that begin with it, or are spelled alike."""
    wanted = name.lower().replace("-", "_").replace(" ", "_").strip("_")
    begun = tuple(known for known in names() if wanted and known.startswith(wanted))
    return begun or tuple(difflib.get_close_matches(wanted, names(), n=3, cutoff=0.4)) or names()


def resolve(
    config: Config, origins: dict[str, Origin]
) -> tuple[HardwareProfile | None, list[Finding]]:
    """The hardware that a config names, or the finding that there is no such profile."""
    name = config.run.hardware
    if name is None:
        return None, []
    try:
        return device(name), []
    except UsageError as error:
        fixes = tuple(
            Fix(f"run.hardware: {each}", (Edit("run.hardware", each),)) for each in _close(name)[:3]
        )
        origin = origins.get("run.hardware")
        return None, [
            Finding("unknown-hardware", "error", "run.hardware", error.what, origin, fixes)
        ]


def read(path: Path) -> HardwareProfile:
    """The profile in a file.

    Raises:
        ConfigError: The file is broken, or a figure lacks its source.
    """
    from workbench.config.reading import read_file

    tree = read_file(path).tree
    figures = {name: value for name, value in tree.items() if name not in ("title", "kind")}
    for name, figure in figures.items():
        told = isinstance(figure, dict) and set(figure) == {"value", "source"}
        if name not in FIGURES or not told or not isinstance(figure["source"], str):
            raise _broken(path, f"{name!r} is not a known figure with a value and a source")
    for name in ("title", "kind", *_NEEDED):
        if name not in tree:
            raise _broken(path, f"{name!r} is missing")
    if tree["kind"] not in typing.get_args(Kind):
        raise _broken(path, f"there is no kind {tree['kind']!r}")
    values = {name: figure["value"] for name, figure in figures.items()}
    unknown = set(values["precisions"]) - set(typing.get_args(Precision))
    if unknown:
        raise _broken(path, f"unknown precisions: {', '.join(sorted(unknown))}")
    try:
        return HardwareProfile(
            name=path.stem,
            title=str(tree["title"]),
            kind=tree["kind"],
            memory_bytes=_bytes(values.get("memory_gib")),
            precisions=frozenset(values["precisions"]),
            compute_capability=_capability(values.get("compute_capability")),
            devices_per_node=int(values["devices_per_node"]),
            meshes=tuple((int(rows), int(columns)) for rows, columns in values.get("meshes", ())),
            sources={name: figure["source"] for name, figure in figures.items()},
        )
    except (TypeError, ValueError):
        raise _broken(path, "a figure is not of its kind") from None


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else round(float(gib) * 2**30)


def _capability(text: Any) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = str(text).split(".")
    return int(major), int(minor)


def _broken(path: Path, what: str) -> ConfigError:
    return ConfigError(what, where=str(path), fix="see another file in configs/devices")

"""The device profiles in ``configs/devices``: one file per device, a source for every figure."""

from __future__ import annotations

import difflib
import math
import os
import typing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config.findings import Edit, Finding, Fix
from workbench.config.profile import HardwareProfile, Kind, Precision
from workbench.errors import ConfigError, UsageError
from workbench.resources import data_dir

if TYPE_CHECKING:
    from workbench.config.origins import Origin
    from workbench.config.schema import Config

_GIB = 2**30
_GIGA = 1e9
_TERA = 1e12

FIGURES = (
    "memory_gib",
    "precisions",
    "compute_capability",
    "devices_per_node",
    "meshes",
    "peak_tflops",
    "memory_gbs",
    "link_gbs",
    "pcie_gbs",
    "network_gbs",
    "host_memory_gib",
    "watts",
    "price_per_hour",
)
"""What a file may say about a device, each as ``{value, source}``; a price also says its date."""

_NEEDED = ("precisions", "devices_per_node")


def folders() -> tuple[Path, ...]:
    """Where profiles are: those that came along, and a person's own, which win."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return data_dir("configs") / "devices", Path(home) / "ava" / "devices"


@cache
def names() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(sorted({path.stem for folder in folders() for path in folder.glob("*.yaml")}))


@cache
def device(name: str) -> HardwareProfile:
    """The profile of that name.

    Raises:
        UsageError: There is none.
        ConfigError: Its file is broken.
    """
    if name not in names():
        close = _close(name)
        fix = f"one of: {', '.join(close)}" if close else "ava hardware list shows them all"
        raise UsageError(f"there is no hardware profile {name!r}", fix=fix)
    return read(_file(name))


def _file(name: str) -> Path:
    found = [path for folder in folders() if (path := folder / f"{name}.yaml").is_file()]
    return found[-1]


def _close(name: str) -> tuple[str, ...]:
    """The profiles that a name may mean: those that begin with it, or are spelled alike."""
    wanted = name.lower().replace("-", "_").replace(" ", "_").strip("_")
    begun = tuple(known for known in names() if wanted and known.startswith(wanted))
    return begun or tuple(difflib.get_close_matches(wanted, names(), n=3, cutoff=0.5))


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
        what = error.what if fixes else f"{error.what}; ava hardware list shows them all"
        return None, [Finding("unknown-hardware", "error", "run.hardware", what, origin, fixes)]


def read(path: Path) -> HardwareProfile:
    """The profile in a file. ``device: NAME`` begins with the figures of another one.

    Raises:
        ConfigError: The file is broken, or a figure lacks its source.
    """
    tree = _tree(path)
    figures = {name: tree[name] for name in FIGURES if name in tree}
    for name in ("title", "kind", *_NEEDED):
        if name not in tree:
            raise _broken(path, f"{name!r} is missing")
    if tree["kind"] not in typing.get_args(Kind):
        raise _broken(path, f"there is no kind {tree['kind']!r}")
    values = {name: figure["value"] for name, figure in figures.items()}
    try:
        unknown = {*values["precisions"], *values.get("peak_tflops", {})}
        unknown -= set(typing.get_args(Precision))
        if unknown:
            raise _broken(path, f"unknown precisions: {', '.join(sorted(map(str, unknown)))}")
        peaks = values.get("peak_tflops", {})
        return HardwareProfile(
            name=path.stem,
            title=str(tree["title"]),
            kind=tree["kind"],
            memory_bytes=_bytes(values.get("memory_gib")),
            precisions=frozenset(values["precisions"]),
            compute_capability=_capability(values.get("compute_capability")),
            devices_per_node=int(values["devices_per_node"]),
            meshes=tuple((int(rows), int(columns)) for rows, columns in values.get("meshes", ())),
            peak_flops={name: _positive(peak) * _TERA for name, peak in peaks.items()},
            memory_bandwidth=_scaled(values.get("memory_gbs"), _GIGA),
            link_bandwidth=_scaled(values.get("link_gbs"), _GIGA),
            pcie_bandwidth=_scaled(values.get("pcie_gbs"), _GIGA),
            network_bandwidth=_scaled(values.get("network_gbs"), _GIGA),
            host_memory_bytes=_bytes(values.get("host_memory_gib")),
            watts=_scaled(values.get("watts"), 1),
            price_per_hour=_scaled(values.get("price_per_hour"), 1),
            base=tree.get("base"),
            price_date=figures.get("price_per_hour", {}).get("date"),
            sources={name: figure["source"] for name, figure in figures.items()},
        )
    except (TypeError, ValueError, AttributeError):
        raise _broken(path, "a figure is not of its kind") from None


def _tree(path: Path) -> dict[str, Any]:
    """A file's own entries over those of the device that it begins with."""
    from workbench.config.reading import read_file

    tree = dict(read_file(path).tree)
    base = tree.pop("device", None)
    for name, figure in tree.items():
        told = {"value", "source"} | ({"date"} if name == "price_per_hour" else set())
        if name in ("title", "kind"):
            continue
        whole = isinstance(figure, dict) and set(figure) == told
        if name not in FIGURES or not whole or not isinstance(figure["source"], str):
            date = ", a source and a date" if "date" in told else " and a source"
            raise _broken(path, f"{name!r} is not a known figure with a value{date}")
    if base is None:
        return tree
    if base not in names() or base == path.stem:
        raise _broken(path, f"there is no device {base!r} to begin with")
    # Of a chain, the first: that is the card.
    return {"base": base} | _tree(_file(str(base))) | tree


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else round(_positive(gib) * _GIB)


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else _positive(value) * unit


def _positive(value: float) -> float:
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError(value)
    return float(value)


def _capability(text: Any) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = str(text).split(".")
    return int(major), int(minor)


def _broken(path: Path, what: str) -> ConfigError:
    return ConfigError(what, where=str(path), fix="see another file in configs/devices")

"""What there is to pick: recipes by what they are for, devices with their memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from workbench import units

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile

_KINDS = {
    "cuda": "NVIDIA",
    "rocm": "AMD",
    "cpu": "CPU",
    "tenstorrent": "Tenstorrent",
    "apple": "Apple",
}


@cache
def pickers() -> dict[str, Any]:
    """Recipes and devices in groups, the usual ones first."""
    from workbench.hardware.devices import device, names
    from workbench.machine import cores, total_memory
    from workbench.plan import recipes

    found = recipes()
    groups = [
        {
            "title": title,
            "items": [
                {"name": each.name, "title": each.title, "note": each.summary}
                for each in found
                if each.featured is featured
            ],
        }
        for title, featured in (("Recipes", True), ("Models and examples of others", False))
    ]
    memory = total_memory()
    ram = f", {units.size(memory)}" if memory else ""
    devices: dict[str, list[dict[str, str]]] = {"Here": [
        {"name": "", "title": f"this machine: {cores()} cores{ram}"}]}  # fmt: skip
    for name in names():
        profile = device(name)
        group = "AWS instances" if profile.base else _KINDS[profile.kind]
        devices.setdefault(group, []).append({"name": name, "title": _title(profile)})
    return {
        "recipes": groups,
        "devices": [{"title": title, "items": items} for title, items in devices.items()],
    }


def _title(profile: HardwareProfile) -> str:
    memory = units.size(profile.memory_bytes) if profile.memory_bytes else "the host's memory"
    return f"{profile.title} · {memory}"

"""What this machine has, from the driver and from /proc and /sys: found, and not found and why."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import machine, units
from workbench.hardware import nvml
from workbench.hardware.devices import device, names

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile

_SYS = Path("/sys")
_DEV = Path("/dev")

# Memory as the driver counts it lies below the round figure of the profile, never above it.
_MEMORY_SLACK = 0.12


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator of this machine.

    Attributes:
        title: What the driver calls it.
        memory_bytes: Its memory; None where the system does not say.
        free_bytes: What of it is free now.
        profile: The profile that has its figures; None when there is none.
    """

    title: str
    memory_bytes: int | None
    free_bytes: int | None
    profile: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found.

    Attributes:
        devices: The accelerators.
        cpu: The processor's name.
        cores: Cores that this process may use.
        native_bf16: The instructions that multiply bf16; None when they are emulated.
        memory_bytes: Host memory.
        available_bytes: What of it programs can take.
        profile: The profile to plan with: the first device's, else the CPU's.
        not_found: What was looked for in vain, and why.
    """

    devices: tuple[Device, ...]
    cpu: str
    cores: int
    native_bf16: str | None
    memory_bytes: int | None
    available_bytes: int | None
    profile: str
    not_found: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready data."""
        return asdict(self)


def detect(*, library: str = "libnvidia-ml.so.1", sys: Path = _SYS, dev: Path = _DEV) -> Machine:
    """Look at this machine. Nothing is loaded onto a device.

    Args:
        library: NVIDIA's management library.
        sys: Where the kernel describes devices.
        dev: Where device files are.
    """
    missing: list[str] = []
    found = [*_nvidia(library, missing), *_amd(sys, missing), *_tenstorrent(sys, dev, missing)]
    profiles = [each.profile for each in found if each.profile]
    return Machine(
        devices=tuple(found),
        cpu=machine.cpu_model(),
        cores=machine.cores(),
        native_bf16=machine.native_bf16(),
        memory_bytes=machine.total_memory(),
        available_bytes=machine.available_memory(),
        profile=profiles[0] if profiles else "cpu",
        not_found=tuple(missing),
    )


def _nvidia(library: str, missing: list[str]) -> list[Device]:
    try:
        found = nvml.cards(library)
    except nvml.NvmlError as error:
        missing.append(f"NVIDIA: {error.why}")
        return []
    return [
        Device(card.name, card.memory_bytes, card.free_bytes, _matching(card)) for card in found
    ]


def _amd(sys: Path, missing: list[str]) -> list[Device]:
    found = []
    for total in sorted(sys.glob("class/drm/card*/device/mem_info_vram_total")):
        memory, used = _number(total), _number(total.with_name("mem_info_vram_used"))
        title = _line(total.with_name("product_name")) or "AMD GPU"
        free = memory - used if memory is not None and used is not None else None
        profile = "mi300x" if "MI300X" in title else None
        found.append(Device(title, memory, free, profile))
    if not found:
        missing.append("AMD: no amdgpu device in /sys/class/drm")
    return found


def _tenstorrent(sys: Path, dev: Path, missing: list[str]) -> list[Device]:
    chips = sorted((dev / "tenstorrent").glob("[0-9]*"), key=lambda path: int(path.name))
    if not chips:
        missing.append("Tenstorrent: no chip in /dev/tenstorrent")
    kinds = [
        _line(sys / f"class/tenstorrent/tenstorrent!{chip.name}/tt_card_type") for chip in chips
    ]
    # n300 has two chips and four such cards are a T3000; the driver names the card, not the system.
    whole = {("n300", 8): "t3k", ("p150", 4): "quietbox2"}
    found = []
    for kind in kinds:
        name = kind.lower().rstrip("abc")
        name = whole.get((name, len(chips)), name)
        profile = name if name in names() else None
        memory = device(name).memory_bytes if profile else None
        found.append(Device(f"Tenstorrent {kind or 'chip'}", memory, None, profile))
    return found


def _matching(card: nvml.Card) -> str | None:
    """The profile of a card: of its name's words, of its memory, of its compute capability."""
    words = set(re.findall(r"[a-z0-9]+", card.name.lower()))
    fits = [
        profile
        for name in names()
        if (profile := device(name)).kind == "cuda"
        and "." not in name  # an instance of a cloud is not a card
        and name.split("_")[0 if not name.startswith("rtx_") else 1] in words
        and _as_large(card, profile)
        and card.compute_capability in (None, profile.compute_capability)
    ]
    # Between the variants of one card its name decides: "NVIDIA H100 PCIe".
    fits.sort(key=lambda profile: ("pcie" in words) != profile.name.endswith("_pcie"))
    return fits[0].name if fits else None


def _as_large(card: nvml.Card, profile: HardwareProfile) -> bool:
    assert profile.memory_bytes is not None
    return 1 - _MEMORY_SLACK <= card.memory_bytes / profile.memory_bytes <= 1.05


def _number(path: Path) -> int | None:
    text = _line(path)
    return int(text) if text.isdecimal() else None


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def describe(found: Machine) -> list[str]:
    """What was found, a line each."""
    lines = []
    for index, each in enumerate(found.devices):
        memory = units.size(each.memory_bytes) if each.memory_bytes else "memory not known"
        free = f", {units.size(each.free_bytes)} free" if each.free_bytes is not None else ""
        profile = each.profile or "no profile has its figures"
        lines.append(f"device {index}   {each.title} · {memory}{free} · {profile}")
    bf16 = (
        f"computes bf16 natively ({found.native_bf16})"
        if found.native_bf16
        else "only emulates bf16, which is slow: train in fp32 here"
    )
    lines.append(f"processor  {found.cpu} · {found.cores} cores · {bf16}")
    if found.memory_bytes is not None:
        free = f", {units.size(found.available_bytes)} free" if found.available_bytes else ""
        lines.append(f"memory     {units.size(found.memory_bytes)}{free}")
    else:
        lines.append("memory     not known: this system has no /proc/meminfo")
    return lines

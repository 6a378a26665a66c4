"""What NVIDIA's driver says of its cards, through NVML: no torch, no context, no subprocess."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

_SUCCESS = 0
_NAME_BYTES = 96


class Card(NamedTuple):
    """One card as the driver sees it."""

    name: str
    memory_bytes: int
    free_bytes: int
    compute_capability: tuple[int, int] | None
    """None where the driver does not tell."""


class NvmlError(Exception):
    """The cards cannot be asked.

    Args:
        why: The reason, as the end of a sentence.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def cards(library: str = "libnvidia-ml.so.1") -> list[Card]:
    """All NVIDIA cards of this machine.

    Args:
        library: The driver's library.

    Raises:
        NvmlError: There is no driver, or it does not answer.
    """
    try:
        nvml = ctypes.CDLL(library)
    except OSError:
        raise NvmlError(f"no NVIDIA driver is installed ({library} is not found)") from None
    _call(nvml, "nvmlInit_v2")
    try:
        count = ctypes.c_uint()
        _call(nvml, "nvmlDeviceGetCount_v2", ctypes.byref(count))
        return [_card(nvml, index) for index in range(count.value)]
    finally:
        nvml.nvmlShutdown()


def _card(nvml: ctypes.CDLL, index: int) -> Card:
    handle = ctypes.c_void_p()
    _call(nvml, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(nvml, "nvmlDeviceGetName", handle, name, ctypes.c_uint(_NAME_BYTES))
    memory = _Memory()
    _call(nvml, "nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
    major, minor = ctypes.c_int(), ctypes.c_int()
    capability: tuple[int, int] | None
    try:
        _call(
            nvml,
            "nvmlDeviceGetCudaComputeCapability",
            handle,
            ctypes.byref(major),
            ctypes.byref(minor),
        )
        capability = major.value, minor.value
    except NvmlError:
        capability = None
    return Card(name.value.decode("utf-8", "replace"), memory.total, memory.free, capability)


def _call(nvml: ctypes.CDLL, name: str, *arguments: object) -> None:
    try:
        code = getattr(nvml, name)(*arguments)
    except AttributeError:
        raise NvmlError(f"the NVIDIA driver is too old: it has no {name}") from None
    if code != _SUCCESS:
        nvml.nvmlErrorString.restype = ctypes.c_char_p
        words = nvml.nvmlErrorString(code)
        raise NvmlError(f"the NVIDIA driver says: {words.decode() if words else code}")

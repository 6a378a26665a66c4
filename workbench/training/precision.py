"""Which number format the matrix products use, and why."""

from __future__ import annotations

from typing import NamedTuple

import torch

from workbench.machine import NATIVE_BF16, cpu_flags

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision(NamedTuple):
    """A number format, and why it was taken."""

    name: str
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the residual stream and the matrix products."""
        return _DTYPES[self.name]


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Resolve ``training.mixed_precision`` for the device.

    fp8 is not built, which the plan has warned of; it becomes what auto would be.
    """
    native = native_bf16(device)
    if wanted == "no":
        return Precision("fp32", "training.mixed_precision is no")
    if wanted == "bf16":
        note = "" if native else "; this device only emulates it, which is slow"
        return Precision("bf16", f"training.mixed_precision is bf16{note}")
    if wanted == "fp16":
        note = "; a CPU computes it slowly" if device.type == "cpu" else ""
        return Precision("fp16", f"training.mixed_precision is fp16, with loss scaling{note}")
    instead = "" if wanted == "auto" else f"{wanted} is not built; "
    if native:
        return Precision("bf16", f"{instead}{native}; weights and optimizer stay in fp32")
    return Precision("fp32", f"{instead}this {device.type} has no native bf16")


def native_bf16(device: torch.device) -> str | None:
    """What computes bf16 natively, in words; None when nothing does."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"CUDA capability {major}.{minor} computes bf16 natively" if major >= 8 else None
    flags = cpu_flags()
    found = next((flag for flag in NATIVE_BF16 if flag in flags), None)
    if found is None or not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        return None
    return f"this CPU computes bf16 natively ({found})"

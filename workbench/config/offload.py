"""Where DeepSpeed keeps what is not on the device: ``none``, ``cpu`` or ``nvme``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.config.schema.deepspeed import DeepspeedConfig


def asked_optimizer_place(section: DeepspeedConfig) -> str:
    """Where the keys want the optimizer, whether or not DeepSpeed puts it there."""
    if section.offload_optimizer.device is not None:
        return section.offload_optimizer.device
    return _switched(section)


def asked_parameters_place(section: DeepspeedConfig) -> str:
    """Where the keys want the parameters; the two general switches mean them with stage 3 only."""
    if section.offload_param.device is not None:
        return section.offload_param.device
    return "none" if section.zero_stage != 3 else _switched(section)


def optimizer_place(section: DeepspeedConfig) -> str:
    """Where the optimizer lives: its own key, else what the two general switches say."""
    if not section.zero_stage:
        return "none"
    return section.offload_optimizer.device or _general(section)


def parameters_place(section: DeepspeedConfig) -> str:
    """Where the parameters live; only stage 3 moves them."""
    if section.zero_stage != 3:
        return "none"
    return section.offload_param.device or _general(section)


def _switched(section: DeepspeedConfig) -> str:
    return "nvme" if section.nvme_offload else "cpu" if section.cpu_offload else "none"


def _general(section: DeepspeedConfig) -> str:
    # Stage 2 takes a request for NVMe without a word and stays in memory (DeepSpeed 0.19.8, run).
    if section.nvme_offload and section.zero_stage == 3:
        return "nvme"
    return "cpu" if section.cpu_offload or section.nvme_offload else "none"

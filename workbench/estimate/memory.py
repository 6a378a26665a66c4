"""Memory of one device: the moments of a step, and the largest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.estimate.engines.choose import ledger_of
from workbench.estimate.setting import Setting

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.ledger import Moment


@dataclass(frozen=True, slots=True)
class Memory:
    """What one device has to hold.

    Attributes:
        setting: How the config is trained.
        moments: Every moment that can be the largest, in the order of a step.
        peak: The largest of them.
        capacity: Memory of the device; None where it is not known.
    """

    setting: Setting
    moments: tuple[Moment, ...]
    peak: Moment
    capacity: int | None

    @property
    def allocated(self) -> int:
        """Bytes that tensors take at the peak."""
        return self.peak.bytes

    def to_dict(self) -> dict[str, Any]:
        """The memory with the lines of its peak, as JSON-ready data."""
        return {
            "strategy": self.setting.strategy,
            "precision": self.setting.precision,
            "recompute": self.setting.recompute,
            "allocated": self.allocated,
            "capacity": self.capacity,
            "moments": {moment.name: moment.bytes for moment in self.moments},
            "peak": self.peak.to_dict(),
        }


def why_unknown(config: Config) -> list[str]:
    """What of a config the ledger has no lines for."""
    model, parallel, lora = config.model, config.parallel, config.lora
    missing = {
        "model.num_experts": model.num_experts > 1,
        "model.mla": model.mla.enabled,
        "training.mtp": config.training.mtp.enabled,
        "lora": lora.enabled,
        "deepspeed": config.deepspeed.enabled,
        "fsdp.sharding_strategy: hybrid": config.fsdp.sharding_strategy == "hybrid",
        "fsdp.cpu_offload": parallel.strategy == "fsdp" and config.fsdp.cpu_offload,
        "fsdp.offload_activations": parallel.strategy == "fsdp" and config.fsdp.offload_activations,
        "tensor, pipeline and context parallelism": (
            parallel.tensor_parallel_size
            * parallel.pipeline_parallel_size
            * parallel.context_parallel_size
            > 1
        ),
    }
    return [name for name, lacks in missing.items() if lacks]


def memory_of(config: Config, hardware: HardwareProfile | None = None) -> Memory:
    """The memory of one device.

    Args:
        config: The config; `why_unknown` is empty for it.
        hardware: The device; None is this machine's CPU.
    """
    setting = Setting.of(config, hardware)
    _, _, moments = ledger_of(config, setting)
    peak = max(moments, key=lambda moment: moment.bytes)
    capacity = hardware.memory_bytes if hardware is not None else None
    return Memory(setting, tuple(moments), peak, capacity)

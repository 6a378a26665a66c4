"""What the words of a config come to on a device: strategy, number format, recomputation.

The trainer decides the same in `workbench.training`: `engines/choose.py`, `precision.py`,
`session.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.estimate.widths import OTHER_HALF

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.network.structure import Recompute

Strategy = Literal["single", "ddp", "fsdp", "deepspeed"]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a config is trained.

    Attributes:
        strategy: What divides the training.
        devices: Devices over all nodes.
        shards: Devices that share each weight.
        cpu: Whether CPUs compute.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        recompute: What the backward pass computes again.
        accumulating: Whether a step has several micro-batches.
        fetched: Bytes of the format in which FSDP fetches the weights of blocks.
    """

    strategy: Strategy
    devices: int
    shards: int
    cpu: bool
    precision: str
    recompute: Recompute
    accumulating: bool
    fetched: int = 4

    @property
    def width(self) -> int:
        """Bytes of the compute dtype."""
        return 4 if self.precision == "fp32" else 2

    @classmethod
    def of(cls, config: Config, hardware: HardwareProfile | None) -> Setting:
        """What the config comes to; without hardware, on a CPU."""
        parallel = config.parallel
        devices = parallel.num_nodes * parallel.devices_per_node
        strategy: Strategy = "single" if devices == 1 else "ddp"
        if config.deepspeed.enabled:
            strategy = "deepspeed"
        elif parallel.strategy != "auto":
            strategy = parallel.strategy
        training = config.training
        precision = _precision(training.mixed_precision, hardware)
        fetched = config.fsdp.param_dtype or precision
        return cls(
            strategy=strategy,
            devices=devices,
            shards=_shards(config, devices) if strategy == "fsdp" else 1,
            cpu=hardware is None or hardware.kind == "cpu",
            precision=precision,
            recompute=(
                training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"
            ),
            accumulating=training.gradient_accumulation_steps > 1,
            fetched=_width_of(fetched, precision),
        )


def _width_of(fetched: str, precision: str) -> int:
    if fetched == "fp32":
        return 4
    return 2 if precision in (fetched, "fp32") else OTHER_HALF


def _shards(config: Config, devices: int) -> int:
    match config.fsdp.sharding_strategy:
        case "hybrid":
            return config.parallel.devices_per_node
        case "no_shard":
            return 1
        case _:
            return devices


def _precision(wanted: str, hardware: HardwareProfile | None) -> str:
    if wanted == "no":
        return "fp32"
    if wanted in ("bf16", "fp16"):
        return wanted
    return "bf16" if hardware is not None and hardware.computes("bf16") else "fp32"

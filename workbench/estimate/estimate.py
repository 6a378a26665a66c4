"""Everything that follows from a plan before it costs anything: the one call of every face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.config.size import Size, size_of
from workbench.estimate.batch import Batch
from workbench.estimate.memory import Memory, memory_of, why_unknown

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will take.

    Attributes:
        size: Parameters; None where they cannot be counted yet.
        batch: The batch identity.
        memory: Memory of one device; None where the ledger has no lines for the plan.
        unknown: Why not: the keys that it has no lines for.
    """

    size: Size | None
    batch: Batch
    memory: Memory | None
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Config, hardware: HardwareProfile | None = None) -> Estimate:
        """The estimate of a config on a device; None is this machine's CPU."""
        unknown = tuple(why_unknown(config))
        return cls(
            size=size_of(config.model, config.training.mtp, config.lora),
            batch=Batch.of(config, Degrees.of(config).data),
            memory=None if unknown else memory_of(config, hardware),
            unknown=unknown,
        )

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON-ready data."""
        return {
            "parameters": None if self.size is None else self.size.total,
            "active_parameters": None if self.size is None else self.size.active,
            "batch": self.batch.equation(),
            "memory": None if self.memory is None else self.memory.to_dict(),
            "unknown": list(self.unknown),
        }

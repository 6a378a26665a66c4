"""Everything that follows from a plan before it costs anything: the one call of every face.

Each figure is computed when somebody asks for it, and once. What cannot be known is None, with the
reason among the assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.config.size import Size, size_of
from workbench.estimate.assumptions import memory_assumptions
from workbench.estimate.batch import Batch
from workbench.estimate.budget import Budget, budget_of
from workbench.estimate.flops import Flops, flops_of
from workbench.estimate.ledger import Line
from workbench.estimate.memory import Memory, memory_of
from workbench.estimate.money import Bill, bill_of
from workbench.estimate.speed import Efficiency, Interval, Speed, Unknown, speed_of
from workbench.estimate.traffic import Numbers

if TYPE_CHECKING:
    from collections.abc import Collection

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config

_MOST_BYTES = 40
"""Bytes per parameter beyond which no engine's share of a host and its checkpoint goes, without
the buffers of DeepSpeed, which are as large as the plan says."""


@dataclass(frozen=True)
class Estimate:
    """What a plan will take.

    Attributes:
        config: The plan.
        hardware: The device that it is for; None is this machine's CPU.
        origins: Keys that a layer sets; None: those that the config was made with.
        sequences_per_epoch: Sequences of one pass over the text; None: not counted, or endless.
        measured: What this machine reached with such a plan; None: not measured.
    """

    config: Config = field(repr=False)
    hardware: HardwareProfile | None = None
    origins: Collection[str] | None = field(default=None, repr=False)
    sequences_per_epoch: int | None = None
    measured: Efficiency | None = None

    @classmethod
    def of(
        cls,
        config: Config,
        hardware: HardwareProfile | None = None,
        *,
        origins: Collection[str] | None = None,
        sequences_per_epoch: int | None = None,
        measured: Efficiency | None = None,
    ) -> Estimate:
        """The estimate of a config on a device; None is this machine's CPU."""
        return cls(config, hardware, origins, sequences_per_epoch, measured)

    @cached_property
    def size(self) -> Size:
        """Parameters."""
        return size_of(self.config.model, self.config.training.mtp, self.config.lora)

    @cached_property
    def batch(self) -> Batch:
        """The batch identity."""
        return Batch.of(self.config, Degrees.of(self.config).data)

    @cached_property
    def memory(self) -> Memory:
        """Memory of one device, line by line."""
        return memory_of(self.config, self.hardware)

    @property
    def capacity(self) -> int | None:
        """Memory of the device; None where it is the host's."""
        return None if self.hardware is None else self.hardware.memory_bytes

    @cached_property
    def needed(self) -> int:
        """Bytes of one device that the plan needs, as close to what a driver shows as is known."""
        return self.memory.process or self.memory.allocated

    @cached_property
    def beyond(self) -> tuple[Line, ...]:
        """What the process takes on the device beside its tensors: `needed` less the peak."""
        memory = self.memory
        if memory.process is None or memory.reserved is None:
            return ()
        gap = memory.reserved - memory.allocated
        what = "pools of the allocator beyond the tensors of the peak"
        pools = Line(what, "sum of each stream's own largest moment, in segments", gap, "process",
                     "c10/core/AllocatorConfig.h")  # fmt: skip
        return (pools, *memory.process_lines)

    @cached_property
    def host_headroom(self) -> int | None:
        """Bytes of main memory that a node has left; None where either is not known."""
        if self.hardware is None or self.hardware.host_memory_bytes is None:
            return None
        return self.hardware.host_memory_bytes - sum(line.bytes for line in self.memory.host)

    @property
    def headroom(self) -> int | None:
        """Bytes that the plan leaves free, negative where it needs more than there are.

        None where the device's memory is not known.
        """
        return None if self.capacity is None else self.capacity - self.needed

    @property
    def fits(self) -> bool | None:
        """Whether the plan fits into its device, and its host; None where nobody knows."""
        headroom = self.headroom
        if headroom is None or headroom < 0 or self._host_is_ample:
            return None if headroom is None else headroom >= 0
        return self.host_headroom is None or self.host_headroom >= 0

    @property
    def _host_is_ample(self) -> bool:
        """Whether the host holds everything twice over, so that nobody has to count."""
        hardware = self.hardware
        if hardware is None or hardware.host_memory_bytes is None:
            return True
        ample = hardware.host_memory_bytes >= _MOST_BYTES * self.size.total
        return ample and not self.config.deepspeed.enabled

    @cached_property
    def flops(self) -> Flops:
        """FLOPs of a step."""
        return flops_of(self.config, cpu=self.hardware is None or self.hardware.kind == "cpu")

    @cached_property
    def _speed(self) -> Speed | Unknown:
        return speed_of(
            self.config,
            self.hardware,
            flops=self.flops.model,
            numbers=Numbers.of(self.config, self.size),
            measured=self.measured,
        )

    @property
    def speed(self) -> Speed | None:
        """Time of a step and tokens per second; None where the device's peak is not known."""
        return self._speed if isinstance(self._speed, Speed) else None

    @property
    def no_speed(self) -> Unknown | None:
        """Why there is no speed, and what would make one possible."""
        return self._speed if isinstance(self._speed, Unknown) else None

    @cached_property
    def budget(self) -> Budget:
        """Optimizer steps of the whole training."""
        training, given = self.config.training, self.origins
        if given is None:
            given = {f"training.{name}" for name in training.model_fields_set}
        return budget_of(
            training,
            max_steps_given="training.max_steps" in given,
            sequences_per_step=self.batch.sequences,
            tokens_per_step=self.batch.tokens,
            parameters=self.size.total,
            sequences_per_epoch=self.sequences_per_epoch,
        )

    @cached_property
    def bill(self) -> Bill | None:
        """Hours, money and energy; None without a speed, or without an end."""
        if self.speed is None or self.hardware is None or self.budget.steps is None:
            return None
        return bill_of(
            self.config,
            self.hardware,
            self.speed,
            steps=self.budget.steps,
            parameters=self.size.active,
        )

    @property
    def time(self) -> Interval | None:
        """Hours from the first step to the last."""
        return None if self.bill is None else self.bill.hours

    @property
    def cost(self) -> Interval | None:
        """Dollars for all devices."""
        return None if self.bill is None else self.bill.dollars

    @property
    def energy(self) -> Interval | None:
        """Kilowatt-hours of all devices."""
        return None if self.bill is None else self.bill.kilowatt_hours

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        """What the figures rest on, and why others are missing, a sentence each."""
        found = [*memory_assumptions(self.config, self.hardware)]
        if isinstance(self._speed, Unknown):
            found.append(f"speed is not known: {self._speed.why}; {self._speed.fix}")
        else:
            found += self._speed.assumptions
        if self.budget.steps is None:
            found.append(f"the end is not known: the training is {self.budget.because}")
        elif self.bill is not None:
            found += self.bill.assumptions
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON-ready data."""
        speed, bill = self.speed, self.bill
        return {
            "hardware": None if self.hardware is None else self.hardware.name,
            "parameters": self.size.total,
            "active_parameters": self.size.active,
            "trainable_parameters": self.size.trainable,
            "parts": dict(self.size.parts),
            "batch": self.batch.equation(),
            "tokens_per_step": self.batch.tokens,
            "fits": self.fits,
            "headroom": self.headroom,
            "host_headroom": self.host_headroom,
            "needed": self.needed,
            "capacity": self.capacity,
            "memory": self.memory.to_dict(),
            "flops": self.flops.to_dict(),
            "speed": None if speed is None else speed.to_dict(),
            "steps": self.budget.steps,
            "length": self.budget.because,
            "bill": None if bill is None else bill.to_dict(),
            "assumptions": list(self.assumptions),
        }

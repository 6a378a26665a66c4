"""How fast candidates are, and what they cost: the likely figures of `workbench.estimate.speed`.

Candidates of one search see the same sequences in a step, so they share its model FLOPs. They
differ in what they compute again, in how often they go through the weights, and in what they send.
All of it moves the share of the peak that a plan reaches, in proportion to its time. (Published
shares with and without recomputation are those of different models; they say nothing on what it
costs one.) Where the device's speed is not known, candidates can still be put in order: by what
they compute, and by what travels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.degrees import Degrees
from workbench.config.size import num_expert_layers, size_of
from workbench.estimate.batch import Batch
from workbench.estimate.fit.edits import changed
from workbench.estimate.flops import flops_of
from workbench.estimate.money import bill_of
from workbench.estimate.speed import Efficiency, Unknown, reach_of, speed_of
from workbench.estimate.traffic import Numbers, flows

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config

# What lies between matrix products takes no FLOPs and yet some time: about 4 % where it is computed
# again (arXiv 2205.05198, figure 8).
_BETWEEN = 1.04

# Bytes of the device's memory that every micro-batch moves for each weight, whatever its size: cast
# (4 read, 2 written), read for two products (4), gradient written, cast and added (2, 6, 12).
_BYTES_PER_WEIGHT = 30

# What a byte on a link counts where no speed is known: an H100 computes about so many FLOPs while
# its link carries one.
_FLOPS_PER_BYTE = 1000.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The likely speed of a plan.

    Attributes:
        seconds: Time of an optimizer step; None where the device's speed is not known.
        tokens_per_second: Over all devices.
        hours: Until the last step.
        dollars: For all devices and hours; None without a price.
        order: What candidates of one search are put in order by; smaller is faster.
    """

    seconds: float | None
    tokens_per_second: float | None
    hours: float | None
    dollars: float | None
    order: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready data."""
        return {
            "step_seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "hours": self.hours,
            "dollars": self.dollars,
        }


class _Work(NamedTuple):
    """What is computed in a step.

    Attributes:
        model: FLOPs, nothing twice.
        times: All that is computed, over that.
    """

    model: float
    times: float


class Pacer:
    """Gives the pace of plans for one model on one kind of device.

    Args:
        plan: One of them: it reaches the share of the peak that `workbench.estimate.speed` says.
        hardware: The device.
        measured: What the machine reached with such a plan.
        steps: Optimizer steps of the training; by default ``training.max_steps``.
    """

    def __init__(
        self,
        plan: Config,
        hardware: HardwareProfile | None,
        measured: Efficiency | None = None,
        steps: int | None = None,
    ) -> None:
        self._plan, self._hardware, self._measured = plan, hardware, measured
        self._steps = steps or plan.training.max_steps
        self._numbers = numbers_of(plan)
        self._active = size_of(plan.model).active
        self._work: dict[tuple[str, int, int], _Work] = {}
        self._reached: dict[str, tuple[Efficiency, float] | None] = {}

    def __call__(self, config: Config) -> Pace:
        """The pace of a plan."""
        hardware, reached = self._hardware, self._efficiency(config)
        if hardware is None or reached is None:
            return self._unknown(config)
        flops = self._work_of(config).model
        speed = speed_of(config, hardware, flops=flops, numbers=self._numbers, measured=reached)
        if isinstance(speed, Unknown):
            return self._unknown(config)
        bill = bill_of(config, hardware, speed, steps=self._steps, parameters=self._active)
        seconds = speed.step_seconds.likely
        return Pace(
            seconds,
            speed.tokens_per_second.likely,
            bill.hours.likely,
            None if bill.dollars is None else bill.dollars.likely,
            seconds,
        )

    def _unknown(self, config: Config) -> Pace:
        work = self._work_of(config)
        done = work.model * work.times / Degrees.of(config).devices
        sent = sum(flow.volume for flow in flows(config, self._numbers))
        return Pace(None, None, None, None, done + _FLOPS_PER_BYTE * sent)

    def _work_of(self, config: Config) -> _Work:
        """What is computed in a step; micro-batches and devices only cut it in other pieces."""
        batch, kind = Batch.of(config, Degrees.of(config).data), recomputation(config)
        key = kind, batch.length, batch.sequences
        if key not in self._work:
            flops = flops_of(config)
            times = flops.hardware / (flops.hardware - flops.recomputed)
            self._work[key] = _Work(flops.model, times * (_BETWEEN if kind == "selective" else 1))
        return self._work[key]

    def _efficiency(self, config: Config) -> Efficiency | None:
        """The share of the peak that a plan reaches, from the one that the first plan reaches."""
        reach = self._reach(config.training.mixed_precision)
        if reach is None:
            return None
        efficiency, rate = reach
        share = self._times(self._plan, rate) / self._times(config, rate)
        return Efficiency(efficiency.mfu * share, efficiency.spread, efficiency.source)

    def _times(self, config: Config, rate: float) -> float:
        """What a step takes over what its model FLOPs take at a rate of each device."""
        work, degrees = self._work_of(config), Degrees.of(config)
        bandwidth = None if self._hardware is None else self._hardware.memory_bandwidth
        if bandwidth is None:
            return work.times
        held = self._numbers.parameters / degrees.tensor / degrees.pipeline
        moved = config.training.gradient_accumulation_steps * _BYTES_PER_WEIGHT * held
        return work.times + moved / bandwidth * degrees.devices * rate / work.model

    def _reach(self, precision: str) -> tuple[Efficiency, float] | None:
        """The share that the first plan reaches in a number format, and FLOP/s of that."""
        if precision not in self._reached:
            plan = changed(self._plan, {"training.mixed_precision": precision})
            found = None if self._hardware is None else reach_of(plan, self._hardware)
            if found is not None:
                efficiency = self._measured or found[0]
                found = efficiency, efficiency.mfu * found[1]
            self._reached[precision] = found
        return self._reached[precision]


def numbers_of(config: Config) -> Numbers:
    """What a plan trains, counted."""
    model = config.model
    size = size_of(model, config.training.mtp, config.lora)
    return Numbers(
        size.total,
        size.trainable,
        model.num_layers,
        model.hidden_size,
        num_expert_layers(model),
        model.num_experts_per_token,
    )


def recomputation(config: Config) -> str:
    """What the backward pass computes again: ``none``, ``selective`` or ``block``."""
    training = config.training
    return training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"

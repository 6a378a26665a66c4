"""How fast candidates are, and what they cost: the likely figures of `workbench.estimate.speed`.

Candidates of one search see the same sequences in a step, so they share its model FLOPs. They
differ in what they compute again, in how often they go through the weights, and in what they send.
All of it moves the share of the peak that a plan reaches, in proportion to its time. (Published
shares with and without recomputation are those of different models; they say nothing on what it
costs one.) Where the device's speed is not known, candidates can still be put in order: by what
they compute, and by what travels.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.degrees import Degrees
from workbench.config.size import size_of
from workbench.estimate.batch import Batch
from workbench.estimate.budget import budget_of
from workbench.estimate.fit.edits import changed
from workbench.estimate.flops import flops_of
from workbench.estimate.speed import Efficiency, Unknown, launch_seconds, reach_of, timing_of
from workbench.estimate.traffic import Numbers, flows

if TYPE_CHECKING:
    from collections.abc import Collection

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


class Pace(NamedTuple):
    """The likely speed of a plan.

    Attributes:
        seconds: Time of an optimizer step; None where the device's speed is not known.
        tokens_per_second: Over all devices.
        hours: Until the last step; None where nobody knows how many there are.
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
        steps: How many there are; None where nobody knows.
    """

    model: float
    times: float
    steps: int | None


class _Reach(NamedTuple):
    """What the first plan reaches in a number format.

    Attributes:
        efficiency: The share of the peak.
        rate: FLOP/s of a device at that share.
        times: What its step takes over what its model FLOPs take at that rate.
    """

    efficiency: Efficiency
    rate: float
    times: float


class Pacer:
    """Gives the pace of plans for one model on one kind of device.

    Args:
        plan: One of them: it reaches the share of the peak that `workbench.estimate.speed` says.
        hardware: The device.
        measured: What the machine reached with such a plan.
        origins: Keys that a layer sets; None: those that the config was made with.
    """

    def __init__(
        self,
        plan: Config,
        hardware: HardwareProfile | None,
        measured: Efficiency | None = None,
        origins: Collection[str] | None = None,
    ) -> None:
        self._plan, self._hardware, self._measured = plan, hardware, measured
        given = plan.training.model_fields_set
        self._ends = "max_steps" in given if origins is None else "training.max_steps" in origins
        self._size = size_of(plan.model, plan.training.mtp, plan.lora)
        self._numbers = Numbers.of(plan, self._size)
        self._work: dict[tuple[str, int, int], _Work] = {}
        self._reached: dict[str, _Reach | None] = {}

    def on(self, hardware: HardwareProfile) -> Pacer:
        """A pacer for another device, who knows what this one has counted."""
        other = copy(self)
        vars(other).update(_hardware=hardware, _measured=None, _reached={})
        return other

    def __call__(self, config: Config) -> Pace:
        """The pace of a plan."""
        hardware, degrees = self._hardware, Degrees.of(config)
        work = self._work_of(config, degrees)
        reached = self._efficiency(config, degrees, work)
        if hardware is None or reached is None:
            return self._unknown(config, degrees, work)
        timing = timing_of(
            config, hardware, flops=work.model, numbers=self._numbers, measured=reached
        )
        if isinstance(timing, Unknown):
            return self._unknown(config, degrees, work)
        seconds = timing.likely
        rate = Batch.of(config, degrees.data).tokens / seconds
        if work.steps is None:
            return Pace(seconds, rate, None, None, seconds)
        hours, price = work.steps * seconds / 3600, hardware.price_per_hour
        dollars = None if price is None else hours * price * degrees.devices
        return Pace(seconds, rate, hours, dollars, seconds)

    def _unknown(self, config: Config, degrees: Degrees, work: _Work) -> Pace:
        done = work.model * work.times / degrees.devices
        sent = sum(flow.volume for flow in flows(config, self._numbers))
        return Pace(None, None, None, None, done + _FLOPS_PER_BYTE * sent)

    def _work_of(self, config: Config, degrees: Degrees) -> _Work:
        """What is computed in a step; micro-batches and devices only cut it in other pieces."""
        batch, kind = Batch.of(config, degrees.data), recomputation(config)
        key = kind, batch.length, batch.sequences
        if key not in self._work:
            flops = flops_of(config)
            times = flops.hardware / (flops.hardware - flops.recomputed)
            times *= _BETWEEN if kind == "selective" else 1
            self._work[key] = _Work(flops.model, times, self._steps(config, batch))
        return self._work[key]

    def _efficiency(self, config: Config, degrees: Degrees, work: _Work) -> Efficiency | None:
        """The share of the peak that a plan reaches, from the one that the first plan reaches."""
        precision = config.training.mixed_precision
        if precision not in self._reached:
            self._reached[precision] = self._reach(precision)
        reach = self._reached[precision]
        if reach is None:
            return None
        share = reach.times / self._times(config, degrees, work, reach.rate)
        mfu = reach.efficiency.mfu * share
        if self._measured is None:  # a measured share has the waiting in it
            seconds = work.model / (degrees.devices * reach.rate * share)
            mfu *= min(1.0, seconds / launch_seconds(config, self._numbers))
        return Efficiency(mfu, reach.efficiency.spread, reach.efficiency.source)

    def _reach(self, precision: str) -> _Reach | None:
        """What the first plan reaches in a number format."""
        plan = self._plan
        if plan.training.mixed_precision != precision:
            plan = changed(plan, {"training.mixed_precision": precision})
        found = None if self._hardware is None else reach_of(plan, self._hardware)
        if found is None:
            return None
        efficiency, degrees = self._measured or found[0], Degrees.of(plan)
        rate = efficiency.mfu * found[1]
        return _Reach(
            efficiency, rate, self._times(plan, degrees, self._work_of(plan, degrees), rate)
        )

    def _times(self, config: Config, degrees: Degrees, work: _Work, rate: float) -> float:
        """What a step takes over what its model FLOPs take at a rate of each device."""
        bandwidth = None if self._hardware is None else self._hardware.memory_bandwidth
        if bandwidth is None:
            return work.times
        held = self._numbers.parameters / degrees.tensor / degrees.pipeline
        moved = config.training.gradient_accumulation_steps * _BYTES_PER_WEIGHT * held
        return work.times + moved / bandwidth * degrees.devices * rate / work.model

    def _steps(self, config: Config, batch: Batch) -> int | None:
        return budget_of(
            config.training,
            max_steps_given=self._ends,
            sequences_per_step=batch.sequences,
            tokens_per_step=batch.tokens,
            parameters=self._size.total,
        ).steps


def recomputation(config: Config) -> str:
    """What the backward pass computes again: ``none``, ``selective`` or ``block``."""
    training = config.training
    return training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"

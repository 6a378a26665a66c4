"""How fast candidates are, and what they cost: the likely figures of `workbench.estimate.speed`.

Candidates of one search see the same sequences in a step, so they share its FLOPs; they differ in
what they compute again and in what they send. Where the device's speed is not known they can still
be put in order: by that work, and by what travels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.estimate.batch import Batch
from workbench.estimate.money import bill_of
from workbench.estimate.speed import Speed, speed_of
from workbench.estimate.traffic import flows

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.speed import Efficiency
    from workbench.estimate.traffic import Numbers

WORK = {"none": 3.0, "selective": 3.12, "block": 4.0}
"""Passes forward that a step is worth: a backward pass is two, recomputing whole blocks is one
(arXiv 2205.05198, section 5), what lies between their matrix products about 4 % (figure 7)."""


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


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed in a step, whoever computes it.

    Attributes:
        flops: FLOPs of one sequence, forward and backward.
        numbers: What is trained.
        steps: Optimizer steps of the training.
        active: Parameters that a token meets.
    """

    flops: float
    numbers: Numbers
    steps: int
    active: int


# What a byte on a link counts where no speed is known: an H100 computes about so many FLOPs while
# its link carries one.
_FLOPS_PER_BYTE = 1000.0


class Pacer:
    """Gives the pace of candidates that share their work.

    Args:
        hardware: The device.
        work: What a step computes.
        measured: What the machine reached with such a plan.
    """

    def __init__(
        self, hardware: HardwareProfile | None, work: Work, measured: Efficiency | None = None
    ) -> None:
        self._hardware, self._work, self._measured = hardware, work, measured

    def __call__(self, config: Config) -> Pace:
        """The pace of a candidate."""
        work, degrees = self._work, Degrees.of(config)
        flops = work.flops * Batch.of(config, degrees.data).sequences
        speed = speed_of(
            config, self._hardware, flops=flops, numbers=work.numbers, measured=self._measured
        )
        if not isinstance(speed, Speed) or self._hardware is None:
            passes = WORK[recomputation(config)] / WORK["none"]
            sent = sum(flow.volume for flow in flows(config, work.numbers))
            order = passes * flops / degrees.devices + _FLOPS_PER_BYTE * sent
            return Pace(None, None, None, None, order)
        bill = bill_of(config, self._hardware, speed, steps=work.steps, parameters=work.active)
        seconds = speed.step_seconds.likely
        return Pace(
            seconds,
            speed.tokens_per_second.likely,
            bill.hours.likely,
            None if bill.dollars is None else bill.dollars.likely,
            seconds,
        )


def recomputation(config: Config) -> str:
    """What the backward pass computes again: ``none``, ``selective`` or ``block``."""
    training = config.training
    return training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"

"""What a run takes until it is finished: hours, money, energy; and what a larger one would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.estimate.batch import Batch

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.speed import Interval, Speed

# Tokens per parameter that lower the loss most for the same FLOPs (arXiv 2203.15556, table 3).
TOKENS_PER_PARAMETER = 20


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run takes.

    Attributes:
        steps: Optimizer steps.
        tokens: Tokens trained on.
        hours: Time from the first step to the last; evaluations and checkpoints come on top.
        dollars: Price of all devices for that time; None without a price.
        price_date: The day the price was true.
        kilowatt_hours: Energy of the devices; None without their power.
        optimal_tokens: Tokens at which this model would be compute-optimal.
    """

    steps: int
    tokens: int
    hours: Interval
    dollars: Interval | None
    price_date: str | None
    kilowatt_hours: Interval | None
    optimal_tokens: int

    @property
    def share_of_optimal(self) -> float:
        """Tokens of the run over the compute-optimal number."""
        return self.tokens / self.optimal_tokens


def bill_of(
    config: Config, hardware: HardwareProfile, speed: Speed, *, steps: int, parameters: int
) -> Bill:
    """Hours, money and energy of a run of `steps` steps.

    Args:
        config: The plan.
        hardware: The device that it is for.
        speed: Its speed.
        steps: Optimizer steps to go.
        parameters: Active parameters of the model, N of the compute-optimal rule.
    """
    degrees = Degrees.of(config)
    hours = speed.step_seconds.scaled(steps / 3600)
    price, watts = hardware.price_per_hour, hardware.watts
    return Bill(
        steps=steps,
        tokens=steps * Batch.of(config, degrees.data).tokens,
        hours=hours,
        dollars=hours.scaled(price * degrees.devices) if price else None,
        price_date=hardware.price_date,
        kilowatt_hours=hours.scaled(watts * degrees.devices / 1000) if watts else None,
        optimal_tokens=TOKENS_PER_PARAMETER * parameters,
    )

"""What a run takes until it is finished: hours, money, energy; and what a larger one would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        assumptions: What the figures rest on, a sentence each.
    """

    steps: int
    tokens: int
    hours: Interval
    dollars: Interval | None
    price_date: str | None
    kilowatt_hours: Interval | None
    optimal_tokens: int
    assumptions: tuple[str, ...] = ()

    @property
    def share_of_optimal(self) -> float:
        """Tokens of the run over the compute-optimal number."""
        return self.tokens / self.optimal_tokens

    @property
    def optimal_hours(self) -> Interval:
        """Hours to the compute-optimal number of tokens."""
        return self.hours.scaled(1 / self.share_of_optimal)

    @property
    def optimal_dollars(self) -> Interval | None:
        """Price of those hours."""
        return None if self.dollars is None else self.dollars.scaled(1 / self.share_of_optimal)

    def to_dict(self) -> dict[str, Any]:
        """The bill as JSON-ready data."""

        def data(interval: Interval | None) -> dict[str, float] | None:
            return None if interval is None else interval.to_dict()

        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "hours": data(self.hours),
            "dollars": data(self.dollars),
            "price_date": self.price_date,
            "kilowatt_hours": data(self.kilowatt_hours),
            "compute_optimal": {
                "tokens": self.optimal_tokens,
                "hours": data(self.optimal_hours),
                "dollars": data(self.optimal_dollars),
            },
        }


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
    assumptions = ["evaluations, checkpoints and the start come on top of the time"]
    if price:
        assumptions.append(
            f"${price:.2f} an hour for one device, as of {hardware.price_date} "
            f"({hardware.sources.get('price_per_hour', 'no source')})"
        )
    else:
        assumptions.append(f"no price of {hardware.title} is known: set one in your own profile")
    if watts:
        assumptions.append(f"{watts:g} W for one device all the time; its host is not counted")
    else:
        assumptions.append(f"the power of {hardware.title} is not known")
    assumptions.append(
        f"compute-optimal is {TOKENS_PER_PARAMETER} tokens per active parameter "
        "(Chinchilla, arXiv 2203.15556, table 3)"
    )
    return Bill(
        steps=steps,
        tokens=steps * Batch.of(config, degrees.data).tokens,
        hours=hours,
        dollars=hours.scaled(price * degrees.devices) if price else None,
        price_date=hardware.price_date,
        kilowatt_hours=hours.scaled(watts * degrees.devices / 1000) if watts else None,
        optimal_tokens=TOKENS_PER_PARAMETER * parameters,
        assumptions=tuple(assumptions),
    )

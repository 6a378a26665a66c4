"""How far a plan can go: its largest micro-batch, its longest sequence, its smallest card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.estimate.fit.edits import changed
from workbench.estimate.fit.judge import Judge
from workbench.estimate.fit.result import MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.fit.result import Need

MULTIPLE = 64
"""Lengths are tried in multiples of this: kernels take blocks of so many positions."""

_MOST_SEQUENCES = 2**20
_MOST_TOKENS = 2**22


@dataclass(frozen=True, slots=True)
class Bound:
    """How far one setting can go.

    Attributes:
        value: The largest that fits; 0 where not even the smallest does.
        edits: What sets it.
        need: What the plan then takes; None where nothing fits.
        headroom: Bytes that are left beside the margin; None where nothing fits.
        judged: Whether it is known how much memory the device has; where not, nothing can be said.
    """

    value: int
    edits: dict[str, Any]
    need: Need | None
    headroom: int | None
    judged: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The bound as JSON-ready data."""
        return {
            "value": self.value,
            "edits": dict(self.edits),
            "bytes": None if self.need is None else self.need.bytes,
            "compared": None if self.need is None else self.need.what,
            "headroom": self.headroom,
            "judged": self.judged,
        }


@dataclass(frozen=True, slots=True)
class Card:
    """A device, and the plan on it.

    Attributes:
        hardware: The device.
        need: What the plan takes there.
        headroom: Bytes that are left beside the margin; negative where it does not fit.
        fits: Whether it fits.
    """

    hardware: HardwareProfile
    need: Need
    headroom: int
    fits: bool

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready data."""
        return {
            "hardware": self.hardware.name,
            "memory": self.hardware.memory_bytes,
            "price_per_hour": self.hardware.price_per_hour,
            "bytes": self.need.bytes,
            "compared": self.need.what,
            "headroom": self.headroom,
            "fits": self.fits,
        }


def largest_micro_batch(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    margin: float = MARGIN,
    context: int | None = None,
    capacity: int | None = None,
) -> Bound:
    """The most sequences of a micro-batch, everything else as it is; the sequences of a step grow.

    Args:
        config: The plan.
        hardware: Its device; None is this machine's CPU.
        margin: Part of the device to leave free.
        context: Bytes that processes were seen to take beside what torch holds.
        capacity: Bytes of the device; by default those of its profile.
    """
    return _largest(
        config,
        hardware,
        lambda number: {"training.batch_size": number},
        most=_MOST_SEQUENCES,
        margin=margin,
        context=context,
        capacity=capacity,
    )


def longest_sequence(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    margin: float = MARGIN,
    context: int | None = None,
    capacity: int | None = None,
) -> Bound:
    """The most tokens of a sequence, in multiples of 64, everything else as it is.

    The model's positions grow where they are too few.

    Args:
        config: The plan.
        hardware: Its device; None is this machine's CPU.
        margin: Part of the device to leave free.
        context: Bytes that processes were seen to take beside what torch holds.
        capacity: Bytes of the device; by default those of its profile.
    """
    positions = config.model.max_position_embeddings

    def edits(number: int) -> dict[str, Any]:
        length = number * MULTIPLE
        found: dict[str, Any] = {"data.max_length": length}
        if length > positions:
            found["model.max_position_embeddings"] = length
        return found

    most = _MOST_TOKENS // MULTIPLE
    bound = _largest(
        config, hardware, edits, most=most, margin=margin, context=context, capacity=capacity
    )
    return Bound(bound.value * MULTIPLE, bound.edits, bound.need, bound.headroom, bound.judged)


def _largest(
    config: Config,
    hardware: HardwareProfile | None,
    edits: Callable[[int], dict[str, Any]],
    *,
    most: int,
    margin: float,
    context: int | None,
    capacity: int | None,
) -> Bound:
    """By doubling and then halving: memory grows with the number."""
    if capacity is None and hardware is not None:
        capacity = hardware.memory_bytes
    judge = Judge(hardware, capacity, margin, context)
    if judge.usable is None:
        return Bound(0, {}, None, None, judged=False)

    def need(number: int) -> Need | None:
        plan = changed(config, edits(number))
        taken = judge.need(plan)
        return taken if judge.fits(taken) else None

    low, best = 0, None  # low fits, high does not
    high = 1
    while high <= most and (found := need(high)) is not None:
        low, best, high = high, found, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if (found := need(middle)) is None:
            high = middle
        else:
            low, best = middle, found
    if best is None:
        return Bound(0, {}, None, None)
    return Bound(low, edits(low), best, judge.headroom(best))


def cards(
    config: Config, profiles: Iterable[HardwareProfile], *, margin: float = MARGIN
) -> list[Card]:
    """The plan as it is on each device that the trainer runs on, the smallest device first.

    Of profiles that stand for one card, such as those of clouds, the first one counts.

    Args:
        config: The plan.
        profiles: The devices.
        margin: Part of each to leave free.
    """
    found: dict[str, Card] = {}
    for profile in profiles:
        name = profile.base or profile.name
        if profile.kind not in ("cuda", "rocm") or profile.memory_bytes is None or name in found:
            continue
        judge = Judge(profile, profile.memory_bytes, margin)
        need = judge.need(config)
        headroom = judge.headroom(need)
        assert headroom is not None, "its memory is known"
        found[name] = Card(profile, need, headroom, bool(judge.fits(need)))
    return sorted(found.values(), key=_size_and_price)


def smallest_card(
    config: Config, profiles: Iterable[HardwareProfile], *, margin: float = MARGIN
) -> Card | None:
    """The smallest device that the plan fits as it is, of equal ones the cheapest."""
    return next((card for card in cards(config, profiles, margin=margin) if card.fits), None)


def cheapest_card(
    config: Config, profiles: Iterable[HardwareProfile], *, margin: float = MARGIN
) -> Card | None:
    """The cheapest device per hour that the plan fits as it is; None where none with a price."""
    priced = [
        card
        for card in cards(config, profiles, margin=margin)
        if card.fits and card.hardware.price_per_hour is not None
    ]
    return min(priced, key=lambda card: card.hardware.price_per_hour or 0.0, default=None)


def _size_and_price(card: Card) -> tuple[int, float]:
    price = card.hardware.price_per_hour
    return card.hardware.memory_bytes or 0, float("inf") if price is None else price

"""What a search for a learning rate makes of its curves: one smooth curve, and a suggestion.

Rates rise by the same factor from step to step, so places on the curve are places on a logarithmic
axis, and slopes are per step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FEWEST = 3


class Curve(NamedTuple):
    """Losses over rising learning rates."""

    rates: list[float]
    losses: list[float]
    """Smoothed, and averaged over the searches."""


def rate_at(place: int, count: int, start: float, end: float) -> float:
    """The learning rate of a step of the search, from 0: the rates rise exponentially."""
    return float(start * (end / start) ** (place / (count - 1)))


def smoothed(losses: Sequence[float], beta: float) -> list[float]:
    """The moving mean of a curve, corrected for its beginning (arXiv 1412.6980, section 3)."""
    mean, found = 0.0, []
    for place, loss in enumerate(losses, start=1):
        mean = beta * mean + (1 - beta) * loss
        found.append(mean / (1 - beta**place))
    return found


def averaged(rates: Sequence[float], curves: Sequence[Sequence[float]]) -> Curve:
    """The mean of several curves, as far as all of them go."""
    length = min(map(len, curves))
    means = [sum(curve[place] for curve in curves) / len(curves) for place in range(length)]
    return Curve(list(rates[:length]), means)


def suggest(curve: Curve, method: str) -> float | None:
    """The learning rate that a method suggests.

    - ``steepest``: where the loss falls fastest.
    - ``minimum``: a tenth of the rate with the lowest loss.
    - ``valley`` and ``fastai``: two thirds along the longest fall, fastai's default.
    - ``combined``: the geometric mean of the three.

    Returns:
        None where the loss does not fall anywhere, or the curve has fewer than three points.
    """
    if len(curve.losses) < _FEWEST or min(curve.losses[1:]) >= curve.losses[0]:
        return None
    if method == "combined":
        found = [_METHODS[name](curve) for name in ("steepest", "minimum", "valley")]
        return math.exp(sum(map(math.log, found)) / len(found))
    return _METHODS[method](curve)


def _steepest(curve: Curve) -> float:
    losses = curve.losses
    # Central differences: the slope belongs to the place between its two neighbours.
    slopes = [losses[i + 1] - losses[i - 1] for i in range(1, len(losses) - 1)]
    return curve.rates[1 + min(range(len(slopes)), key=slopes.__getitem__)]


def _minimum(curve: Curve) -> float:
    lowest = min(range(len(curve.losses)), key=curve.losses.__getitem__)
    return curve.rates[lowest] / 10


def _valley(curve: Curve) -> float:
    """Two thirds of the way along the longest unbroken fall."""
    first, last, start = 0, 0, 0
    for place in range(1, len(curve.losses)):
        if curve.losses[place] >= curve.losses[place - 1]:
            start = place
        elif place - start > last - first:
            first, last = start, place
    return curve.rates[first + round((last - first) * 2 / 3)]


_METHODS: dict[str, Callable[[Curve], float]] = {
    "steepest": _steepest,
    "minimum": _minimum,
    "valley": _valley,
    "fastai": _valley,
}

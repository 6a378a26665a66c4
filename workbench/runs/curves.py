"""Curves before they are drawn: smoothing of the full data, then reduction to the columns at hand.

The order matters. Smoothing what was already thinned out gives a different line at every zoom, and
thinning by stride loses the one step that blew up. Here a smoothed value depends on the data alone,
and every column keeps its smallest and largest value, so a spike of one sample is seen at any zoom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_BLOCK = 32  # 1e6 samples take 4 ms in blocks of 32, 6 ms in 64, 9 ms in 16 or 128


class Ema:
    """A debiased exponential moving average that data is appended to.

    ``weight`` is the share of the past: 0 shows the data itself, 0.99 averages over about 100
    samples. The average of the first t samples is divided by ``1 - weight**t``, so the line starts
    at the data and not at zero (Kingma and Ba 2015, section 3). Samples that are not finite are
    left out and come back as nan.
    """

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < 1:
            raise ValueError(f"weight must be at least 0 and below 1, not {weight}")
        self.weight = weight
        self.count = 0
        self._sum = 0.0
        self._value = float("nan")

    @property
    def value(self) -> float:
        """The average as it stands; nan before the first finite sample."""
        return self._value

    def extend(self, values: Sequence[float] | Floats) -> Floats:
        """Take more samples and return their smoothed values."""
        import numpy as np

        data = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(data)
        kept = data[finite]
        result = np.full(data.shape, np.nan)
        if not kept.size:
            return result
        if self.weight == 0:
            sums = kept
        else:
            sums = _scan(kept * (1 - self.weight), self.weight)
            # Powers of the weight matter until they are lost in rounding; few samples are younger.
            log_weight = np.log(self.weight)
            ages = np.arange(1, min(kept.size, int(-45 / log_weight) + 1) + 1)
            sums[: ages.size] += self._sum * np.exp(ages * log_weight)
            self._sum = float(sums[-1])
            # 1 - weight**t, without the cancellation where weight**t is close to 1
            sums[: ages.size] /= -np.expm1((self.count + ages) * log_weight)
        self.count += kept.size
        self._value = float(sums[-1])
        result[finite] = sums
        return result


def _scan(x: Floats, weight: float) -> Floats:
    """Return s with ``s[t] = weight * s[t-1] + x[t]``, block by block."""
    import numpy as np

    size = x.size
    ages = np.arange(_BLOCK)
    table = np.where(ages[:, None] >= ages, float(weight) ** np.abs(ages[:, None] - ages), 0.0)
    if size <= _BLOCK:
        return np.asarray(table[:size, :size] @ x)
    blocks = -(-size // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[:size] = x
    local = padded.reshape(blocks, _BLOCK) @ table.T
    # The ends of the blocks obey the same recurrence, with the weight of a whole block.
    ends = _scan(np.ascontiguousarray(local[:, -1]), float(weight) ** _BLOCK)
    local[1:] += ends[:-1, None] * float(weight) ** (ages + 1)
    return np.asarray(local.ravel()[:size])


def smooth(values: Sequence[float] | Floats, weight: float = 0.9) -> Floats:
    """Debiased exponential moving average of all the values; see `Ema`."""
    return Ema(weight).extend(values)


@dataclass(frozen=True)
class Columns:
    """A series reduced to columns: what a line through all of its samples does in each of them.

    Attributes:
        low: Smallest value in the column; nan where no finite sample falls.
        high: Largest value in the column.
        enter: Value at the left border of the column, on the way from the sample before; nan where
            there is no line to follow.
        leave: Value at the right border, on the way to the sample after.
        broken: Whether a sample that cannot be drawn falls into the column.
    """

    low: Floats
    high: Floats
    enter: Floats
    leave: Floats
    broken: npt.NDArray[np.bool_]


def reduce_columns(
    x: Sequence[float] | Floats,
    y: Sequence[float] | Floats,
    columns: int,
    x0: float,
    x1: float,
    *,
    positive: bool = False,
) -> Columns:
    """Reduce the samples with x0 <= x <= x1 to equally wide columns.

    ``x`` must not decrease. The cost is that of a pass over the visible samples.

    Args:
        x: Where the samples are.
        y: Their values; one that is not finite breaks the line and marks its column.
        columns: How many columns.
        x0: Left border of the first column.
        x1: Right border of the last column.
        positive: Treat zero and negative values as not finite, for a logarithmic axis.
    """
    import numpy as np

    xs = np.asarray(x, dtype=np.float64)
    ys = np.asarray(y, dtype=np.float64)
    size = min(xs.size, ys.size)
    edges = np.linspace(x0, x1, columns + 1)
    nothing = np.full(columns, np.nan)
    broken = np.zeros(columns, dtype=bool)

    # One sample on either side of the window, so that the line runs on to its borders.
    first = max(int(np.searchsorted(xs[:size], x0, "left")) - 1, 0)
    last = min(int(np.searchsorted(xs[:size], x1, "right")) + 1, size)
    xs, ys = xs[first:last], ys[first:last]

    # The sum is the cheapest look at all values; only a curve with gaps pays for the masks.
    with np.errstate(over="ignore", invalid="ignore"):
        has_gaps = ys.size > 0 and not (np.isfinite(ys.sum()) and (not positive or ys.min() > 0))
    piece = np.zeros(0, dtype=np.int64)
    if has_gaps:
        finite = np.isfinite(ys) & (ys > 0) if positive else np.isfinite(ys)
        bad = xs[~finite]
        bad = bad[(bad >= x0) & (bad <= x1)]
        broken[np.clip(np.searchsorted(edges, bad, "right") - 1, 0, columns - 1)] = True
        piece = np.cumsum(~finite)[finite]
        xs, ys = xs[finite], ys[finite]

    low, high, enter, leave = nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy()
    reduced = Columns(low, high, enter, leave, broken)
    if not xs.size:
        return reduced
    # before[i] is the first sample that is not left of border i; the last column owns its right
    # border too.
    before = np.searchsorted(xs, edges, "left")
    starts = before.copy()
    starts[-1] = np.searchsorted(xs, x1, "right")
    filled = np.flatnonzero(starts[1:] > starts[:-1])
    if filled.size:
        seen = ys[: starts[-1]]
        low[filled] = np.minimum.reduceat(seen, starts[filled])
        high[filled] = np.maximum.reduceat(seen, starts[filled])

    # The line crosses border i between the samples before[i] - 1 and before[i].
    border = np.full(columns + 1, np.nan)
    crossed = (before > 0) & (before < xs.size)
    right = before[crossed]
    border[crossed] = _between(xs, ys, right, edges[crossed])
    if has_gaps:
        border[np.flatnonzero(crossed)[piece[right] != piece[right - 1]]] = np.nan
    enter[:], leave[:] = border[:-1], border[1:]
    return reduced


def _between(xs: Floats, ys: Floats, right: npt.NDArray[np.int64], at: Floats) -> Floats:
    """Interpolate at ``at`` between the samples right-1 and right."""
    import numpy as np

    left = right - 1
    width = xs[right] - xs[left]
    share = np.divide(at - xs[left], width, out=np.ones_like(at), where=width > 0)
    return np.asarray(ys[left] * (1 - share) + ys[right] * share)


def reduce_minmax(
    x: Sequence[float] | Floats, y: Sequence[float] | Floats, columns: int, x0: float, x1: float
) -> tuple[Floats, Floats]:
    """Smallest and largest value in each of the columns from x0 to x1, nan where there is none."""
    reduced = reduce_columns(x, y, columns, x0, x1)
    return reduced.low, reduced.high


class Smoothed:
    """A growing series beside its average, which goes on where it stood.

    Args:
        weight: Share of the past, see `Ema`.

    Attributes:
        steps: Where the samples are.
        values: Their values.
        smoothed: The average at each of them.
    """

    def __init__(self, weight: float) -> None:
        import numpy as np

        self.weight = weight
        self._ema = Ema(weight)
        self.steps: Floats = np.zeros(0)
        self.values: Floats = np.zeros(0)
        self.smoothed: Floats = np.zeros(0)

    @property
    def average(self) -> float:
        """The newest average; nan before the first finite sample."""
        return self._ema.value

    def update(self, steps: Sequence[float] | Floats, values: Sequence[float] | Floats) -> int:
        """Take the series as it is now.

        Returns:
            How many samples stand as they stood before; 0 where a resumed attempt has replaced
            some, and the average has begun again.
        """
        import numpy as np

        # Copies: a view of a growing array would make its owner copy it at every row.
        new_steps, new_values = np.array(steps, np.float64), np.array(values, np.float64)
        known = self.steps.size
        same = new_steps.size >= known and np.array_equal(
            (*new_steps[:known][-1:], *new_values[:known][-1:]),
            (*self.steps[-1:], *self.values[-1:]),
            equal_nan=True,
        )
        if not same:
            known, self._ema, self.smoothed = 0, Ema(self.weight), np.zeros(0)
        self.steps, self.values = new_steps, new_values
        if new_values.size > known:
            fresh = self._ema.extend(new_values[known:])
            self.smoothed = np.concatenate([self.smoothed, fresh])
        return known


def extremes(values: Floats, most: int) -> npt.NDArray[np.int64]:
    """Which samples to keep so that at most so many are left and every spike is among them.

    The samples are cut into runs of equal count; of each the smallest, the largest and, where there
    is one, a sample that is not finite stay, and so do the first and the last of all.

    Args:
        values: The samples.
        most: At most so many are returned, at least 8.

    Returns:
        Rising indices; all of them where there are no more than ``most``.
    """
    import numpy as np

    size = values.size
    if size <= most:
        return np.arange(size)
    width = -(-size // ((most - 2) // 3))
    count = -(-size // width)
    padded = np.full(count * width, values[-1])
    padded[:size] = values
    table = padded.reshape(count, width)
    finite = np.isfinite(table)
    starts = np.arange(count) * width
    low = np.where(finite, table, np.inf).argmin(axis=1)
    high = np.where(finite, table, -np.inf).argmax(axis=1)
    gaps = (starts + finite.argmin(axis=1))[~finite.all(axis=1)]
    kept = np.concatenate([starts + low, starts + high, gaps, [0, size - 1]])
    return np.unique(np.minimum(kept, size - 1))

"""Curves on their way to a view: smoothed over all samples, reduced, and then only what is new.

A view holds at most some thousand samples of each line, with every spike among them. While a run
is live, new samples are appended as they are; when too many have come together, the line is sent
again, reduced. A window of the steps is reduced by itself, so that zooming shows more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.runs.curves import Smoothed, extremes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from workbench.runs.follow import Follower

    Floats = npt.NDArray[np.float64]

WEIGHTS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Smoothing that a view can choose; the share of the past, see `workbench.runs.curves.Ema`."""
MOST = 3000
"""Samples of a line after a reduction: about three for each pixel of a wide chart."""
_FIRST = ("loss", "val_loss", "lr", "grad_norm", "tokens_per_s")


@dataclass
class Look:
    """How curves are looked at.

    Attributes:
        metric: What is drawn.
        smoothing: Place in `WEIGHTS`.
        log: Logarithmic y.
        window: Ends of the steps; None for all, also those to come.
    """

    metric: str = "loss"
    smoothing: int = 3
    log: bool = False
    window: tuple[float, float] | None = None

    @property
    def weight(self) -> float:
        """The smoothing's weight."""
        return WEIGHTS[self.smoothing]

    def zoom(self, by: float, lines: Sequence[Line]) -> None:
        """Look at the newest ``1/by`` of what is seen; less than 1 shows more, 0 all."""
        ends = [(float(line.x[0]), float(line.x[-1])) for line in lines]
        if not ends or by <= 0:
            self.window = None
            return
        first, last = min(low for low, _ in ends), max(high for _, high in ends)
        low, high = self.window or (first, last)
        low = high - (high - low) / by
        self.window = None if low <= first and high >= last else (max(low, first), high)


class Line(NamedTuple):
    """One line of a chart.

    Attributes:
        run: Whose it is.
        role: ``raw`` for each step, ``smooth``, ``val`` for evaluations, ``run`` among several.
        name: What the legend says.
        x: Steps.
        y: Values.
    """

    run: str
    role: str
    name: str
    x: Floats
    y: Floats


class Piece(NamedTuple):
    """Samples for a view: which line, where it goes on, and the samples.

    Attributes:
        line: The line.
        x: Steps to draw.
        y: Values to draw.
        total: Samples that the line has by now.
    """

    line: Line
    x: Floats
    y: Floats
    total: int


class Curves:
    """The lines of some runs for one metric, and what of them has been sent.

    Args:
        look: How they are looked at.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self._smoothed: dict[tuple[str, str], Smoothed] = {}
        self._sent: list[tuple[int, int]] = []  # of each line: samples seen, samples in the view
        self._broken = False  # a resumed attempt has replaced samples that were sent

    def lines(self, followers: dict[str, Follower]) -> list[Line]:
        """All lines as they are now, back to front: the first run is drawn last."""
        metric, several = self.look.metric, len(followers) > 1
        found: list[Line] = []
        for name in reversed(list(followers)):
            data = self._data(name, metric, followers[name])
            if not data.steps.size:
                continue
            best = data.smoothed if self.look.weight else data.values
            if several:
                found.append(Line(name, "run", name, data.steps, best))
            elif metric.startswith("val_"):
                found.append(Line(name, "val", "validation", data.steps, data.values))
            else:
                found.append(Line(name, "raw", "each step", data.steps, data.values))
                if self.look.weight:
                    words = f"smoothed {self.look.weight:g}"
                    found.append(Line(name, "smooth", words, data.steps, best))
        if not several and metric == "loss" and followers:
            (name,) = followers
            data = self._data(name, "val_loss", followers[name])
            if data.steps.size:
                found.append(Line(name, "val", "validation", data.steps, data.values))
        return found

    def _data(self, run: str, metric: str, follower: Follower) -> Smoothed:
        series = follower.series(metric)
        data = self._smoothed.get((run, metric))
        if data is None or data.weight != self.look.weight:
            data = self._smoothed[run, metric] = Smoothed(self.look.weight)
        known = data.steps.size
        if len(series) != known or list(series.steps[-1:]) != data.steps[-1:].tolist():
            self._broken |= data.update(series.steps, series.values) < known
        return data

    def forget(self) -> None:
        """Give back what is remembered of runs that nobody looks at."""
        self._smoothed.clear()
        self._sent = []

    def whole(self, lines: Sequence[Line]) -> list[Piece]:
        """Everything in the window, reduced; from here on, only what is new is needed."""
        pieces = [Piece(line, *_reduced(line, self.look.window), line.x.size) for line in lines]
        self._sent = [(piece.total, piece.x.size) for piece in pieces]
        self._broken = False
        return pieces

    def fresh(self, lines: Sequence[Line]) -> list[Piece] | None:
        """What has been added to each line since the last call.

        Returns:
            None where lines have come or gone, were replaced, or have grown too long: the view
            needs the whole.
        """
        if self._broken or len(lines) != len(self._sent):
            return None
        pieces = []
        for place, line in enumerate(lines):
            seen, drawn = self._sent[place]
            new = line.x.size - seen
            if new < 0 or drawn + new > 2 * MOST or new > MOST:
                return None
            if new:
                pieces.append(Piece(line, line.x[seen:], line.y[seen:], line.x.size))
                self._sent[place] = line.x.size, drawn + new
        return pieces


def _reduced(line: Line, window: tuple[float, float] | None) -> tuple[Floats, Floats]:
    """The samples of a line in the window, and one on either side, so that the line runs on."""
    import numpy as np

    first, last = 0, line.x.size
    if window is not None:
        first = max(int(np.searchsorted(line.x, window[0], "left")) - 1, 0)
        last = min(int(np.searchsorted(line.x, window[1], "right")) + 1, last)
    kept = first + extremes(line.y[first:last], MOST)
    return line.x[kept], line.y[kept]


def metrics_of(followers: dict[str, Follower]) -> list[str]:
    """The metrics that any of the runs has, those that one looks at first in front."""
    names = dict.fromkeys(name for each in followers.values() for name in each.metric_names)
    return [name for name in _FIRST if name in names] + [n for n in names if n not in _FIRST]


def described(lines: Sequence[Line], metric: str) -> str:
    """The chart in words: for each run where it began, where it is, and its best."""
    from workbench import units
    from workbench.runs.compare import better

    shown = {line.run: line for line in lines if line.role in ("raw", "run", "val")}
    shown |= {line.run: line for line in lines if line.role == "raw"}
    if not shown:
        return f"{metric}: no step yet"
    words = []
    for run, line in list(shown.items())[::-1][:6]:
        first, now = float(line.y[0]), float(line.y[-1])
        best = _best(line, highest=better(metric) == "higher")
        said = f"{metric} of {run} over {line.x.size:,} samples to step {line.x[-1]:.0f}: "
        said += f"from {units.number(first)} to {units.number(now)}"
        words.append(said + (f", best {units.number(best)}" if math.isfinite(best) else ""))
    return "; ".join(words)


def _best(line: Line, *, highest: bool) -> float:
    import numpy as np

    finite = line.y[np.isfinite(line.y)]
    return float(finite.max() if highest else finite.min()) if finite.size else math.nan


def table_of(lines: Sequence[Line], rows: int = 20) -> dict[str, Any]:
    """The lines as a table: evenly spread samples of the first run, the others at those steps."""
    import numpy as np

    from workbench import units

    if not lines:
        return {"head": ["step"], "rows": []}
    longest = max(lines, key=lambda line: line.x.size)
    places = np.unique(np.linspace(0, longest.x.size - 1, rows).round().astype(int))
    steps = longest.x[places]
    return {
        "head": ["step", *(line.name for line in lines)],
        "rows": [
            [f"{step:.0f}", *(_cell(line, step, units.number) for line in lines)] for step in steps
        ],
    }


def _cell(line: Line, step: float, spell: Any) -> str:
    """The line's newest value at a step; a dash before its first."""
    import numpy as np

    place = int(np.searchsorted(line.x, step, "right")) - 1
    return str(spell(float(line.y[place]))) if place >= 0 else "–"

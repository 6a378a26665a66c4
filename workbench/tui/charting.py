"""What the curves show: runs, metrics, axes, the window, the crosshair. No widget."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from workbench.runs.braille import Line, Mark
from workbench.runs.curves import Smoothed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from workbench.runs.compare import Figures
    from workbench.runs.follow import Follower

    Floats = npt.NDArray[np.float64]

By = Literal["step", "tokens", "time", "flops"]
AXES: tuple[By, ...] = ("step", "tokens", "time", "flops")
AXIS_LABELS = {"step": "step", "tokens": "tokens", "time": "seconds", "flops": "FLOPs"}
WEIGHTS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
GRID = ("loss", "val_loss", "lr", "grad_norm", "tokens_per_s", "memory_host", "expert_load")
_FIRST = ("loss", "val_loss", "lr", "grad_norm", "tokens_per_s")
_SHARE = 0.5  # of the window, that one step of panning or zooming moves by
_CLIP = 0.005  # share of the values at either end that clipping may leave out


@dataclass(frozen=True)
class View:
    """How the curves are looked at.

    Attributes:
        metric: What is drawn.
        by: Over what.
        x_log: Logarithmic x axis.
        y_log: Logarithmic y axis.
        smoothing: Index into `WEIGHTS`.
        window: Ends of x; None for everything, also for what is still to come.
        cursor: Place of the crosshair; None where there is none.
        clip: Leave out the outermost values, and say how many.
        grid: Several metrics side by side.
        ascii: Draw with ASCII characters only.
    """

    metric: str = "loss"
    by: By = "step"
    x_log: bool = False
    y_log: bool = False
    smoothing: int = 3
    window: tuple[float, float] | None = None
    cursor: float | None = None
    clip: bool = False
    grid: bool = False
    ascii: bool = False


class Value(NamedTuple):
    """What a run has at the crosshair.

    Attributes:
        run: Its name.
        style: The style name of its curve.
        x: Where the sample is.
        y: Its value.
        smoothed: The smoothed value there.
    """

    run: str
    style: str
    x: float
    y: float
    smoothed: float


@dataclass
class _Curve:
    """A metric of a run, smoothed once and for all of its samples; x is made for one axis."""

    data: Smoothed
    x: Any = None
    key: tuple[Any, ...] = field(default_factory=tuple)


class Chart:
    """The curves of one run, or of several over each other.

    Args:
        runs_dir: Where the runs are.
        names: Their names, the first one in front.
    """

    def __init__(self, runs_dir: Path, names: Sequence[str], *, plain: bool = False) -> None:
        self.runs_dir, self.names = runs_dir, list(names)
        self.view = View(ascii=plain)
        self.figures: dict[str, Figures] = {}
        self.followers: dict[str, Follower] = {}
        self._curves: dict[tuple[str, str], _Curve] = {}

    # ---------------------------------------------------------------- reading

    def poll(self, *, max_bytes: int | None = None) -> bool:
        """Read what is new; returns whether anything has changed."""
        from workbench.runs.directory import open_run
        from workbench.runs.follow import Follower

        changed = False
        for name in self.names:
            if name not in self.followers:
                self.followers[name] = Follower(open_run(self.runs_dir, name))
                changed = True
            changed |= self.followers[name].poll(max_bytes=max_bytes)
        return changed

    @property
    def metrics(self) -> list[str]:
        """The metrics that any of the runs has, those that one looks at first in front."""
        names = dict.fromkeys(
            name for follower in self.followers.values() for name in follower.metric_names
        )
        return [name for name in _FIRST if name in names] + [n for n in names if n not in _FIRST]

    def style(self, name: str) -> str:
        """The style name of a run's curve."""
        if len(self.names) == 1:
            return "smooth"
        return f"run:{self.names.index(name) % 8}"

    # ---------------------------------------------------------------- curves

    def curve(self, name: str, metric: str) -> tuple[Floats, Floats, Floats]:
        """Where the samples are, their values, and the smoothed values of all of them.

        Smoothing sees every sample before any is left out for drawing, so that a value is the same
        at every zoom.
        """
        follower = self.followers[name]
        series = follower.series(metric)
        weight = WEIGHTS[self.view.smoothing]
        curve = self._curves.get((name, metric))
        if curve is None or curve.data.weight != weight:
            curve = self._curves[name, metric] = _Curve(Smoothed(weight))
        key = (self.view.by, len(series), series.steps[-1:])
        if curve.key != key:
            curve.data.update(series.steps, series.values)
            curve.x, curve.key = self._places(follower, curve.data.steps), key
        return curve.x, curve.data.values, curve.data.smoothed

    def _places(self, follower: Follower, steps: Floats) -> Floats:
        import numpy as np

        from workbench.runs.compare import places

        by = self.view.by
        if by == "step":
            return steps
        known, place = places(follower, "time" if by == "time" else "tokens")
        if by == "flops":
            place = place * _flops_per_token(follower)
        if not known.size:
            return steps
        return np.asarray(np.interp(steps, known, place))

    def lines(self, metric: str) -> list[Line]:
        """The curves of a metric, back to front: the first run is drawn last."""
        found: list[Line] = []
        smoothing = WEIGHTS[self.view.smoothing]
        several = len(self.names) > 1
        for name in reversed(self.names):
            x, y, smoothed = self.curve(name, metric)
            if not x.size:
                continue
            if several:
                found.append(Line(x, smoothed if smoothing else y, self.style(name), name))
            elif metric.startswith("val_") or x.size < 30:
                found.append(Line(x, y, "val", metric))
            elif smoothing:
                found.append(Line(x, y, "raw", "each step"))
                found.append(Line(x, smoothed, "smooth", f"smoothed {smoothing:g}"))
            else:
                found.append(Line(x, y, "smooth", metric))
        if not several and metric == "loss":
            x, y, _ = self.curve(self.names[0], "val_loss")
            if x.size:
                found.append(Line(x, y, "val", "validation", "◆"))
        return found

    def y_range(self, lines: Sequence[Line]) -> tuple[tuple[float, float] | None, int]:
        """The visible y where outliers are clipped, and how many samples lie beyond it."""
        import numpy as np

        if not self.view.clip or not lines:
            return None, 0
        ends = self.view.window or (-math.inf, math.inf)
        seen = [
            line.y[(line.x >= ends[0]) & (line.x <= ends[1]) & np.isfinite(line.y)]
            for line in lines
        ]
        values = np.concatenate(seen) if seen else np.zeros(0)
        if values.size < 20:
            return None, 0
        low, high = np.quantile(values, [_CLIP, 1 - _CLIP])
        if not high > low:
            return None, 0
        room = 0.05 * (high - low)
        low, high = float(low - room), float(high + room)
        if self.view.y_log:
            low = max(low, float(values[values > 0].min(initial=math.inf)))
        return (low, high), int(((values < low) | (values > high)).sum())

    def marks(self) -> list[Mark]:
        """Checkpoints and restarts of the first run, as signs on the axis."""
        import numpy as np

        follower = self.followers[self.names[0]]
        found = [
            (float(event["step"]), "▲", "good")
            for event in follower.events
            if event.get("event") == "saved" and isinstance(event.get("step"), int)
        ]
        found += [(float(step), "▸", "warn") for step in follower.attempt_starts[1:]]
        if not found:
            return []
        x = self._places(follower, np.array([step for step, _, _ in found]))
        return [Mark(float(at), sign, style) for at, (_, sign, style) in zip(x, found, strict=True)]

    def values_at(self, cursor: float) -> list[Value]:
        """What each run has at the crosshair: its sample that lies nearest."""
        import numpy as np

        found = []
        for name in self.names:
            x, y, smoothed = self.curve(name, self.view.metric)
            if x.size:
                place = int(np.clip(np.searchsorted(x, cursor), 1, max(x.size - 1, 1)))
                if x.size == 1 or cursor - x[place - 1] < x[place] - cursor:
                    place -= 1
                found.append(
                    Value(
                        name,
                        self.style(name),
                        float(x[place]),
                        float(y[place]),
                        float(smoothed[place]),
                    )
                )
        return found

    # ---------------------------------------------------------------- looking elsewhere

    def span(self) -> tuple[float, float]:
        """The ends of everything there is to see."""
        ends = [
            (float(x[0]), float(x[-1]))
            for name in self.names
            if (x := self.curve(name, self.view.metric)[0]).size
        ]
        low = min((low for low, _ in ends), default=0.0)
        high = max((high for _, high in ends), default=1.0)
        return (low, high) if high > low else (low, low + 1)

    @property
    def window(self) -> tuple[float, float]:
        """The visible ends."""
        return self.view.window or self.span()

    def zoom(self, by: float, at: float | None = None) -> None:
        """Show ``1/by`` of the window around a place: the crosshair, or its middle."""
        low, high = self.window
        if at is None:
            cursor = self.view.cursor
            at = cursor if cursor is not None and low <= cursor <= high else (low + high) / 2
        share = (at - low) / (high - low)
        width = (high - low) / by
        self._show(at - share * width, at + (1 - share) * width)

    def pan(self, by: float) -> None:
        """Move the window by a share of its width."""
        low, high = self.window
        move = by * (high - low)
        first, last = self.span()
        move = min(max(move, first - low), last - high) if self.view.window else 0.0
        self._show(low + move, high + move)

    def _show(self, low: float, high: float) -> None:
        first, last = self.span()
        least = (last - first) * 1e-6
        if high - low < least:
            middle = (low + high) / 2
            low, high = middle - least / 2, middle + least / 2
        low, high = max(low, first), min(high, last)
        window = None if (low, high) == (first, last) or high <= low else (low, high)
        self.view = replace(self.view, window=window)

    def move_cursor(self, by: int, cells: int) -> None:
        """Move the crosshair by columns of the picture; it begins in the middle."""
        low, high = self.window
        cursor = self.view.cursor
        if cursor is None or not low <= cursor <= high:
            cursor = (low + high) / 2
        else:
            cursor = min(max(cursor + by * (high - low) / max(cells, 1), low), high)
        self.view = replace(self.view, cursor=cursor)

    def change(self, **changes: Any) -> None:
        """Look in another way; a window and a crosshair belong to their axis."""
        if "by" in changes and changes["by"] != self.view.by:
            changes |= {"window": None, "cursor": None}
        self.view = replace(self.view, **changes)

    def next_metric(self, by: int) -> None:
        """The next metric, or the one before."""
        names = self.metrics
        if names:
            place = names.index(self.view.metric) if self.view.metric in names else 0
            self.view = replace(self.view, metric=names[(place + by) % len(names)])

    def next_axis(self) -> None:
        """The next x axis that the runs know."""
        order = AXES[AXES.index(self.view.by) + 1 :] + AXES
        for by in order:
            if by != "flops" or all(_flops_per_token(each) for each in self.followers.values()):
                self.change(by=by)
                return


def _flops_per_token(follower: Follower) -> float:
    """What the run's own prediction says a token takes; 0 where it does not say."""
    from workbench.runs.files import read_json

    flops = read_json(follower.run.estimate_path).get("flops")
    value = flops.get("model_per_token") if isinstance(flops, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0

"""Several runs side by side: figures, what differs, aligned curves, seeds, and what helped.

Everything here is a function of run directories, live or ended, and is the same for all faces.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

from workbench.runs.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower

    Floats = npt.NDArray[np.float64]

Axis = Literal["step", "tokens", "time"]
Better = Literal["lower", "higher"]

_WORDS: Final = ("run.name", "run.runs_dir", "run.description", "run.tags", "run.queue",
                 "run.max_restarts", "run.hardware", "run.objective")  # fmt: skip
"""Keys that change nothing about the training."""
_SILENT: Final = ("logging.",)
SEEDS: Final = ("run.seed", "data.shuffle_seed")
"""Keys whose values make repetitions of one experiment."""
_HIGHER: Final = ("accuracy", "tokens_per_s", "mfu", "reward", "bleu", "rouge")


@dataclass(frozen=True)
class Figures:
    """One run as the comparison sees it.

    Attributes:
        name: The run's name.
        state: Its state.
        config: Its values by dotted path.
        best: The best value of each metric, and the step where it was reached.
        last: The newest value of each metric.
        steps: Steps done.
        seconds: What the steps took, pauses between attempts left out; nan while unknown.
        tokens: Tokens seen; nan while unknown.
        tags: Its tags.
        follower: Its curves.
    """

    name: str
    state: str
    config: dict[str, Any]
    best: dict[str, tuple[float, int]]
    last: dict[str, float]
    steps: int
    seconds: float
    tokens: float
    tags: tuple[str, ...]
    follower: Follower = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """Two runs, or groups of seeds, whose configs differ in one key.

    Attributes:
        key: The key.
        worse: Its value in the worse of the two.
        better: Its value in the better one.
        worse_runs: Names of the worse runs.
        better_runs: Names of the better runs.
        before: The metric's best value in the worse ones, their mean over seeds.
        after: The same of the better ones.
        noise: Standard deviation over seeds, the larger of the two; None without repetitions.
    """

    key: str
    worse: Any
    better: Any
    worse_runs: tuple[str, ...]
    better_runs: tuple[str, ...]
    before: float
    after: float
    noise: float | None

    @property
    def gain(self) -> float:
        """By how much the metric is better."""
        return abs(self.after - self.before)

    @property
    def certain(self) -> bool | None:
        """Whether the gain is beyond twice the noise of the seeds; None without repetitions."""
        return None if self.noise is None else self.gain > 2 * self.noise


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in their seeds only.

    Attributes:
        runs: Their names.
        values: The metric's best value in each.
        config: The values that they share.
    """

    runs: tuple[str, ...]
    values: tuple[float, ...]
    config: dict[str, Any] = field(repr=False)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds; None of a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def figures(run: RunDir) -> Figures:
    """Read a run for comparison."""
    from workbench.runs.follow import Follower
    from workbench.runs.labels import tags
    from workbench.runs.status import verdict

    follower = Follower(run)
    while follower.poll():
        pass
    best = {}
    for name in follower.metric_names:
        series = follower.series(name)
        finite = [
            (value, step)
            for value, step in zip(series.values, series.steps, strict=True)
            if math.isfinite(value)
        ]
        if finite:
            pick = max if better(name) == "higher" else min
            value, step = pick(finite, key=lambda pair: pair[0])
            best[name] = value, int(step)
    clock = times(follower)
    return Figures(
        name=run.name,
        state=verdict(run).state,
        config=flat(read_json(run.config_path).get("config") or {}),
        best=best,
        last={n: v for n in follower.metric_names if (v := follower.last(n)) is not None},
        steps=follower.step,
        seconds=float(clock[1][-1]) if clock[1].size else math.nan,
        tokens=follower.last("tokens") or math.nan,
        tags=tuple(tags(run)),
        follower=follower,
    )


def better(metric: str) -> Better:
    """Whether lower or higher values of a metric are better, going by its name."""
    return "higher" if any(word in metric for word in _HIGHER) else "lower"


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config tree as one mapping from dotted paths to values."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def config_diff(runs: Sequence[Figures]) -> dict[str, list[Any]]:
    """The keys in which the runs differ, each with its value in every run, in their order.

    A key that a run of another version does not have counts as None there.
    """
    paths = dict.fromkeys(path for each in runs for path in each.config)
    return {
        path: values
        for path in paths
        if _differ(values := [each.config.get(path) for each in runs])
    }


def aligned(
    runs: Sequence[Figures], metric: str, by: Axis = "step"
) -> dict[str, tuple[Floats, Floats]]:
    """The curve of each run that has the metric: where and what, over steps, tokens or seconds.

    By tokens, runs with other batch sizes lie over each other; by time, faster ones end earlier.
    Seconds are those spent training: the pauses between attempts are left out.
    """
    import numpy as np

    found = {}
    for each in runs:
        series = each.follower.series(metric)
        if not len(series):
            continue
        steps = np.array(series.steps, dtype=np.float64)
        values = np.array(series.values, dtype=np.float64)
        if by == "step":
            found[each.name] = steps, values
            continue
        known, place = places(each.follower, by)
        if known.size:
            found[each.name] = np.interp(steps, known, place), values
    return found


def on_one_grid(
    curves: dict[str, tuple[Floats, Floats]], points: int = 200
) -> tuple[Floats, dict[str, Floats]]:
    """Curves on shared places, so that they can be subtracted; nan where a run has none.

    The grid spans what all runs have in common of the axis.
    """
    import numpy as np

    if not curves:
        return np.zeros(0), {}
    first = min(float(x[0]) for x, _ in curves.values())
    last = min(float(x[-1]) for x, _ in curves.values())
    grid = np.linspace(first, max(first, last), points)
    drawn = {}
    for name, (x, y) in curves.items():
        keep = np.isfinite(y)
        drawn[name] = (
            np.interp(grid, x[keep], y[keep], left=np.nan)
            if keep.any()
            else np.full(points, np.nan)
        )
    return grid, drawn


def groups(runs: Sequence[Figures], metric: str) -> list[Group]:
    """The runs that have the metric, those that differ in their seeds only together; best first."""
    found: dict[str, list[Figures]] = {}
    for each in runs:
        if metric in each.best:
            found.setdefault(_identity(each.config), []).append(each)
    made = [
        Group(
            tuple(each.name for each in members),
            tuple(each.best[metric][0] for each in members),
            {k: v for k, v in members[0].config.items() if counts(k) and k not in SEEDS},
        )
        for members in found.values()
    ]
    return sorted(made, key=lambda group: group.mean, reverse=better(metric) == "higher")


def single_changes(runs: Sequence[Figures], metric: str) -> list[Change]:
    """Which single change made it better: all pairs that differ in one key, largest gain first.

    Runs that differ in their seeds only are taken together, so that the noise can be told from the
    gain.
    """
    found = []
    for first, second in combinations(groups(runs, metric), 2):
        different = [
            key
            for key in dict.fromkeys([*first.config, *second.config])
            if _differ([first.config.get(key), second.config.get(key)])
        ]
        if len(different) != 1:
            continue
        (key,) = different
        deviations = [d for d in (first.deviation, second.deviation) if d is not None]
        # `groups` gives the better one first.
        found.append(
            Change(
                key,
                second.config.get(key),
                first.config.get(key),
                second.runs,
                first.runs,
                second.mean,
                first.mean,
                max(deviations, default=None),
            )
        )
    return sorted(found, key=lambda change: change.gain, reverse=True)


def table(runs: Sequence[Figures], metrics: Iterable[str] = ()) -> list[dict[str, Any]]:
    """One row per run: figures, and the values of the keys in which the runs differ."""
    different = [key for key in config_diff(runs) if counts(key)]
    wanted = list(metrics) or _usual(runs)
    return [
        {
            "name": each.name,
            "state": each.state,
            "steps": each.steps,
            "seconds": each.seconds,
            "tokens": each.tokens,
            "tags": list(each.tags),
            "best": {name: each.best[name][0] for name in wanted if name in each.best},
            "best_step": {name: each.best[name][1] for name in wanted if name in each.best},
            "config": {key: each.config.get(key) for key in different},
        }
        for each in runs
    ]


def main_metric(runs: Sequence[Figures]) -> str | None:
    """What the runs are judged by unless somebody says otherwise: validation loss, else loss."""
    for name in ("val_loss", "loss"):
        if any(name in each.best for each in runs):
            return name
    return next((name for each in runs for name in each.best), None)


def _usual(runs: Sequence[Figures]) -> list[str]:
    names = ("val_loss", "loss", "tokens_per_s")
    return [name for name in names if any(name in each.best for each in runs)]


def counts(key: str) -> bool:
    """Whether a key has an influence on the training."""
    return key not in _WORDS and not key.startswith(_SILENT)


def _identity(config: dict[str, Any]) -> str:
    from workbench.runs.files import to_json

    kept = {key: config[key] for key in sorted(config) if counts(key) and key not in SEEDS}
    return to_json(kept)


def _differ(values: list[Any]) -> bool:
    # 1 and True are equal to Python, and two things to a config.
    return any(
        value != values[0] or isinstance(value, bool) != isinstance(values[0], bool)
        for value in values[1:]
    )


def places(follower: Follower, by: Axis) -> tuple[Floats, Floats]:
    """Steps, and where each lies on an axis: tokens seen, or seconds spent training."""
    return times(follower) if by == "time" else _tokens(follower)


def _tokens(follower: Follower) -> tuple[Floats, Floats]:
    import numpy as np

    series = follower.series("tokens")
    return np.array(series.steps, dtype=np.float64), np.array(series.values, dtype=np.float64)


def times(follower: Follower) -> tuple[Floats, Floats]:
    """Steps, and the seconds of training after each: the gaps between attempts are left out."""
    import numpy as np

    series = follower.series("t")
    steps = np.array(series.steps, dtype=np.float64)
    times = np.array(series.values, dtype=np.float64)
    if steps.size < 2:
        return steps, np.zeros(steps.size)
    waits = np.diff(times)
    # A row belongs to another attempt, or the clock was set, where time jumps beyond all measure.
    usual = float(np.median(waits[waits > 0])) if (waits > 0).any() else 0.0
    starts = np.array(follower.attempt_starts, dtype=np.float64)
    fresh = np.isin(steps[1:], starts) | (waits < 0)
    waits = np.where(fresh, usual, waits)
    first = follower.series("step_s")
    begun = float(first.values[0]) if len(first) else usual
    return steps, begun + np.concatenate([[0.0], np.cumsum(waits)])

"""What was predicted at the launch beside what the run measures, figure by figure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import read_json

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower

WARM_UP: Final = 2
"""Steps whose time is not counted: allocators fill their pools, and caches are cold."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One figure.

    Attributes:
        name: What it is.
        unit: ``tokens/s``, ``bytes``, ``s`` or ``$``.
        predicted: The prediction's best guess; None where there was none.
        low: The lower end of the prediction, where it has one.
        high: The upper end.
        measured: What the run says; None before it does, or where nothing measures it.
        note: What stands on the measured side, in words.
    """

    name: str
    unit: str
    predicted: float | None
    low: float | None
    high: float | None
    measured: float | None
    note: str

    @property
    def error(self) -> float | None:
        """How far the prediction is off, as a share of what was measured."""
        if self.predicted is None or not self.measured:
            return None
        return self.predicted / self.measured - 1

    @property
    def within(self) -> bool | None:
        """Whether the measurement lies in the predicted interval; None without one."""
        if self.low is None or self.high is None or self.measured is None:
            return None
        return self.low <= self.measured <= self.high


def beside(run: RunDir, follower: Follower) -> list[Beside]:
    """All figures of a run, live or ended.

    Args:
        run: The run; its ``estimate.json`` is what was predicted.
        follower: Follows the run, and has read what there is.
    """
    estimate = read_json(run.estimate_path)
    speed, memory, bill = (_section(estimate, name) for name in ("speed", "memory", "bill"))
    rate = _typical(follower, "tokens_per_s")
    seconds, how = _seconds(run, follower)
    hours = _interval(bill.get("hours"))
    dollars = _interval(bill.get("dollars"))
    likely, low, high = (None if each is None else 3600 * each for each in hours)
    median_of = "median of the steps"
    figures = [
        _figure("speed", "tokens/s", speed.get("tokens_per_second"), rate, median_of),
        _figure("step", "s", speed.get("step_seconds"), _typical(follower, "step_s"), median_of),
        *_memory(memory, follower),
        Beside("time", "s", likely, low, high, seconds, how),
    ]
    price = dollars[0] / hours[0] if dollars[0] is not None and hours[0] else None
    cost = seconds / 3600 * price if price is not None and seconds is not None else None
    figures.append(Beside("cost", "$", *dollars, cost, f"the predicted price an hour, {how}"))
    return figures


def _memory(memory: dict[str, Any], follower: Follower) -> list[Beside]:
    """Peak memory: of tensors and of torch on a GPU, of the process everywhere."""
    figures = []
    for name, key, metric, note in (
        ("tensors", "allocated", "memory_allocated", "largest so far, as torch counts on a GPU"),
        ("reserved", "reserved", "memory_reserved", "largest that torch held of the GPU"),
        ("process", "process", "memory_host", "largest resident memory of the first process"),
    ):
        values = follower.series(metric).values
        measured = max(values) if values else None
        predicted = memory.get(key)
        if key == "process" and follower.series("memory_allocated").values:
            predicted = None  # predicted is what the card gives up, not the host's memory
        if predicted is not None or measured is not None:
            figures.append(_figure(name, "bytes", predicted, measured, note))
    return figures


def _seconds(run: RunDir, follower: Follower) -> tuple[float | None, str]:
    """How long the run takes: as its summary says, else at the speed of its steps."""
    told = read_json(run.summary_path)
    if told.get("state") == "finished" and isinstance(told.get("seconds"), int | float):
        return float(told["seconds"]), "from start to end, evaluations included"
    step = _typical(follower, "step_s")
    most = (follower.ready or {}).get("max_steps")
    if step is None or not isinstance(most, int):
        return None, "known with the first steps"
    return step * most, "all steps at the speed so far"


def _figure(name: str, unit: str, told: object, measured: float | None, note: str) -> Beside:
    return Beside(name, unit, *_interval(told), measured, note)


def _interval(told: object) -> tuple[float | None, float | None, float | None]:
    """Best guess and both ends; a plain number has no ends."""
    if isinstance(told, dict):
        likely, low, high = (_number(told.get(name)) for name in ("likely", "low", "high"))
        return likely, low, high
    return _number(told), None, None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _section(estimate: dict[str, Any], name: str) -> dict[str, Any]:
    found = estimate.get(name)
    return found if isinstance(found, dict) else {}


def _typical(follower: Follower, name: str) -> float | None:
    values = follower.series(name).values
    return median(values[WARM_UP:] or values) if values else None

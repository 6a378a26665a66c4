"""One run as a face shows it: follow its files, smooth its loss, say how long it will take.

`Watch` does the work and may live in a thread; a `Snapshot` is what one moment looked like and can
be handed to another thread: its arrays are never written to again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.runs.curves import Ema
from workbench.runs.words import seconds_left

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower
    from workbench.runs.status import Verdict

    Floats = npt.NDArray[np.float64]

_LOG_LINES = 200
_BYTES_AT_ONCE = 8 * 2**20
_QUIET_POLLS = 4  # how often a run that writes nothing is judged again: by its lock, by the clock


@dataclass(frozen=True)
class Snapshot:
    """What is known about a run at one moment.

    Attributes:
        name: Name of the run.
        path: Its directory, from here when it is near.
        meta: What ``run.json`` says.
        verdict: What state it is in and why.
        step: Last step that was done.
        max_steps: Steps that it is to do; 0 while unknown.
        seconds_left: At the speed of the last steps; nan while unknown.
        last: The newest value of every metric.
        steps: Steps with a loss.
        losses: Their losses.
        smoothed: The smoothed losses.
        average: The newest smoothed loss that is finite; nan before the first.
        val_steps: Steps with an evaluation.
        val_losses: Their validation losses.
        ready: What the trainer said when it was ready; empty before.
        summary: What the trainer said at the end; empty before.
        sample: Step and text of the newest sample.
        log: The last lines of the log.
    """

    name: str
    path: str
    meta: dict[str, Any]
    verdict: Verdict
    step: int
    max_steps: int
    seconds_left: float
    last: dict[str, float]
    steps: Floats
    losses: Floats
    smoothed: Floats
    average: float
    val_steps: Floats
    val_losses: Floats
    ready: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    sample: tuple[int, str] | None = None
    log: tuple[str, ...] = ()


class Watch:
    """Follows one run, live or ended."""

    def __init__(self, run: RunDir, weight: float = 0.9) -> None:
        from workbench.runs.follow import Follower

        self.run = run
        self.follower: Follower = Follower(run)
        self._verdict: Verdict | None = None
        self._meta: dict[str, Any] = {}
        self._polls = -1
        self._ema = Ema(weight)
        self._steps = self._losses = self._smoothed = _array(())

    @property
    def weight(self) -> float:
        """Weight of the smoothing."""
        return self._ema.weight

    def smooth(self, weight: float) -> None:
        """Smooth with another weight, from the beginning."""
        self._ema, self._smoothed = Ema(weight), _array(())
        self._extend()

    def poll(self) -> bool:
        """Read what is new, a long run bit by bit; returns whether anything has changed."""
        from workbench.runs.status import verdict

        moved = self.follower.poll(max_bytes=_BYTES_AT_ONCE)
        if moved:
            self._extend()
        self._polls += 1
        if not moved and self._polls % _QUIET_POLLS:
            return False
        before, self._verdict = self._verdict, verdict(self.run)
        return moved or self._verdict != before

    def _extend(self) -> None:
        import numpy as np

        loss = self.follower.series("loss")
        steps, losses, known = _array(loss.steps), _array(loss.values), self._losses.size
        same = losses.size >= known and np.array_equal(
            (*steps[:known][-1:], *losses[:known][-1:]),
            (*self._steps[-1:], *self._losses[-1:]),
            equal_nan=True,
        )
        if not same:  # a resumed attempt has replaced steps: the average starts over
            self._ema, self._smoothed = Ema(self._ema.weight), _array(())
        self._steps, self._losses = steps, losses
        fresh = self._ema.extend(losses[self._smoothed.size :])
        self._smoothed = np.concatenate([self._smoothed, fresh])

    @property
    def verdict(self) -> Verdict:
        """The state of the run, as of the last poll that judged it."""
        if self._verdict is None:
            from workbench.runs.status import verdict

            self._verdict = verdict(self.run)
        return self._verdict

    def catch_up(self) -> Snapshot:
        """Read everything that is there now, however much it is."""
        while self.follower.poll(max_bytes=_BYTES_AT_ONCE):
            pass
        self._extend()
        self._verdict = None
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """What is known now."""
        from workbench.runs.files import read_json

        if not self._meta:
            self._meta = self.run.meta()
        follower, ready = self.follower, self.follower.ready or {}
        validation = follower.series("val_loss")
        step = follower.step
        max_steps = int(ready.get("max_steps") or self.verdict.max_steps or 0)
        return Snapshot(
            name=self.run.name,
            path=_shortest(self.run.path),
            meta=self._meta,
            verdict=self.verdict,
            step=step,
            max_steps=max_steps,
            seconds_left=seconds_left(follower, max_steps - step),
            last={
                name: v for name in follower.metric_names if (v := follower.last(name)) is not None
            },
            steps=self._steps,
            losses=self._losses,
            smoothed=self._smoothed,
            average=self._ema.value,
            val_steps=_array(validation.steps),
            val_losses=_array(validation.values),
            ready=ready,
            summary={} if self.verdict.alive else read_json(self.run.summary_path),
            sample=follower.sample,
            log=tuple(follower.log_tail(_LOG_LINES)),
        )


def _array(values: Sequence[float]) -> Floats:
    """A copy, because a view would make the follower copy at every row that it adds."""
    import numpy as np

    return np.array(values, dtype=np.float64)


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative

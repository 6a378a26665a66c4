"""A run that is ended after a few steps, and what it measured until then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from workbench.errors import RunError, WorkbenchError
from workbench.runs.control import stop, wait_for_end
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.runs.directory import RunDir

WARM_UP: Final = 2
"""Steps whose time is not counted: allocators fill their pools, and caches are cold."""

_POLL_SECONDS: Final = 0.05
_END_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Short:
    """What a short run measured.

    Attributes:
        steps: Steps that were done.
        step_seconds: The median of the timed ones.
        tokens_per_second: The median of the timed ones.
        allocated: Largest bytes of tensors on a GPU; None where torch does not count them.
        reserved: Largest bytes that torch held of it; None likewise.
        host: Largest resident memory of the first process.
        taken: Bytes of the GPU that went while it ran, as its driver counts; None without one.
        precision: Number format of the products, as the trainer said.
        torch: Version of torch.
    """

    steps: int
    step_seconds: float
    tokens_per_second: float
    allocated: int | None
    reserved: int | None
    host: int | None
    taken: int | None
    precision: str
    torch: str


def follow_short(
    run: RunDir, steps: int, free: Callable[[], int | None], before: int | None
) -> Short:
    """Follow a run that has been started, end it after some steps, and read what it wrote.

    It is ended at once, without a checkpoint.

    Args:
        run: The run.
        steps: How many.
        free: Free bytes of the GPU now.
        before: The same before it was started.

    Raises:
        WorkbenchError: It failed before its first step.
    """
    follower, least = Follower(run, cached=False), before
    try:
        while follower.step < steps:
            follower.poll()
            if not verdict(run).alive:
                break
            if before is not None:
                least = min(least or before, free() or before)
            time.sleep(_POLL_SECONDS)
    finally:
        stop(run, now=True)
        wait_for_end(run, _END_SECONDS)
    follower.poll()
    if not follower.step:
        error = verdict(run).error
        if error is not None:
            raise WorkbenchError.from_dict(error)
        raise RunError("the run ended before its first step", why="\n".join(follower.log_tail(5)))
    return _read(run, follower, None if before is None or least is None else before - least)


def _read(run: RunDir, follower: Follower, taken: int | None) -> Short:
    def timed(name: str) -> float:
        values = list(follower.series(name).values)
        return median(values[WARM_UP:] or values)

    def largest(name: str) -> int | None:
        values = follower.series(name).values
        return round(max(values)) if values else None

    return Short(
        steps=follower.step,
        step_seconds=timed("step_s"),
        tokens_per_second=timed("tokens_per_s"),
        allocated=largest("memory_allocated"),
        reserved=largest("memory_reserved"),
        host=largest("memory_host"),
        taken=taken,
        precision=str((follower.ready or {}).get("precision", "")),
        torch=str(read_json(run.environment_path).get("torch", "")),
    )

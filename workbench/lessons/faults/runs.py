"""What several faults do with a run: find its processes, resume it, compare what it did twice."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from workbench.lessons.faults import commands
from workbench.runs import process
from workbench.runs.files import read_bytes, read_json
from workbench.runs.follow import Follower, Series, parse_rows
from workbench.runs.restarts import newest_step
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.lessons.faults.stage import Stage
    from workbench.runs.directory import RunDir

STEPS: Final = 24
SHORT: Final = (
    f"--max_steps {STEPS} --save_steps 8 --lr_scheduler_type constant --mixed_precision no"
)
"""Keys of a short training. Its learning rate does not depend on the number of steps, so it can be
made longer and stays the same training; in fp32 it is the same on all kinds of CPUs."""
HEALTHY: Final = f"train lesson --name healthy {SHORT}"
"""A short training without fault."""
LONG: Final = "--max_steps 4000 --save_steps 16 --lr_scheduler_type constant"
"""Longer than any fault takes, so that none of them comes too late."""
HISTORY: Final = r"^\w+  (stopped|finished|failed)|^history| ago +(attempt|changed)"
"""The lines of `ava runs show` about what happened between the attempts."""
GOING_ON: Final = r"^changed|^resumed|^step \d+/(?!4000)|^finished"
"""The lines by which a resumed training is shown; those with 4000 are of the attempt before."""


def series(run: RunDir, metric: str) -> Series:
    """A metric of a run over its steps, with the newest attempt of each step."""
    follower = Follower(run, cached=False)
    while follower.poll():
        pass
    return follower.series(metric)


def losses(run: RunDir, attempt: int | None = None) -> dict[int, float]:
    """The loss by step: of one attempt, or of the newest attempt of each step."""
    if attempt is not None:
        rows = parse_rows(read_bytes(run.metrics_path(attempt)).splitlines())
        return {int(row["step"]): float(row["loss"]) for row in rows if "loss" in row}
    found = series(run, "loss")
    return {int(step): loss for step, loss in zip(found.steps, found.values, strict=True)}


def newest(run: RunDir) -> int:
    """The step of the newest checkpoint; -1 when there is none."""
    return newest_step(run.checkpoints_dir)


def last_step(run: RunDir) -> int:
    """The newest step in the metrics."""
    return verdict(run).step


def past_a_checkpoint(run: RunDir) -> bool:
    """Whether a run has a checkpoint, and steps after it that a crash would lose."""
    return newest(run) > 0 and newest(run) + 3 <= last_step(run)


def waits_past_a_checkpoint(stage: Stage, run: RunDir) -> None:
    """Wait until a run has a checkpoint, and steps after it."""
    stage.waits(lambda: past_a_checkpoint(run), "the run has a checkpoint and steps after it")


def halts(stage: Stage, who: tuple[int, int], when: Callable[[], bool], for_what: str) -> None:
    """Halt a process at a moment at which something is so, and is still so when it stands."""

    def caught() -> bool:
        if not when():
            return False
        signal_quietly(stage, who, signal.SIGSTOP)
        if when():
            return True
        signal_quietly(stage, who, signal.SIGCONT)  # it was over just then: at the next one
        return False

    stage.waits(caught, for_what)


def halts_past_a_checkpoint(stage: Stage, run: RunDir, who: tuple[int, int]) -> None:
    """Halt a training process where a kill costs some steps."""
    what = "the training is halted between two checkpoints"
    halts(stage, who, lambda: past_a_checkpoint(run), what)


def trainer(stage: Stage, run: RunDir) -> tuple[int, int]:
    """The process that trains: pid and start ticks."""
    stage.waits(lambda: verdict(run).pid is not None, "the trainer is there")
    return process_of(stage, verdict(run).pid or 0)


def supervisor(stage: Stage, run: RunDir) -> tuple[int, int]:
    """The process that holds the run: pid and start ticks."""
    return process_of(stage, int(read_json(run.lock_path).get("pid") or 0))


def signal_quietly(stage: Stage, who: tuple[int, int], number: signal.Signals) -> None:
    """Signal a process of the stage without a word of it in the report."""
    if commands.living(stage.folder).get(who[0]) == who[1]:
        process.send_signal(*who, number)


def resumed(stage: Stage, run: RunDir, steps: int, *, show: str = GOING_ON) -> None:
    """Go on with a run up to a step, in the foreground."""
    stage.ava(f"train --resume {run.name} --max_steps {steps}", show=show)


def same_again(stage: Stage, run: RunDir, before: int = 1, after: int = 2) -> None:
    """Claim that the steps which two attempts trained came out alike, and that none is missing."""
    first, second = losses(run, before), losses(run, after)
    twice = sorted(first.keys() & second.keys())
    stage.expects(
        "the steps that were trained twice have the same loss both times, to the last bit",
        twice and all(first[step] == second[step] for step in twice),
        f"steps {twice[0]} to {twice[-1]}" if twice else "there are none",
    )
    complete(stage, run)


def retries_and_stops(stage: Stage, run: RunDir, lost: int) -> None:
    """Let the second attempt pass the steps that were lost, stop it, and compare those steps."""
    stage.waits(lambda: 2 in run.attempts() and verdict(run).step > lost + 4, "it trains again")
    stage.ava(f"runs stop {run.name}")
    state = stage.waits_for_end(run)
    stage.ava(f"runs show {run.name}", show=HISTORY)
    stage.proves("")
    reason = verdict(run).reason
    stage.expects("it stopped on request, with a checkpoint", state == "stopped", reason)
    same_again(stage, run)


def complete(stage: Stage, run: RunDir) -> None:
    """Claim that no step is missing."""
    steps = sorted(losses(run))
    stage.expects(
        "no step is missing",
        steps == list(range(1, len(steps) + 1)),
        f"1 to {steps[-1]}" if steps else "there is none",
    )


def process_of(stage: Stage, pid: int) -> tuple[int, int]:
    """A process of the stage by its pid: pid and start ticks.

    Raises:
        NotAsSaidError: There is none.
    """
    ticks = commands.living(stage.folder).get(pid)
    if ticks is None:
        raise commands.NotAsSaidError(f"process {pid} is at work for the lab")
    return pid, ticks


def is_gone(stage: Stage, who: tuple[int, int]) -> bool:
    """Whether a process of the stage has ended."""
    return commands.living(stage.folder).get(who[0]) != who[1]


def ranks(run: RunDir) -> list[tuple[int, int]]:
    """The training processes of a run under a launcher: pid and start ticks."""
    return sorted(process.ranks(run.path).items())

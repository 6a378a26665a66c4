"""What state a run is in, judged from its files and its lock, never from a pid alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench import units
from workbench.runs import process
from workbench.runs.attempt import STOPPED_EXIT
from workbench.runs.endings import State, ended, gone, lost, signal_name
from workbench.runs.files import parse_line, read_json, tail_bytes
from workbench.runs.follow import last_row, parse_rows
from workbench.runs.heartbeat import last_beat, signs_of_life

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

__all__ = ["STOPPED_EXIT", "State", "Verdict", "is_alive", "signal_name", "verdict"]

RESUMABLE: Final = ("stopped", "paused", "failed", "vanished")
"""States from which a run can go on."""

_STALL_SECONDS: Final = 30.0
_STALL_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a run at one moment.

    Attributes:
        state: ``queued`` until its turn comes, ``starting`` until the trainer reports, ``running``,
            ``stalled`` when no step comes, ``stopping``, ``restarting`` between a failure and the
            next attempt; ``finished``, ``stopped`` on request, ``paused``, ``failed``;
            ``vanished`` when the supervisor died before it could say how the training ended.
        reason: Why, in words; empty when the state says all.
        alive: Whether a supervisor holds the run.
        pid: The trainer's process, when it lives.
        attempt: Number of the newest attempt; 0 before the first.
        step: The newest step on disk.
        max_steps: Steps to do; None when the config does not say.
        error: For a failed run the error, as ``WorkbenchError.to_dict`` writes it.
    """

    state: State
    reason: str
    alive: bool
    pid: int | None
    attempt: int
    step: int
    max_steps: int | None
    error: dict[str, Any] | None = None


def is_alive(run: RunDir) -> bool:
    """Whether a supervisor holds the run."""
    locked = process.is_locked(run.lock_path)
    if locked is not None:
        return locked
    holder = process.Identity.from_dict(read_json(run.lock_path))
    return holder is not None and process.is_alive(holder)


def verdict(run: RunDir) -> Verdict:
    """Judge a run now. Cheap: a lock is tried and a few ends of files are read."""
    # In this order: who made the newest attempt had the lock before and writes exit.json before
    # letting go. So an attempt without lock and end is never one that has just begun or ended.
    attempts = run.attempts()
    alive = is_alive(run)
    events = [parse_line(line) for line in tail_bytes(run.events_path)]
    attempt = attempts[-1] if attempts else 0
    trainer = _trainer(events, attempt)
    pid = trainer.pid if trainer and process.is_alive(trainer) else None
    step = _step(run, attempts)
    state: State
    error = None
    if waiting := _waiting(run, events, alive=alive):
        state, reason, error = waiting
    elif not attempt:
        state, reason = ("starting", "") if alive else ("stopped", "it has not been started yet")
    elif end := read_json(run.attempt_dir(attempt) / "exit.json"):
        state, reason, error = ended(run, attempt, end, step)
        if state == "restarting" and not alive:
            state, reason = "vanished", lost(run) or f"its supervisor was killed; {reason}"
    elif not alive:
        state, reason = gone(run, attempt, pid)
    elif _stop_requested(run, events, attempt):
        state, reason = "stopping", "it finishes the step and saves"
    elif not _has_reported(run, attempt):
        state, reason = "starting", ""
    else:
        reason = _stalled(run, attempt, pid)
        state = "stalled" if reason else "running"
    return Verdict(state, reason, alive, pid, attempt, step, _max_steps(run), error)


def _trainer(events: list[dict[str, Any]], attempt: int) -> process.Identity | None:
    for event in events:
        if event.get("event") == "attempt" and event.get("attempt") == attempt:
            return process.Identity.from_dict(event)
    return None


def _waiting(
    run: RunDir, events: list[dict[str, Any]], *, alive: bool
) -> tuple[State, str, dict[str, Any] | None] | None:
    """What is to be said of a run that stands, or stood last, in the line; None of another one."""
    told = [
        e for e in events if e.get("event") in ("queued", "unqueued", "start_failed", "attempt")
    ]
    last = told[-1] if told else {}
    if last.get("event") == "start_failed" and not alive:
        failure = last.get("error")
        error = failure if isinstance(failure, dict) else {}
        return "failed", str(error.get("what", "it could not be started")), error or None
    if last.get("event") == "unqueued" and not alive:
        left: State = "paused" if last.get("request") == "pause" else "stopped"
        return left, "on request, while it was queued", None
    if last.get("event") != "queued":
        return None
    if not alive:
        return "vanished", lost(run) or "its supervisor was killed while it was queued", None
    holder = process.Identity.from_dict(read_json(run.lock_path))
    if holder is None or holder.pid != last.get("pid"):
        return None  # of an earlier supervisor; this one has not said yet what it does
    from workbench.runs.queue import ahead_of

    names = [f"{each.name}{'' if each.running else ' (queued)'}" for each in ahead_of(run.path)]
    return "queued", f"it waits for {', '.join(names)}" if names else "its turn comes", None


def _stop_requested(run: RunDir, events: list[dict[str, Any]], attempt: int) -> bool:
    if any((run.inbox / name).exists() for name in ("stop", "pause", "kill")):
        return True
    return any(e.get("event") == "stop_requested" and e.get("attempt") == attempt for e in events)


def _step(run: RunDir, attempts: list[int]) -> int:
    for attempt in reversed(attempts):
        if row := last_row(run, attempt):
            return int(row["step"])
    return 0


_steps_to_do: dict[Path, tuple[tuple[int, int], int | None]] = {}
"""By config file; reading one costs a face with many runs more than all the rest."""


def _max_steps(run: RunDir) -> int | None:
    try:
        status = run.config_path.stat()
    except OSError:
        return None
    seen = status.st_mtime_ns, status.st_size
    known = _steps_to_do.get(run.config_path)
    if known is None or known[0] != seen:
        found: Any = read_json(run.config_path)
        for key in ("config", "training", "max_steps"):
            found = found.get(key) if isinstance(found, dict) else None
        known = _steps_to_do[run.config_path] = seen, found if isinstance(found, int) else None
    return known[1]


def _has_reported(run: RunDir, attempt: int) -> bool:
    return bool(_modified(run.metrics_path(attempt)) or _modified(run.attempt_events_path(attempt)))


def _modified(path: Path) -> float:
    """When a file was last written to; 0 when it is missing or empty."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return status.st_mtime if status.st_size else 0.0


def _stalled(run: RunDir, attempt: int, pid: int | None) -> str:
    """Why the run seems to hang; empty when it does not.

    The limit is that of reference/reliability.md, fault 12: 20 usual steps, at least 30 seconds.
    """
    quiet = _quiet(run, attempt)
    if quiet <= _STALL_SECONDS:
        return ""
    rows = parse_rows(tail_bytes(run.metrics_path(attempt)))
    usual = sorted(row["step_s"] for row in rows if isinstance(row.get("step_s"), float | int))
    step_seconds = usual[len(usual) // 2] if usual else 0.0
    if quiet <= _STALL_STEPS * step_seconds:
        return ""
    known = f" (a step usually takes {units.duration(step_seconds)})" if usual else ""
    halted = "; its process is halted: kill -CONT " + str(pid) if _halted(pid) else ""
    return f"nothing has come for {units.duration(quiet)}{known}{halted}"


def _halted(pid: int | None) -> bool:
    return pid is not None and process.is_paused(pid)


def _quiet(run: RunDir, attempt: int) -> float:
    """Seconds since something came from the trainer.

    By the supervisor's heartbeat, which no clock change moves; where there is none, as for a run on
    another machine, by the times of the files.
    """
    beat = last_beat(run)
    if beat is not None and beat.attempt == attempt and (quiet := beat.quiet()) is not None:
        return quiet
    return time.time() - max(map(_modified, signs_of_life(run, attempt)))

"""What state a run is in, judged from its files and its lock, never from a pid alone."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from workbench import units
from workbench.runs import process
from workbench.runs.files import parse_line, read_json, tail_bytes, tail_text
from workbench.runs.follow import last_row, parse_rows

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

State = Literal[
    "starting", "running", "stalled", "stopping", "finished", "stopped", "failed", "vanished"
]
STOPPED_EXIT: Final = 75  # EX_TEMPFAIL: saved on request, to be continued

_STALL_SECONDS: Final = 30.0
_STALL_STEPS: Final = 20
_LAST_WORDS: Final = 12
_FULL_DISK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a run at one moment.

    Attributes:
        state: ``starting`` until the trainer reports, ``running``, ``stalled`` when no step comes,
            ``stopping``; ``finished``, ``stopped`` on request, ``failed``; ``vanished`` when the
            supervisor died before it could say how the training ended.
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
    attempt = attempts[-1] if attempts else 0
    trainer = run.trainer(attempt)
    pid = trainer.pid if trainer and process.is_alive(trainer) else None
    step = _step(run, attempts)
    max_steps = _max_steps(run)
    state: State
    error = None
    ended = read_json(run.attempt_dir(attempt) / "exit.json") if attempt else {}
    if ended:
        state, reason, error = _ended(run, attempt, ended, step)
    elif not attempt:
        state, reason = ("starting", "") if alive else ("stopped", "it has not been started yet")
    elif not alive:
        state, reason = _gone(run, attempt, pid)
    elif _stop_requested(run, attempt):
        state, reason = "stopping", "it finishes the step and saves"
    elif not _has_reported(run, attempt):
        state, reason = "starting", ""
    else:
        reason = _stalled(run, attempt)
        state = "stalled" if reason else "running"
    return Verdict(state, reason, alive, pid, attempt, step, max_steps, error)


def _stop_requested(run: RunDir, attempt: int) -> bool:
    if (run.inbox / "stop").exists() or (run.inbox / "kill").exists():
        return True
    events = map(parse_line, tail_bytes(run.events_path))
    return any(e.get("event") == "stop_requested" and e.get("attempt") == attempt for e in events)


def _step(run: RunDir, attempts: list[int]) -> int:
    for attempt in reversed(attempts):
        if row := last_row(run, attempt):
            return int(row["step"])
    return 0


def _max_steps(run: RunDir) -> int | None:
    found: Any = read_json(run.config_path)
    for key in ("config", "training", "max_steps"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


def _has_reported(run: RunDir, attempt: int) -> bool:
    return bool(_modified(run.metrics_path(attempt)) or _modified(run.attempt_events_path(attempt)))


def _modified(path: Path) -> float:
    """When a file was last written to; 0 when it is missing or empty."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return status.st_mtime if status.st_size else 0.0


def _stalled(run: RunDir, attempt: int) -> str:
    """Why the run seems to hang; empty when it does not.

    The limit is that of reference/reliability.md, fault 12: 20 usual steps, at least 30 seconds.
    """
    signs = (
        run.metrics_path(attempt),
        run.attempt_events_path(attempt),
        run.output_path(attempt),
        run.log_path,
    )
    quiet = time.time() - max(map(_modified, signs))
    if quiet <= _STALL_SECONDS:
        return ""
    rows = parse_rows(tail_bytes(run.metrics_path(attempt)))
    usual = sorted(row["step_s"] for row in rows if isinstance(row.get("step_s"), float | int))
    step_seconds = usual[len(usual) // 2] if usual else 0.0
    if quiet <= _STALL_STEPS * step_seconds:
        return ""
    known = f" (a step usually takes {units.duration(step_seconds)})" if usual else ""
    return f"nothing has come for {units.duration(quiet)}{known}"


def _gone(run: RunDir, attempt: int, pid: int | None) -> tuple[State, str]:
    """The lock is free and nobody wrote how it ended."""
    done: dict[str, Any] = {}
    for line in tail_bytes(run.attempt_events_path(attempt)):
        event = parse_line(line)
        done = event if event.get("event") == "done" else done
    if done:
        summary = done.get("summary")
        if isinstance(summary, dict) and summary.get("state") == "stopped":
            return "vanished", "its supervisor was killed; its trainer saved and ended"
        return "finished", ""  # the supervisor died between the trainer's end and its own
    holder = process.Identity.from_dict(read_json(run.lock_path))
    if pid is not None:
        return "vanished", f"its supervisor was killed; its trainer (pid {pid}) is still ending"
    if holder and holder.host != os.uname().nodename:
        return "vanished", f"it ran on {holder.host}, and no longer reports"
    if holder and holder.boot_id != process.boot_id():
        return "vanished", "the machine was restarted while it ran"
    return "vanished", "its supervisor was killed, so nobody saw how it ended"


def _ended(
    run: RunDir, attempt: int, ended: dict[str, Any], step: int
) -> tuple[State, str, dict[str, Any] | None]:
    code, number, requested = ended.get("code"), ended.get("signal"), ended.get("requested")
    if code == 0:
        return "finished", "", None
    if code == STOPPED_EXIT:
        return "stopped", "saved on request", None
    if requested == "kill":
        return "stopped", "ended at once on request, without saving", None
    if ended.get("forced"):
        return "stopped", "ended without saving: it did not finish the step in time", None
    if requested and number == signal.SIGTERM:  # the trainer was not yet there to handle it
        return "stopped", "stopped on request before it began to train", None
    how = f"was killed by {signal_name(number)}" if number else f"ended with exit code {code}"
    failure = read_json(run.attempt_dir(attempt) / "failure.json")
    error = (
        failure if failure.get("what") else _crash(run, attempt, number, f"{how} at step {step}")
    )
    reason = str(error["what"]) if failure.get("what") else f"the trainer {how} at step {step}"
    return "failed", reason, error


def _crash(run: RunDir, attempt: int, number: object, how: str) -> dict[str, Any]:
    """An end that the trainer could not explain itself: tell its last words."""
    fix = None
    if number == signal.SIGKILL:
        fix = "if nobody killed it, memory ran out (dmesg tells): try a smaller batch_size"
    why = "\n".join(
        line for line in tail_text(run.output_path(attempt), _LAST_WORDS) if line.strip()
    )
    if _disk_is_full(run.path):
        why = "there is no space left on the disk" + (f"\n{why}" if why else "")
        fix = "make room, then resume"
    return {
        "kind": "TrainingError",
        "what": f"the trainer {how}",
        "where": str(run.output_path(attempt)),
        "why": why or "it printed nothing",
        "fix": fix,
    }


def _disk_is_full(path: Path) -> bool:
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _FULL_DISK_BYTES


def signal_name(number: object) -> str:
    """A signal as people know it: ``SIGKILL (signal 9)``."""
    try:
        return f"{signal.Signals(int(str(number))).name} (signal {number})"
    except ValueError:
        return f"signal {number}"

"""How an attempt ended, from what the supervisor and the trainer have left on disk."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any, Final, Literal

from workbench import units
from workbench.runs import process
from workbench.runs.attempt import STOPPED_EXIT
from workbench.runs.files import parse_line, read_json, tail_bytes, tail_text

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

State = Literal[
    "queued",
    "starting",
    "running",
    "stalled",
    "stopping",
    "restarting",
    "finished",
    "stopped",
    "paused",
    "failed",
    "vanished",
]

_LAST_WORDS: Final = 12
_FULL_DISK_BYTES: Final = 64 * 1024
LESS_MEMORY: Final = (
    "halve --training.batch_size and double --training.gradient_accumulation_steps: the same step "
    "in less memory;\nor --training.gradient_checkpointing true, or a shorter --data.max_length"
)
_OTHER_PORT: Final = (
    "the port is taken: leave it to the system (one machine), or choose another: "
    "--parallel.master_port N"
)
_KNOWN: Final = (
    (re.compile(r"address already in use|EADDRINUSE", re.IGNORECASE), _OTHER_PORT),
    (re.compile(r"out of memory|OutOfMemoryError|can't allocate memory"), LESS_MEMORY),
    (
        re.compile(r"No module named '?(?!workbench|ava_kernels)"),
        "install what is missing into the environment that the run uses",
    ),
)
"""What the last words of a program mean, for those that come up again and again."""


def ended(
    run: RunDir, attempt: int, end: dict[str, Any], step: int
) -> tuple[State, str, dict[str, Any] | None]:
    """The state, the reason and the error of an attempt whose exit.json is there."""
    code, requested = end.get("code"), end.get("requested")
    outcome = end.get("outcome")
    if "outcome" not in end and isinstance(code, int):  # of a version that wrote the code alone
        outcome = {0: "finished", STOPPED_EXIT: "stopped"}.get(code)
    if outcome == "finished":
        return "finished", _unsaved(run), None
    if outcome == "stopped" and requested == "pause":
        return "paused", "saved; resume it when you like", None
    if how := _as_asked(end, outcome):
        return "stopped", how, None
    return _failed(run, attempt, end, step)


def _as_asked(end: dict[str, Any], outcome: object) -> str:
    """How it was stopped; empty when it failed."""
    if outcome == "stopped":
        return "saved on request"
    if end.get("requested") == "kill":
        return "ended at once on request, without saving"
    if end.get("forced"):
        return "ended without saving: it did not finish the step in time"
    early = end.get("signal") == signal.SIGTERM or end.get("began") is False
    if end.get("requested") and early:
        return "stopped on request before it began to train"
    return ""


def _failed(
    run: RunDir, attempt: int, end: dict[str, Any], step: int
) -> tuple[State, str, dict[str, Any] | None]:
    code, number = end.get("code"), end.get("signal")
    how = f"was killed by {signal_name(number)}" if number else f"ended with exit code {code}"
    failure = read_json(run.attempt_dir(attempt) / "failure.json")
    memory = end.get("out_of_memory")
    if failure.get("what"):
        error, reason = failure, str(failure["what"])
    elif isinstance(memory, dict):
        error = _out_of_memory(run, attempt, end, memory, step)
        reason = str(error["what"])
    else:
        error = _crash(run, attempt, number, f"{how} at step {step}")
        reason = f"the trainer {how} at step {step}"
    again, given_up = end.get("restart"), end.get("given_up")
    if isinstance(again, dict):
        wait = units.duration(float(again.get("in_seconds", 0)))
        turn = f"{again.get('number')} of {again.get('of')} without progress"
        return "restarting", f"{reason}; it starts again after {wait} ({turn})", error
    if given_up:
        kept: State = "paused" if given_up == "pause" else "stopped"
        return kept, f"on request, before it was started again; {reason}", None
    if refused := end.get("not_restarted"):
        reason += f"; it was not started again: {refused}"
    return "failed", reason, error


def _unsaved(run: RunDir) -> str:
    """Why a finished run is not what it should be; empty when it is."""
    step = read_json(run.summary_path).get("step")
    if not isinstance(step, int) or not step or not run.checkpoints_dir.is_dir():
        return ""
    if any(run.checkpoints_dir.glob(f"*{step:08d}*")):
        return ""
    return f"not saved: there is no checkpoint of its last step, {step}"


def _out_of_memory(
    run: RunDir, attempt: int, end: dict[str, Any], memory: dict[str, Any], step: int
) -> dict[str, Any]:
    held, limit = end.get("peak_bytes"), memory.get("limit_bytes")
    facts = [f"a process of it held {units.size(held)}"] if isinstance(held, int) else []
    facts += [f"{units.size(limit)} are there"] if isinstance(limit, int) else []
    return {
        "kind": "TrainingError",
        "what": f"memory ran out at step {step}: the kernel killed the trainer",
        "where": str(run.output_path(attempt)),
        "why": ", ".join([*facts, "and the kernel has counted an out-of-memory kill"]),
        "fix": LESS_MEMORY,
    }


def _crash(run: RunDir, attempt: int, number: object, how: str) -> dict[str, Any]:
    """An end that the trainer could not explain itself: tell its last words."""
    fix = None
    if number == signal.SIGKILL:
        fix = "if nobody killed it, memory ran out (dmesg tells): try a smaller batch_size"
    why = "\n".join(
        line for line in tail_text(run.output_path(attempt), _LAST_WORDS) if line.strip()
    )
    fix = next((advice for pattern, advice in _KNOWN if pattern.search(why)), fix)
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


def gone(run: RunDir, attempt: int, pid: int | None) -> tuple[State, str]:
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
    if pid is not None:
        return "vanished", f"its supervisor was killed; its trainer (pid {pid}) is still ending"
    return "vanished", lost(run) or "its supervisor was killed, so nobody saw how it ended"


def lost(run: RunDir) -> str:
    """Where a supervisor that no longer holds the run has gone; empty when it was just killed."""
    holder = process.Identity.from_dict(read_json(run.lock_path))
    if holder and holder.host != os.uname().nodename:
        return f"it ran on {holder.host}, and no longer reports"
    if holder and holder.boot_id != process.boot_id():
        return "the machine was restarted while it ran"
    return ""


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

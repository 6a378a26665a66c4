"""One attempt of a trainer: started, asked to stop, watched, and cleared away behind.

The stop ladder: SIGTERM, so that the trainer finishes the step, saves and exits; after the grace
period SIGTERM again, which means at once; then SIGKILL. Under a launcher the first two go to the
training processes themselves, for a launcher that is told to end takes them down unsaved.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.masking import Mask, telling
from workbench.runs import memory, process
from workbench.runs.files import (
    atomic_write_json,
    atomic_write_text,
    open_append,
    parse_line,
    read_json,
    release,
    reserve,
    tail_bytes,
)
from workbench.runs.heartbeat import Heart
from workbench.runs.launcher import HEAP, RANKS
from workbench.runs.scrub import Scrubber

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.runs.directory import RunDir
    from workbench.runs.launcher import LaunchPlan
    from workbench.runs.writer import EventWriter

WATCHED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that the supervisor waits for, and that its trainer must not inherit as blocked."""

STOPPED_EXIT: Final = 75  # EX_TEMPFAIL: saved on request, to be continued
_OUTCOMES: Final = {0: "finished", STOPPED_EXIT: "stopped"}
_AGAIN_SECONDS: Final = 5.0
_PARTING_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_TOLD: Final = (
    "AVA_", "CUDA_", "DS_", "FI_", "GLOO_", "HF_", "HIP_", "LD_", "MALLOC_", "MASTER_", "MKL_",
    "NCCL_", "NVIDIA_", "OMP_", "ONEDNN_", "PATH", "PYTHON", "PYTORCH_", "ROCR_", "SLURM_",
    "TOKENIZERS_", "TORCH", "TRITON_", "UCX_", "VIRTUAL_ENV", "WORLD_SIZE", "XDG_",
)  # fmt: skip
"""Beginnings of variables that shape a training; of all others only the name is written down."""

_PLACE: Final = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
"""What tells a process its place among others: for the trainer's own launcher to say. A pod, or a
library in the process that launches (DeepSpeed writes them), has left another's here."""


class Attempt:
    """One start of the trainer.

    Args:
        run: The run.
        number: The attempt's number.
        plan: How it is started.
        events: Where it is reported.
        grace: Seconds that a stopped trainer has for finishing the step and saving.

    Attributes:
        requested: ``stop``, ``pause`` or ``kill`` when the end was asked for.
        forced: Whether more than a polite request was needed.
        parting: Seconds that processes have to end after they have said that all is done.
    """

    def __init__(
        self, run: RunDir, number: int, plan: LaunchPlan, events: EventWriter, grace: float
    ) -> None:
        self.run = run
        self.number = number
        self.plan = plan
        self.grace = grace
        self.folder = run.attempt_dir(number)
        self.requested: str | None = None
        self.forced = False
        self._events = events
        self._trainer: subprocess.Popen[bytes] | None = None
        self._rungs: list[tuple[float, signal.Signals, bool]] = []
        self._heart = Heart(run, number)
        self._scrubber = Scrubber(run.output_path(number), Mask())
        self.parting = _PARTING_SECONDS
        self._parted: float | None = None
        self._looked = float("-inf")
        self._kills: dict[str, int] = {}
        self._peak_bytes = 0

    @property
    def over(self) -> bool:
        """Whether the trainer, or its launcher, has ended."""
        return self._trainer is not None and self._trainer.returncode is not None

    def start(self, cwd: str, prepare: Callable[[], None]) -> None:
        """Start the trainer; after a failure it is as if nothing had been tried.

        Args:
            cwd: The folder it works in.
            prepare: Called when the attempt has its folder, to clear the place.

        Raises:
            OSError: The disk or the system does not allow it.
            RunError: `prepare` cannot clear the place.
        """
        self.folder.mkdir()
        try:
            prepare()
            # The last words must find room even when the training has filled the disk.
            reserve(self.folder / "exit.json", 4096)
            reserve(self.folder / "failure.json", 16384)
            self._spawn(cwd)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def ask(self, request: str) -> None:
        """Begin to climb the stop ladder; ``kill`` goes to its top."""
        now = time.monotonic()
        if request == "kill":
            if self.requested == "kill":
                return
            self._rungs = [(now, signal.SIGKILL, True)]
        elif self.requested is None:
            self._rungs = [
                (now, signal.SIGTERM, False),
                (now + self.grace, signal.SIGTERM, True),
                (now + self.grace + _AGAIN_SECONDS, signal.SIGKILL, True),
            ]
        else:
            return
        self.requested = request
        self._events.write(
            "stop_requested", attempt=self.number, now=request == "kill", request=request
        )

    def tend(self) -> None:
        """What has to be done again and again while the trainer lives."""
        self._climb()
        self._reap()
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._heart.look()
            self._see_them_off(now)
        self._scrubber.scrub()

    def finish(self) -> dict[str, Any]:
        """After the end: leave no process behind; returns what exit.json is to say."""

        def left() -> dict[int, int]:
            self._reap()
            return process.marked(self.run.path) | process.descendants(os.getpid())

        # An error of the supervisor itself leaves the trainer running: it counts among those left.
        ended, surviving = process.end_all(left, grace=0.0 if self.requested == "kill" else 2.0)
        self._scrubber.scrub()
        status = self._trainer.returncode if self._trainer else None
        code = status if status is not None and status >= 0 else None
        number = -status if status is not None and status < 0 else None
        return {
            "code": code,
            "signal": number,
            "outcome": self._outcome(code),
            "t": time.time(),
            "requested": self.requested,
            "forced": self.forced,
            "began": self._has_begun(),
            "leftovers": ended,
            "surviving": surviving,
            "peak_bytes": self._peak_bytes or None,
            "out_of_memory": self._out_of_memory(number),
        }

    def conclude(self, end: Mapping[str, Any]) -> None:
        """Write down how it ended."""
        with contextlib.suppress(OSError):
            atomic_write_json(self.folder / "exit.json", end)
        shutil.rmtree(self.folder / RANKS, ignore_errors=True)  # empty: ranks print to out.log
        release(self.folder / "exit.json")
        release(self.folder / "failure.json")

    def failure(self) -> dict[str, Any]:
        """What the trainer said itself about its failure; empty when nothing."""
        return read_json(self.folder / "failure.json")

    def _spawn(self, cwd: str) -> None:
        argv = list(self.plan.argv)
        environment = {
            **HEAP,
            **{name: value for name, value in os.environ.items() if name not in _PLACE},
            **self.plan.env,
            process.MARKER: process.marker(self.run.path),
        }
        if self.plan.hostfile is not None:
            atomic_write_text(self.folder / "hostfile", self.plan.hostfile)
        atomic_write_json(
            self.folder / "cmd.json", {**self.plan.to_dict(), "cwd": cwd, "t": time.time()}
        )
        atomic_write_json(self.folder / "env.json", _told(environment))
        self._kills = memory.kills()
        parent = os.getpid()
        prctl = _prctl()
        prctl(_PR_SET_CHILD_SUBREAPER, 1)

        def in_child() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # the supervisor died before the line above
                os._exit(128 + signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)

        with open_append(self.run.output_path(self.number)) as output:
            self._trainer = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                preexec_fn=in_child,  # noqa: PLW1509 - no threads here to deadlock with
            )
        identity = process.identify(self._trainer.pid)
        facts = identity.to_dict() if identity else {"pid": self._trainer.pid}
        self._events.write("attempt", attempt=self.number, supervisor=parent, **facts)

    def _see_them_off(self, now: float) -> None:
        """End processes that have said that all is done, and then do not come to their end.

        Ranks part in collectives and in the destructors of three libraries; what hangs there has
        saved everything, and would hold the devices for ever.
        """
        if self._parted is None and (self.folder / "ending.json").exists():
            self._parted = now
        if self._parted is not None and now - self._parted > self.parting and not self._rungs:
            self._events.write("parting_hangs", attempt=self.number)
            self._parted = float("inf")
            self._rungs = [(now, signal.SIGKILL, self.forced)]

    def _climb(self) -> None:
        while self._rungs and time.monotonic() >= self._rungs[0][0]:
            _, number, self.forced = self._rungs.pop(0)
            self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        assert self._trainer is not None
        trainers = process.ranks(self.run.path) if self.plan.several else {}
        if number == signal.SIGKILL:
            trainers = process.marked(self.run.path) if self.plan.several else {}
        for pid, ticks in trainers.items():
            process.send_signal(pid, ticks, number)
        if not trainers or number == signal.SIGKILL:
            os.kill(self._trainer.pid, number)  # not reaped yet: this pid is still our child's

    def _reap(self) -> None:
        """Collect ended children: the trainer, and orphans that this process has adopted."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return
                self._peak_bytes = max(self._peak_bytes, usage.ru_maxrss * 1024)
                if self._trainer is not None and pid == self._trainer.pid:
                    self._trainer.returncode = os.waitstatus_to_exitcode(status)

    def _outcome(self, code: int | None) -> str | None:
        """``finished`` or ``stopped`` when the trainer got that far; None when it failed.

        Of several processes the launcher's exit code says too little: rank 0 leaves a file.
        """
        said = read_json(self.folder / "ending.json").get("outcome")
        if said in _OUTCOMES.values():
            return str(said)
        return None if self.plan.several or code is None else _OUTCOMES.get(code)

    def _has_begun(self) -> bool:
        if self.run.metrics_path(self.number).exists():
            return True
        lines = tail_bytes(self.run.attempt_events_path(self.number))
        return any(parse_line(line).get("event") == "ready" for line in lines)

    def _out_of_memory(self, number: int | None) -> dict[str, Any] | None:
        """What tells that the kernel ended it for want of memory; None when nothing does."""
        if self.requested == "kill" or self.forced:
            return None
        killed = number == signal.SIGKILL
        if not killed and self.plan.several:  # the launcher tells of the rank in its own words
            lines = tail_bytes(self.run.output_path(self.number))
            killed = any(b"SIGKILL" in line or b"exitcode: -9" in line for line in lines)
        after = memory.kills()
        if not killed or not memory.risen(self._kills, after):
            return None
        return {"before": self._kills, "after": after, "limit_bytes": memory.limit()}


def _told(environment: Mapping[str, str]) -> dict[str, Any]:
    """The environment as it is written down: values that shape a training, names of the others."""
    mask = Mask(environment)
    told = {
        name: "***" if telling(name) else mask.text(value)
        for name, value in sorted(environment.items())
        if name.startswith(_TOLD)
    }
    return {"set": told, "names_only": sorted(environment.keys() - told.keys())}


def _prctl() -> Callable[[int, int], int]:
    import ctypes

    function: Callable[[int, int], int] = ctypes.CDLL(None).prctl
    return function


def working_folder(run: RunDir) -> str:
    """Where a resumed run works: it finds its relative paths where it found them at first."""
    first = read_json(run.attempt_dir(1) / "cmd.json").get("cwd")
    return first if isinstance(first, str) and Path(first).is_dir() else str(Path.cwd())

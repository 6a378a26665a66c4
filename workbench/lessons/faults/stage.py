"""The stage on which a fault happens: a scratch folder, real commands, and a record of it all."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workbench.lessons.faults import commands
from workbench.lessons.faults.commands import NotAsSaidError
from workbench.lessons.faults.excerpts import excerpt
from workbench.lessons.faults.report import Curve, Phase, Step
from workbench.lessons.faults.runs import HEALTHY, series
from workbench.runs import process
from workbench.runs.directory import RunDir
from workbench.runs.status import verdict

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from workbench.lessons.faults.commands import Limit
    from workbench.runs.status import State, Verdict

_POLL_SECONDS: Final = 0.002
_PATIENCE_SECONDS: Final = 300.0  # for a machine that has much else to do


@dataclass(slots=True)
class Stage:
    """A scratch folder and the record of what happens in it.

    Attributes:
        folder: Where.
        tell: Called with each step.
        begins: Called with each command before it is run.
        ready: A healthy run that may be copied instead of trained.
        steps: The record.
        afterwards: What is to be undone in the end, the last first.
    """

    folder: Path
    tell: Callable[[Step], None]
    begins: Callable[[str], None]
    ready: Path | None = None
    steps: list[Step] = field(default_factory=list)
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    _phase: Phase = "break"

    def __post_init__(self) -> None:
        (self.folder / commands.TEMPORARY).mkdir(exist_ok=True)

    # What is said.

    def breaks(self, text: str) -> None:
        """Begin with what is done to break something."""
        self._say("break", text)

    def sees(self, text: str) -> None:
        """Go on with what one sees of it."""
        self._say("see", text)

    def because(self, text: str) -> None:
        """Say why."""
        self._say("why", text)

    def repairs(self, text: str) -> None:
        """Go on with the repair."""
        self._say("repair", text)

    def proves(self, text: str) -> None:
        """Go on with what shows that it is repaired."""
        self._say("proof", text)

    def expects(self, claim: str, holds: object, found: str = "") -> None:
        """Check a claim, and write down whether it holds."""
        self._add(Step(self._phase, "claim", claim, holds=bool(holds), found=found))

    # What is done.

    def ava(
        self,
        line: str,
        *,
        code: int = 0,
        limit: Limit | None = None,
        show: tuple[int, int] | str = (8, 16),
    ) -> str:
        """Run a command to its end and show what it printed.

        Args:
            line: What comes after ``ava``.
            code: The exit code that it is to have.
            limit: A limit on what it may take.
            show: How many lines are shown from the beginning and from the end; or a pattern that
                the shown lines have.

        Raises:
            NotAsSaidError: It ended with another exit code.
        """
        started = self.begin(line, limit=limit)
        return self.ended(started, line, code=code, limit=limit, show=show)

    def begin(self, line: str, *, limit: Limit | None = None) -> subprocess.Popen[str]:
        """Start a command; `ended` waits for it."""
        self.begins(commands.typed(line, limit))
        started = commands.start(self.folder, line, limit)
        self.afterwards.append(lambda: commands.part_with(started))
        return started

    def ended(
        self,
        started: subprocess.Popen[str],
        line: str,
        *,
        code: int = 0,
        limit: Limit | None = None,
        show: tuple[int, int] | str = (8, 16),
    ) -> str:
        """Wait for a command that was begun; see `ava`."""
        printed = commands.finish(started)
        self.ran(commands.typed(line, limit), excerpt(printed, show), started.returncode)
        if started.returncode != code:
            raise NotAsSaidError(
                f"ava {shlex.split(line)[0]} ends with exit code {code}",
                why=f"it ended with {started.returncode}:\n{printed.strip()[-2000:]}",
            )
        return printed

    def asks(self, line: str) -> dict[str, Any]:
        """Ask a command for data, which is not shown.

        Raises:
            NotAsSaidError: It gave none.
        """
        printed = commands.finish(commands.start(self.folder, f"{line} --json", narration=False))
        try:
            data: dict[str, Any] = json.loads(printed)
        except ValueError:
            raise NotAsSaidError(f"ava {line} --json gives data", why=printed[-2000:]) from None
        return data

    def ran(self, command: str, output: str = "", code: int | None = None) -> None:
        """Write down a command that was run, or an act of this process as the command it is."""
        step = Step(self._phase, "ran", command=command, output=output, exit_code=code)
        self._add(step)

    def writes(self, name: str, text: str | bytes) -> Path:
        """Write a file in the scratch folder."""
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def kills(self, number: signal.Signals, pid: int, ticks: int) -> None:
        """Signal a process of this stage, and of no other.

        Raises:
            NotAsSaidError: It is no longer there.
        """
        name = number.name.removeprefix("SIG")
        sent = commands.living(self.folder).get(pid) == ticks
        if not sent or not process.send_signal(pid, ticks, number):
            raise NotAsSaidError(f"process {pid} is there to get {number.name}")
        self.ran(f"kill -{name} {pid}")

    # Runs.

    def run(self, name: str) -> RunDir:
        """A run of this stage."""
        return RunDir(self.folder / "runs" / name)

    def healthy(self) -> RunDir:
        """A short training in which nothing goes wrong: copied where there is one, else trained."""
        if self.ready is None:
            self.ava(HEALTHY, show=r"^step|^finished|^loss|^validation")
        else:
            shutil.copytree(self.ready, self.run("healthy").path, symlinks=True)
            lines = self.run("healthy").log_path.read_text().splitlines()
            self.ran(commands.typed(HEALTHY), excerpt("\n".join(lines), (0, 3)), 0)
        return self.run("healthy")

    def shows_curves(self, title: str, metric: str, runs: Mapping[str, RunDir]) -> None:
        """Draw a metric of runs into the report."""
        found = {label: series(run, metric) for label, run in runs.items()}
        curves = (
            Curve(label, tuple(each.steps), tuple(each.values)) for label, each in found.items()
        )
        self._add(Step(self._phase, "curve", title, curves=tuple(curves)))

    def waits(self, until: Callable[[], bool], for_what: str) -> None:
        """Wait until something is so.

        Raises:
            NotAsSaidError: It did not become so.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not until():
            if time.monotonic() > deadline:
                raise NotAsSaidError(for_what, why=f"not after {_PATIENCE_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def waits_for(self, run: RunDir, state: State) -> Verdict:
        """Wait until a run is in a state; returns its verdict of that moment.

        Raises:
            NotAsSaidError: It did not get there.
        """
        seen = verdict(run)

        def reached() -> bool:
            nonlocal seen
            seen = verdict(run)
            return seen.state == state

        self.waits(reached, f"the run {run.name} is {state}")
        return seen

    def waits_for_end(self, run: RunDir) -> str:
        """Wait until nobody holds a run; returns its state."""
        self.waits(lambda: not verdict(run).alive, f"the run {run.name} ends")
        return verdict(run).state

    def close(self) -> None:
        """End every process of this stage and undo what is to be undone.

        Raises:
            NotAsSaidError: A process cannot be ended.
        """
        left = commands.end_all(self.folder)
        while self.afterwards:
            self.afterwards.pop()()
        if left:
            pids = ", ".join(map(str, commands.living(self.folder)))
            raise NotAsSaidError("every process of the lab can be ended", why=f"left: {pids}")

    def _say(self, phase: Phase, text: str) -> None:
        self._phase = phase
        if text:
            self._add(Step(phase, "says", " ".join(text.split())))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self.tell(step)

"""Watching a run from the terminal: a live picture, or plain lines where stdout is no terminal."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from workbench import units
from workbench.cli.ending import closing_lines, exit_code, outcome
from workbench.cli.output import print_json
from workbench.runs.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from workbench.runs.directory import RunDir
    from workbench.runs.status import Verdict
    from workbench.runs.watch import Snapshot

_FRAMES_PER_SECOND = 5
_POLL_SECONDS = 0.1
_CURVE_ROWS = 9
_STYLES = {
    "raw": "dim",
    "smoothed": "bold cyan",
    "validation": "bold yellow",
    "axis": "dim",
    "label": "dim",
    "title": "bold",
    "bad": "bold red",
    "": "",
}


class _Interrupt:
    """Counts Ctrl-C (and SIGTERM): once stops gently, twice stops now."""

    def __init__(self) -> None:
        self.count = 0
        self.number = 0

    def __call__(self, number: int, _frame: object) -> None:
        self.count += 1
        self.number = number


@contextmanager
def _catching() -> Iterator[_Interrupt]:
    interrupt = _Interrupt()
    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(run: RunDir, *, json: bool = False, stop_on_interrupt: bool) -> int:
    """Show a run until it ends.

    Args:
        run: The run, live or ended.
        json: Print the outcome as JSON on stdout and the narration on stderr.
        stop_on_interrupt: Ctrl-C stops the run (a foreground training); otherwise it only leaves.

    Returns:
        The exit code of the outcome: 0 finished, 130 interrupted, 1 or 2 failed.
    """
    stream = sys.stderr if json else sys.stdout
    with _catching() as interrupt:
        session = _Session(run, interrupt, stop_on_interrupt=stop_on_interrupt)
        ended = _follow_live(session, json=json) if stream.isatty() else _plain(session, stream)
    if not ended:  # a viewer left; the run goes on
        sys.stderr.write(f"{run.name} goes on; watch it again with: ava runs watch {run.name}\n")
        return 128 + interrupt.number
    snapshot = session.watch.catch_up()
    state = snapshot.verdict
    to_stderr = json or state.state in ("failed", "vanished")
    for line in closing_lines(run, snapshot):
        (sys.stderr if to_stderr else sys.stdout).write(line + "\n")
    if json:
        print_json(outcome(run, snapshot))
    if interrupt.count and state.state == "stopped":
        return 128 + interrupt.number
    return exit_code(state)


class _Session:
    """Polls one run until it ends, and turns Ctrl-C into the stop ladder."""

    def __init__(self, run: RunDir, interrupt: _Interrupt, *, stop_on_interrupt: bool) -> None:
        self.run = run
        self.watch = Watch(run)
        self.note = (
            "Ctrl-C stops and saves" if stop_on_interrupt else "Ctrl-C leaves; the run goes on"
        )
        self._interrupt = interrupt
        self._stops = stop_on_interrupt
        self._handled = 0

    @property
    def verdict(self) -> Verdict:
        return self.watch.verdict

    def turns(self) -> Iterator[bool]:
        """Whether anything changed, once per poll; ends with the run, or when the viewer leaves."""
        while True:
            changed = self.watch.poll()
            yield changed
            if self.left or not (changed or self.verdict.alive):
                return
            if self._interrupt.count > self._handled:
                self._handled = self._interrupt.count
                self._stop()
            time.sleep(_POLL_SECONDS)

    @property
    def left(self) -> bool:
        """Whether a viewer has left a run that goes on."""
        return self._interrupt.count > 0 and not self._stops

    def _stop(self) -> None:
        from workbench.runs.control import stop

        now = self._handled > 1
        self.note = (
            "stopping now, without saving"
            if now
            else "finishing the step and saving … (Ctrl-C again stops at once)"
        )
        stop(self.run, now=now)


def _plain(session: _Session, stream: TextIO) -> bool:
    """Follow with plain lines; False when the viewer left."""

    def say(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    follower = session.watch.follower
    events, step, last_line, note = 0, 0, 0.0, session.note
    for _ in session.turns():
        for event in follower.events[events:]:
            if text := _event_line(event):
                say(text)
        events = len(follower.events)
        if session.note != note:
            note = session.note
            say(note)
        # A line every two seconds keeps a log readable; evaluations are said as events.
        due = time.monotonic() - last_line > 2 or not session.verdict.alive
        if follower.step > step and due:
            step, last_line = follower.step, time.monotonic()
            say(_step_line(session.watch.snapshot()))
    return not session.left


def _event_line(event: dict[str, Any]) -> str | None:
    kind, step = event.get("event"), event.get("step")
    if kind == "ready":
        return "\n".join(_opening(event))
    if kind == "resumed":
        return f"resumed from step {step}"
    if kind == "eval":
        return f"step {step}  validation loss {units.number(event.get('val_loss'))}"
    if kind == "save_failed":
        return f"checkpoint of step {step} not saved: {(event.get('error') or {}).get('what')}"
    if kind == "checkpoint_bad":
        return f"checkpoint {event.get('path')} is damaged ({event.get('why')}): not used"
    return _supervisor_line(event)


def _supervisor_line(event: dict[str, Any]) -> str | None:
    """What the supervisor reports between the attempts."""
    if event.get("event") == "queued":
        return "queued: it waits until the devices are free"
    again = event.get("restart")
    if event.get("event") == "exited" and isinstance(again, dict):
        wait = units.duration(float(again["in_seconds"]))
        return f"attempt {event.get('attempt')} failed; it starts again after {wait}"
    return None


def _opening(ready: dict[str, Any]) -> list[str]:
    """What is about to be trained: the arithmetic before step 1."""
    lines = [
        f"model   {units.count(ready['parameters'])} parameters",
        f"data    {ready['data']}",
        f"batch   {ready['equation']}",
        (
            f"device  {ready['device']}, {ready['threads']} threads, {ready['precision']}"
            f" ({ready['precision_reason']})"
        ),
    ]
    skipped = ready.get("skipped_total", 0)
    if skipped:
        named = ", ".join(f"{item['path']} ({item['why']})" for item in ready["skipped"][:3])
        more = f" and {skipped - 3} more, all named in training.log" if skipped > 3 else ""
        lines.append(f"skipped {skipped}: {named}{more}")
    return lines


def _step_line(now: Snapshot) -> str:
    parts = [f"step {now.step}/{now.max_steps or '?'}"]
    for name, label in (
        ("loss", "loss"),
        ("val_loss", "validation"),
        ("lr", "lr"),
        ("grad_norm", "grad norm"),
    ):
        if name in now.last:
            parts.append(f"{label} {units.number(now.last[name])}")
    if "tokens_per_s" in now.last:
        parts.append(f"{units.count(now.last['tokens_per_s'])} tokens/s")
        parts.append(f"{units.duration(now.seconds_left)} left")
    return "  ".join(parts)


def _follow_live(session: _Session, *, json: bool) -> bool:
    """Follow with a picture that redraws in place; False when the viewer left."""
    from rich.live import Live

    from workbench.cli.output import console

    screen = console(narration_only=json)
    opened, drawn = False, 0.0
    with Live(console=screen, auto_refresh=False, transient=False) as live:
        for changed in session.turns():
            ready = session.watch.follower.ready
            if ready and not opened:
                opened = True
                for line in _opening(ready):
                    live.console.print(line, markup=False)
            waited = time.monotonic() - drawn
            if (changed and waited > 1 / _FRAMES_PER_SECOND) or waited > 1:
                drawn = time.monotonic()
                live.update(_picture(session.watch.snapshot(), session.note, screen), refresh=True)
        # The last picture stays, without the advice on keys that no longer work.
        live.update(_picture(session.watch.snapshot(), "", screen), refresh=True)
    return not session.left


def _picture(now: Snapshot, note: str, screen: Console) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if not now.ready:
        return Text(f"{now.name}: {now.verdict.state} …", style="dim")
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True, justify="right")
    alive = now.verdict.alive
    head.add_row(
        Text.assemble((now.name, "bold"), f"  step {now.step}/{now.max_steps}"),
        ProgressBar(total=now.max_steps, completed=now.step),
        f"{units.duration(now.seconds_left)} left" if alive else now.verdict.state,
    )
    width = min(screen.width, 120)
    curve = _curve(now, width, min(_CURVE_ROWS, max(4, screen.height - 8)))
    parts: list[RenderableType] = [head, _numbers(now), curve]
    if note:
        parts.append(Text(note, style="dim"))
    return Group(*parts)


def _numbers(now: Snapshot) -> RenderableType:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    smoothed = float(now.smoothed[-1]) if len(now.smoothed) else None
    for label, value, style in (
        ("loss", now.last.get("loss"), ""),
        ("smoothed", smoothed, _STYLES["smoothed"]),
        ("validation", now.last.get("val_loss"), _STYLES["validation"]),
        ("lr", now.last.get("lr"), ""),
        ("grad norm", now.last.get("grad_norm"), ""),
    ):
        text.append(f"{label} ", "dim")
        text.append(f"{units.number(value)}  ", style)
    if "tokens_per_s" in now.last:
        text.append(f"{units.count(now.last['tokens_per_s'])} tokens/s", "")
    return text


def _curve(now: Snapshot, width: int, height: int) -> RenderableType:
    from rich.text import Text

    from workbench.runs.braille import Line, plot

    lines = [Line(now.steps, now.losses, "raw")]
    if len(now.smoothed):
        lines.append(Line(now.steps, now.smoothed, "smoothed", "smoothed loss"))
    if len(now.val_losses):
        lines.append(Line(now.val_steps, now.val_losses, "validation", "validation", marker="●"))
    text = Text()
    for index, row in enumerate(plot(lines, width, height, title="loss", x_label="step")):
        if index:
            text.append("\n")
        for segment, style in row:
            text.append(segment, _STYLES.get(style, ""))
    return text

"""All runs of a folder at a glance, cheap enough to look again every second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir


@dataclass(frozen=True, slots=True)
class Entry:
    """One run in the list.

    Attributes:
        name: Its name.
        state: The verdict's state.
        reason: The verdict's reason.
        alive: Whether its supervisor lives.
        step: Last step that was done.
        max_steps: Steps that it is to do.
        loss: Smoothed loss at the end, for a run that has ended; else that of the newest row.
        created: When it was made, in seconds since the epoch.
        pid: The trainer's process, when it lives.
        attempt: Number of the newest attempt; 0 before the first.
        path: Its directory.
    """

    name: str
    state: str
    reason: str
    alive: bool
    step: int
    max_steps: int
    loss: float | None
    created: float | None = None
    pid: int | None = None
    attempt: int = 0
    path: str = ""


class Overview:
    """The runs of a folder; an ended run is judged again only when its files have changed."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self.entries: list[Entry] = []
        self._known: dict[str, tuple[object, Entry]] = {}
        self._folder: tuple[int, int] | None = None
        self._directories: list[RunDir] = []

    def poll(self) -> bool:
        """Look again; returns whether anything has changed."""
        known: dict[str, tuple[object, Entry]] = {}
        entries = []
        for run in self._runs():
            traces = _traces(run)
            before = self._known.get(run.name)
            # A dying supervisor changes no file, so a live run is always judged again.
            entry = (
                before[1] if before and before[0] == traces and not before[1].alive else _judge(run)
            )
            known[run.name] = traces, entry
            entries.append(entry)
        changed = entries != self.entries
        self.entries, self._known = entries, known
        return changed

    def _runs(self) -> list[RunDir]:
        """The run directories; read again only when the folder has changed."""
        from workbench.runs.directory import list_runs

        status = _status(self.runs_dir)
        if status is None or status != self._folder:
            self._directories, self._folder = list_runs(self.runs_dir), status
        return self._directories


def _traces(run: RunDir) -> tuple[tuple[int, int] | None, ...]:
    """What changes on disk when a run starts, goes on, or ends."""
    return tuple(
        _status(path)
        for path in (
            run.lock_path,
            run.events_path,
            run.attempts_dir,
            run.summary_path,
            run.labels_path,
        )
    )


def _status(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _judge(run: RunDir) -> Entry:
    from workbench.runs.files import read_json
    from workbench.runs.follow import last_row
    from workbench.runs.status import verdict

    state = verdict(run)
    facts = {} if state.alive else read_json(run.summary_path)
    facts = facts or (last_row(run, state.attempt) if state.attempt else None) or {}
    return Entry(
        name=run.name,
        state=state.state,
        reason=state.reason or "",
        alive=state.alive,
        step=state.step or 0,
        max_steps=state.max_steps or 0,
        loss=_number(facts.get("loss")),
        created=_number(read_json(run.meta_path).get("created")),
        pid=state.pid,
        attempt=state.attempt,
        path=str(run.path),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

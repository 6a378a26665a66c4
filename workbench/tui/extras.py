"""What the other pages of a run show, read in a thread and only while they are looked at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from workbench.tui.pages.watch import Extra

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower
    from workbench.usage import Usage

_LOG_LINES = 2_000
_SAMPLES = 40
_SAMPLE_BYTES = 4_096
_SAMPLE_SECONDS = 0.95  # once a second, however often one looks


class Extras:
    """Reads for the page that is open."""

    def __init__(self) -> None:
        self._usage: Usage | None = None
        self._seen: Extra | None = None

    def look(self, run: RunDir, follower: Follower, page: str) -> Extra | None:
        """What the page shows; None where nothing has changed."""
        made = getattr(self, f"_{page}")(run, follower) if page != "curve" else None
        if made == self._seen:
            return None
        self._seen = made
        return made

    def forget(self) -> None:
        """Another run or another page is looked at."""
        self._usage = self._seen = None

    def _log(self, run: RunDir, follower: Follower) -> Extra:
        del run
        return Extra("log", log=tuple(follower.log_tail(_LOG_LINES)))

    def _figures(self, run: RunDir, follower: Follower) -> Extra:
        from workbench.runs.labels import notes
        from workbench.runs.predicted import beside

        told = tuple(
            (_when(note.get("t")), " ".join(str(note["note"]).split())) for note in notes(run)
        )
        return Extra("figures", figures=tuple(beside(run, follower)), notes=told)

    def _samples(self, run: RunDir, follower: Follower) -> Extra:
        del follower
        found = []
        try:
            paths = sorted(run.samples_dir.glob("step-*.txt"), reverse=True)
        except OSError:
            paths = []
        for path in paths[:_SAMPLES]:
            step = path.stem.removeprefix("step-")
            if step.isdecimal():
                with path.open("rb") as file:
                    text = file.read(_SAMPLE_BYTES).decode(errors="replace")
                found.append((int(step), text))
        return Extra("samples", samples=tuple(found))

    def _system(self, run: RunDir, follower: Follower) -> Extra:
        del follower
        from workbench.usage import Usage

        if self._usage is None or self._usage.run.path != run.path:
            self._usage = Usage(run)
        kept = self._usage.samples
        if not kept or time.monotonic() - kept[-1].t >= _SAMPLE_SECONDS:
            self._usage.sample()
        return Extra("system", usage=tuple(kept))


def _when(t: object) -> str:
    if not isinstance(t, int | float):
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(t))

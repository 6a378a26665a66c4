"""Looks at the runs, in a thread: at the list now and then, at the watched run every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.overview import Entry, Overview
    from workbench.runs.watch import Snapshot, Watch
    from workbench.tui.extras import Extras
    from workbench.tui.pages.watch import Extra

_LIST_EVERY = 4  # looks


class Seen(NamedTuple):
    """What has changed since the last look; None where nothing has."""

    entries: list[Entry] | None
    snapshot: Snapshot | None
    extra: Extra | None = None


class Reader:
    """Remembers what it has seen, so that an unchanged run costs a few calls of stat."""

    def __init__(self, runs_dir: Path) -> None:
        self.looks = 0
        self._runs_dir = runs_dir
        self._overview: Overview | None = None
        self._watch: Watch | None = None
        self._extras: Extras | None = None
        self._page = ("", "")

    def look(self, name: str, weight: float, *, everywhere: bool, page: str = "curve") -> Seen:
        """Look once.

        Args:
            name: The run to watch; empty for none.
            weight: Weight of the smoothing.
            everywhere: Look at the list too, even when it is not its turn.
            page: Which page of the run is open.

        Raises:
            WorkbenchError: The folder or the run cannot be read.
        """
        self.looks += 1
        everywhere = everywhere or self.looks % _LIST_EVERY == 0
        entries = self._list(everywhere=everywhere)
        if not name:
            return Seen(entries, None)
        return Seen(entries, self._run(name, weight), self._extra(name, page))

    def _list(self, *, everywhere: bool) -> list[Entry] | None:
        from workbench.runs.overview import Overview

        if self._overview is None:
            overview = Overview(self._runs_dir)
            overview.poll()
            self._overview = overview
            return overview.entries
        return self._overview.entries if everywhere and self._overview.poll() else None

    def _run(self, name: str, weight: float) -> Snapshot | None:
        from workbench.runs.directory import open_run
        from workbench.runs.watch import Watch

        watch, changed = self._watch, False
        if watch is None or watch.run.name != name:
            watch, changed = Watch(open_run(self._runs_dir, name), weight), True
        self._watch = watch
        changed |= watch.poll()
        if watch.weight != weight:
            watch.smooth(weight)
            changed = True
        return watch.snapshot() if changed else None

    def _extra(self, name: str, page: str) -> Extra | None:
        if page == "curve":
            self._page = name, page
            return None
        from workbench.tui.extras import Extras

        if self._extras is None:
            self._extras = Extras()
        if self._page != (name, page):
            self._extras.forget()
            self._page = name, page
        assert self._watch is not None, "the run has just been looked at"
        return self._extras.look(self._watch.run, self._watch.follower, page)

"""The part that lists runs, and launches, stops and resumes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.errors import WorkbenchError
from workbench.notebook import planview
from workbench.notebook.messages import Message, said, trouble
from workbench.runs.words import mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.notebook.messages import Later
    from workbench.notebook.session import Session
    from workbench.notebook.watching import Watching
    from workbench.runs.directory import RunDir
    from workbench.runs.overview import Entry, Overview

_LOOK_AGAIN = 10  # ticks
_MOST_ROWS = 200
_NEVER = "no run of that name is followed"


class Running:
    """The table of runs.

    Args:
        watching: The chart that a chosen run is shown in.
        session: The plan that is launched; None where there is nothing to launch.
        later: Does something slow in a thread of its own, then sends what follows from it.
    """

    def __init__(
        self,
        watching: Watching,
        session: Session | None,
        later: Later,
    ) -> None:
        self._watching, self._session, self._later = watching, session, later
        self._overview: Overview | None = None
        self._rows: dict[str, dict[str, Any]] = {}
        self._shown: list[str] = []
        self._starting = False

    # ---------------------------------------------------------------- what views are told

    def opening(self) -> Iterable[Message]:
        """All rows."""
        self._poll()
        yield self._table()

    def tick(self, count: int) -> Iterable[Message]:
        """The rows that have changed."""
        if count % _LOOK_AGAIN:
            if self._watching.names != self._shown:
                yield self._table()
            return
        before, order = self._rows, list(self._rows)
        self._poll()
        if list(self._rows) != order or self._watching.names != self._shown:
            yield self._table()
            return
        changed = [row for name, row in self._rows.items() if before[name] != row]
        if changed:
            yield Message({"type": "rows", "rows": changed})

    def _poll(self) -> None:
        from workbench.runs.overview import Overview

        folder = self._watching.runs_dir()
        if self._overview is None or self._overview.runs_dir != folder:
            self._overview = Overview(folder)
        self._overview.poll()
        self._rows = {each.name: row_of(each) for each in self._overview.entries[:_MOST_ROWS]}

    def _table(self) -> Message:
        self._shown = self._watching.names
        folder = str(self._watching.runs_dir())
        return Message(
            {
                "type": "runs",
                "rows": list(self._rows.values()),
                "shown": self._shown,
                "folder": folder,
                "starting": self._starting,
            }
        )

    # ---------------------------------------------------------------- what views ask

    def hear(self, asked: dict[str, Any]) -> Iterable[Message] | None:
        """Launch, stop, resume, compare."""
        match asked.get("type"):
            case "launch" if self._session is not None:
                return self._launch(str(asked.get("name") or ""), sure=bool(asked.get("sure")))
            case "stop":
                return self._stop(str(asked.get("run") or ""), now=bool(asked.get("now")))
            case "resume":
                return self._resume(str(asked.get("run") or ""))
            case "compare":
                return [Message({"type": "compared"} | self._compared())]
            case _:
                return None

    def _launch(self, name: str, *, sure: bool) -> Iterable[Message]:
        from workbench.here import why_not_here

        assert self._session is not None, "a table alone launches nothing"
        if self._starting:
            return [said("a run is being started already")]
        with self._session.lock:
            draft = self._session.draft
            config = draft.plan.config  # all errors at once, where there are any
            why = None if sure else why_not_here(config, draft.hardware)
            if not sure and why is None and self._session.outlook.fits is False:
                why = planview.ready_view(self._session.outlook)["why"].partition(". ")[0]
        if why is not None:
            then = {"type": "launch", "name": name, "sure": True}
            ask = {"type": "ask", "words": f"{why}.", "yes": "Launch it here all the same"}
            return [Message(ask | {"then": then})]
        self._starting = True
        # Making the directory and starting the supervisor takes half a second: not in the way of
        # other messages.
        self._later(lambda: draft.launch(name or None), self._started)
        return [Message({"type": "starting", "on": True}), said("starting a run")]

    def _started(self, run: RunDir | WorkbenchError) -> Iterable[Message]:
        self._starting = False
        if isinstance(run, WorkbenchError):
            return [trouble(run), self._table()]
        self._watching.follow([run.name])
        self._poll()
        return [*self._watching.opening(), self._table(), said(f"{run.name} has been started")]

    def _resume(self, name: str) -> Iterable[Message]:
        from workbench.resuming import resume

        run = self._run(name)

        def begin() -> RunDir:
            resume(run)
            return run

        self._later(begin, self._started)
        return [said(f"{run.name} is being resumed")]

    def _stop(self, name: str, *, now: bool) -> Iterable[Message]:
        from workbench.runs.control import stop

        run = self._run(name)
        stop(run, now=now)
        words = "ended at once" if now else "asked to finish its step and save"
        return [*self._watching.judged(), said(f"{run.name}: {words}")]

    def _run(self, name: str) -> RunDir:
        from workbench.runs.directory import open_run

        if not name:
            raise WorkbenchError(_NEVER, fix="choose a run in the table")
        return open_run(self._watching.runs_dir(), name)

    def _compared(self) -> dict[str, Any]:
        """The runs of the chart side by side: figures, and the keys that differ."""
        from workbench.forms import value_text
        from workbench.runs.compare import figures, single_changes, table

        found = [figures(each.run) for each in self._watching.followers.values()]
        rows = table(found)
        metrics = list(dict.fromkeys(name for row in rows for name in row["best"]))
        keys = list(rows[0]["config"]) if rows else []
        names = [name for name in ("val_loss", "loss") if name in metrics]
        changes = single_changes(found, names[0]) if names else []
        return {
            "head": ["run", "steps", *(f"best {name}" for name in metrics), *keys],
            "rows": [
                [
                    row["name"],
                    f"{row['steps']:,}",
                    *(units.number(row["best"].get(name)) for name in metrics),
                    *(value_text(row["config"].get(key)) for key in keys),
                ]
                for row in rows
            ],
            "words": [
                f"{each.key}: {value_text(each.worse)} → {value_text(each.better)} takes "
                f"{names[0]} from {units.number(each.before)} to {units.number(each.after)}"
                for each in changes[:3]
            ],
        }


def row_of(entry: Entry) -> dict[str, Any]:
    """One run as a row of the table."""
    sign, role = mark(entry.state)
    share = min(entry.step / entry.max_steps, 1.0) if entry.max_steps else 0.0
    created = time.strftime("%d %b %H:%M", time.localtime(entry.created)) if entry.created else ""
    return {
        "name": entry.name,
        "state": entry.state,
        "sign": sign,
        "role": role,
        "alive": entry.alive,
        "steps": f"{entry.step:,} / {entry.max_steps:,}" if entry.max_steps else f"{entry.step:,}",
        "share": round(share, 4),
        "loss": units.number(entry.loss),
        "created": created,
        "why": entry.reason,
    }

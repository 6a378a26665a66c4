"""The panel, and its parts as widgets of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.notebook.base import Piece
from workbench.notebook.curves import WEIGHTS, Look
from workbench.notebook.drafting import drafted, folder_of_plan, folder_of_runs
from workbench.notebook.planning import Planning
from workbench.notebook.running import Running
from workbench.notebook.session import Session
from workbench.notebook.still import chart_still, plan_still, runs_still
from workbench.notebook.watching import Watching

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.draft import Draft
    from workbench.notebook.drafting import Editable
    from workbench.runs.directory import RunDir


class Workbench(Piece):
    """The whole workbench: plan, launch, follow, compare.

    >>> Workbench("tiny_cpu")

    Args:
        plan: Name of a recipe, path of a config file, a plan, or an editing session.
        runs_dir: Folder of the runs; by default what the plan says.
        keys: Values to set, by full path or last name: ``learning_rate=1e-4``.

    Raises:
        UsageError: There is no such recipe or key.
        ConfigError: A file cannot be read, or a value is none.
    """

    def __init__(self, plan: Editable = "tiny_cpu", *, runs_dir: Any = None, **keys: Any) -> None:
        self._session = Session.of(drafted(plan, keys, runs_dir))
        super().__init__("workbench")
        self._planning = Planning(self._session)
        self._watching = Watching(partial(folder_of_plan, self._session))
        self._running = Running(self._watching, self._session, self._later)
        self._attach()
        self._show((self._planning, self._watching, self._running))

    def _attach(self) -> None:
        """Follow what is alive already: a run outlives the kernel that launched it."""
        from workbench.runs.overview import Overview

        overview = Overview(self._watching.runs_dir())
        overview.poll()
        live = [entry.name for entry in overview.entries if entry.alive]
        newest = live or [entry.name for entry in overview.entries]
        if newest:
            self._watching.follow(newest[:1])

    @property
    def draft(self) -> Draft:
        """The editing session; edits made here are shown in the panel."""
        return self._session.draft

    @property
    def run(self) -> RunDir | None:
        """The run that is followed."""
        return self._watching.front

    def follow(self, *names: str) -> None:
        """Show these runs, the first one in front.

        Raises:
            RunError: There is no such run.
        """
        with self._lock:
            self._watching.follow(names)
            self._tell(self._watching.opening())

    def launch(self, name: str | None = None) -> RunDir:
        """Launch the plan and follow it.

        Raises:
            FindingsError: The plan has errors.
            RunError: The run cannot be made or started.
        """
        run = self.draft.launch(name)
        self.follow(run.name)
        return run

    def stop(self) -> None:
        """Ask the run that is followed to finish its step, save and end."""
        from workbench.runs.control import stop

        if self.run is not None:
            stop(self.run)

    def _still(self) -> tuple[str, str]:
        plan, chart, runs = (
            plan_still(self._session),
            chart_still(self._watching),
            runs_still(self._watching),
        )
        return "\n\n".join(each[0] for each in (plan, chart, runs)), plan[1] + chart[1] + runs[1]


class MemoryMeter(Piece):
    """Memory of a plan by category against the card, as the plan is edited.

    Args:
        plan: Name of a recipe, path of a config file, a plan, or an editing session. Widgets that
            are given the same editing session show the same edits.
        keys: Values to set.
    """

    def __init__(self, plan: Editable = "tiny_cpu", **keys: Any) -> None:
        self._session = Session.of(drafted(plan, keys))
        super().__init__("meter")
        self._show((Planning(self._session, form=False, recipes=False),))

    @property
    def draft(self) -> Draft:
        """The editing session."""
        return self._session.draft

    def _still(self) -> tuple[str, str]:
        return plan_still(self._session)


class ConfigForm(Piece):
    """The form of a config with its findings and their repairs.

    Args:
        plan: Name of a recipe, path of a config file, a plan, or an editing session.
        keys: Values to set.
    """

    def __init__(self, plan: Editable = "tiny_cpu", **keys: Any) -> None:
        self._session = Session.of(drafted(plan, keys))
        super().__init__("form")
        self._show((Planning(self._session),))

    @property
    def draft(self) -> Draft:
        """The editing session; pass it to a `MemoryMeter`, or launch it."""
        return self._session.draft

    def _still(self) -> tuple[str, str]:
        return plan_still(self._session)


class LossCurve(Piece):
    """The curves of one run, or of several over each other, live.

    Args:
        runs: Runs, or their names.
        runs_dir: Where runs that are given by name are; by default ``runs``.
        metric: What is drawn.
        smoothing: Share of the past, as 0.9; the nearest that the chart knows is taken.
        log: Logarithmic y.

    Raises:
        RunError: There is no such run.
    """

    def __init__(
        self,
        *runs: str | RunDir,
        runs_dir: str | Path | None = None,
        metric: str = "loss",
        smoothing: float = 0.9,
        log: bool = False,
    ) -> None:
        names, folder = _placed(runs, runs_dir)
        place = min(range(len(WEIGHTS)), key=lambda place: abs(WEIGHTS[place] - smoothing))
        look = Look(metric=metric, smoothing=place, log=log)
        self._watching = Watching(lambda: folder, names, look, log=False)
        super().__init__("curve")
        self._show((self._watching,))

    def _still(self) -> tuple[str, str]:
        return chart_still(self._watching)


class RunTable(Piece):
    """All runs of a folder; a chosen one is shown with its curve and its log.

    Args:
        runs_dir: The folder; by default ``runs``.
    """

    def __init__(self, runs_dir: str | Path | None = None) -> None:
        folder = folder_of_runs(runs_dir)
        self._watching = Watching(lambda: folder)
        super().__init__("runs")
        self._show((self._watching, Running(self._watching, None, self._later)))

    def _still(self) -> tuple[str, str]:
        return runs_still(self._watching)


def _placed(runs: tuple[str | RunDir, ...], runs_dir: str | Path | None) -> tuple[list[str], Path]:
    """The names of runs, and the one folder that they are in.

    Raises:
        UsageError: They are in several, or none is given.
    """
    if not runs:
        raise UsageError("no run is given", fix='LossCurve("my-run")')
    paths = {run.path.parent.resolve() for run in runs if not isinstance(run, str)}
    if len(paths) > 1:
        raise UsageError("the runs are in several folders", fix="one chart for each folder")
    folder = paths.pop() if paths else folder_of_runs(runs_dir)
    return [run if isinstance(run, str) else run.name for run in runs], folder

"""Plain functions for a cell: what they return shows itself as text, as HTML, as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.notebook.displays import EstimateDisplay, FitDisplay, RunDisplay, RunsDisplay
from workbench.notebook.drafting import drafted, folder_of_runs
from workbench.outlook import Outlook

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.notebook.drafting import Editable


def estimate(plan: Editable = "tiny_cpu", **keys: Any) -> EstimateDisplay:
    """What a plan takes: memory, speed, hours, cost.

    Args:
        plan: Name of a recipe, path of a config file, a plan, or an editing session.
        keys: Values to set, by full path or last name; ``hardware`` is the device.

    Raises:
        UsageError: There is no such recipe or key.
        ConfigError: A file cannot be read, or a value is none.
    """
    draft = drafted(plan, keys)
    return EstimateDisplay(draft, Outlook.of(draft.plan))


def fit(plan: Editable = "tiny_cpu", **keys: Any) -> FitDisplay:
    """Plans that see the same sequences in a step and fit the device, the fastest first.

    Args:
        plan: As for `estimate`.
        keys: Likewise.

    Raises:
        UsageError: There is no such recipe or key.
        FindingsError: The plan has errors.
    """
    from workbench.fitting import search

    draft = drafted(plan, keys)
    return FitDisplay(draft, search(draft))


def launch(
    plan: Editable = "tiny_cpu", name: str | None = None, *, runs_dir: Any = None, **keys: Any
) -> RunDisplay:
    """Launch a plan as a run of its own; returns at once.

    Args:
        plan: As for `estimate`.
        name: Name of the run; by default one is made.
        runs_dir: Folder of the runs; by default what the plan says.
        keys: As for `estimate`.

    Raises:
        FindingsError: The plan has errors.
        RunError: The run cannot be made or started.
    """
    run = drafted(plan, keys, runs_dir).launch(name)
    return RunDisplay(run.path.parent, (run.name,), run)


def runs(*names: str, runs_dir: str | Path | None = None) -> RunsDisplay:
    """The runs of a folder; with names, these side by side with their curves.

    Raises:
        UsageError: No folder can have this name.
    """
    return RunsDisplay(folder_of_runs(runs_dir), names)

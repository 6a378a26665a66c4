"""`ava runs compare`: runs side by side."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.cli.output import console, print_json
from workbench.cli.runs.arguments import folder
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.runs.compare import Change, Figures, Group

_POINTS = 100
_MOST_CHANGES = 10


def compare(options: Namespace) -> int:
    """Compare the named runs, or all that have figures."""
    from workbench.runs import compare as side_by_side
    from workbench.runs.directory import list_runs, open_run

    runs_dir = folder(options)
    items = [open_run(runs_dir, name) for name in options.names] or list_runs(runs_dir)
    runs = [side_by_side.figures(item) for item in items]
    if not options.names:
        runs = [each for each in runs if each.best]
    if len(runs) < 2:
        raise UsageError("a comparison takes two runs", fix="ava runs compare NAME NAME")
    metric = options.metric or side_by_side.main_metric(runs)
    known = list(dict.fromkeys(name for each in runs for name in each.best))
    if metric not in known:
        raise UsageError(
            f"no run has the metric {metric!r}" if metric else "none of them has a metric yet",
            fix=f"one of: {', '.join(known)}" if known else None,
        )
    grouped = side_by_side.groups(runs, metric)
    changes = side_by_side.single_changes(runs, metric)
    if options.json:
        print_json(_data(runs, metric, options.by, grouped, changes))
        return 0
    _print_table(runs, metric)
    _print_groups(grouped, metric)
    _print_changes(changes, metric)
    return 0


def _data(
    runs: list[Figures], metric: str, by: str, grouped: list[Group], changes: list[Change]
) -> dict[str, Any]:
    from workbench.runs import compare as side_by_side

    axis: Any = by
    curves = side_by_side.aligned(runs, metric, axis)
    grid, drawn = side_by_side.on_one_grid(curves, _POINTS)
    return {
        "metric": metric,
        "better": side_by_side.better(metric),
        "runs": side_by_side.table(runs, [metric]),
        "differences": side_by_side.config_diff(runs),
        "curves": {
            "by": by,
            "at": grid.tolist(),
            "values": {name: values.tolist() for name, values in drawn.items()},
        },
        "groups": [
            {"runs": group.runs, "mean": group.mean, "deviation": group.deviation}
            for group in grouped
        ],
        "single_changes": [
            asdict(change) | {"gain": change.gain, "certain": change.certain} for change in changes
        ],
    }


def _print_table(runs: list[Figures], metric: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from workbench.runs import compare as side_by_side

    rows = side_by_side.table(runs, [metric])
    order = 1 if side_by_side.better(metric) == "lower" else -1
    rows.sort(key=lambda row: order * row["best"].get(metric, order * math.inf))
    table = Table(box=None, pad_edge=False, header_style="dim")
    different = list(rows[0]["config"])
    for heading in ("name", "state", f"best {metric}", "at step", "steps", "time", *different):
        table.add_column(escape(heading.rpartition(".")[2] if heading in different else heading))
    for row in rows:
        seconds = row["seconds"]
        table.add_row(
            row["name"],
            row["state"],
            units.number(row["best"].get(metric)),
            str(row["best_step"].get(metric, "–")),
            str(row["steps"]),
            units.duration(seconds) if math.isfinite(seconds) else "–",
            *(escape(str(row["config"][key])) for key in different),
        )
    console().print(table)


def _print_groups(grouped: list[Group], metric: str) -> None:
    repeated = [group for group in grouped if len(group.runs) > 1]
    if not repeated:
        return
    sys.stdout.write(f"\nseeds taken together, best {metric}:\n")
    for group in repeated:
        deviation = units.number(group.deviation)
        sys.stdout.write(f"  {units.number(group.mean)} ± {deviation}  ({', '.join(group.runs)})\n")


def _print_changes(changes: list[Change], metric: str) -> None:
    if not changes:
        sys.stdout.write("\nno two of them differ in a single key\n")
        return
    sys.stdout.write(f"\nwhich single change made {metric} better:\n")
    for change in changes[:_MOST_CHANGES]:
        sure = {True: "", False: "  (within the noise of the seeds)", None: ""}[change.certain]
        sys.stdout.write(
            f"  {change.key}: {change.worse} → {change.better}"
            f"   {units.number(change.before)} → {units.number(change.after)}"
            f"   ({', '.join(change.worse_runs)} → {', '.join(change.better_runs)}){sure}\n"
        )

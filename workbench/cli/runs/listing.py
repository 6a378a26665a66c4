"""`ava runs list`: all runs at a glance."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.cli.output import console, print_json, relative
from workbench.cli.runs.arguments import folder

if TYPE_CHECKING:
    from argparse import Namespace

_MARKS = {
    "queued": "…",
    "starting": "▶",
    "running": "▶",
    "stalled": "▲",
    "stopping": "◐",
    "restarting": "↻",
    "finished": "✓",
    "stopped": "■",
    "paused": "‖",
    "failed": "✗",
    "vanished": "?",
}


def list(options: Namespace) -> int:  # noqa: A001 - the action's name
    """List the runs of a folder."""
    from workbench.runs.directory import RunDir
    from workbench.runs.labels import tags
    from workbench.runs.overview import Overview

    runs_dir = folder(options)
    overview = Overview(runs_dir)
    overview.poll()
    rows: Any = [
        asdict(entry) | {"tags": tags(RunDir(runs_dir / entry.name))} for entry in overview.entries
    ]
    rows = [
        row
        for row in rows
        if options.tag in (None, *row["tags"]) and options.state in (None, row["state"])
    ]
    if options.json:
        print_json(rows)
        return 0
    if not overview.entries:
        sys.stdout.write(
            f"no runs in {relative(runs_dir)} yet; start one with: ava train tiny_cpu\n"
        )
        return 0
    if not rows:
        sys.stdout.write("no run is like that; all of them: ava runs\n")
        return 0
    _print(rows)
    return 0


def _print(rows: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    tagged = any(row["tags"] for row in rows)
    headings = ["name", "state", "step", "loss", "started", *(["tags"] if tagged else [])]
    for heading in headings:
        right = heading in ("step", "loss")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "name")
    for row in rows:
        cells = [
            row["name"],
            f"{_MARKS.get(row['state'], '·')} {row['state']}",
            f"{row['step']}/{row['max_steps'] or '?'}",
            units.number(row["loss"]),
            ago(row["created"]),
        ]
        table.add_row(*cells, *([escape(", ".join(row["tags"]))] if tagged else []))
    console().print(table)


def ago(created: object) -> str:
    """How long ago something was, in words."""
    if not isinstance(created, int | float):
        return "?"
    return f"{units.duration(max(0.0, time.time() - created))} ago"

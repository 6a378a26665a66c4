"""`ava runs export` and `ava runs checkpoints`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import units
from workbench.cli.output import console, print_json, relative
from workbench.cli.runs.arguments import chosen
from workbench.cli.runs.labels import confirmed
from workbench.cli.runs.listing import ago

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.runs.checkpoints import Checkpoint


def export(options: Namespace) -> int:
    """Write the metrics in another program's format."""
    from workbench.runs.export import export as write

    target = Path(options.out).expanduser() if options.out else None
    place = write(chosen(options), options.format, target)
    if options.json:
        print_json({"format": options.format, "path": str(place.absolute())})
    else:
        sys.stdout.write(f"{relative(place.absolute())}\n")
    return 0


def checkpoints(options: Namespace) -> int:
    """List, verify or prune; 1 when `verify` finds damage."""
    from workbench.runs.checkpoints import list_checkpoints, prune

    item = chosen(options)
    if options.what == "prune":
        question = f"keep the newest {options.keep} good checkpoints of {item.name} only?"
        command = f"ava runs checkpoints prune {item.name} --keep {options.keep} --yes"
        if not confirmed(question, command, options):
            return 0
        deleted = prune(item, keep=options.keep)
        if options.json:
            print_json({"name": item.name, "deleted": deleted})
        else:
            sys.stdout.write("".join(f"deleted {name}\n" for name in deleted) or "nothing to do\n")
        return 0
    found = list_checkpoints(item, hashes=options.what == "verify")
    if options.json:
        print_json([asdict(each) for each in found])
    else:
        _print(found, item.name)
    damaged = any(each.problem for each in found)
    return 1 if options.what == "verify" and (damaged or not found) else 0


def _print(found: list[Checkpoint], name: str) -> None:
    if not found:
        sys.stdout.write(f"{name} has no checkpoint\n")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("checkpoint", "size", "written", "state"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for each in found:
        state = f"✗ {each.problem}" if each.problem else "✓ good"
        table.add_row(each.name, units.size(each.bytes), ago(each.t), state)
    console().print(table)

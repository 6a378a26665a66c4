"""`ava runs`: what happened, and what is happening."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

from workbench import units
from workbench.cli.output import console, print_json, relative
from workbench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

_FILES = (
    ("config.yaml", "the config, as you would write it"),
    ("config.resolved.json", "the same with the origin of every value"),
    ("environment.json", "versions, device, precision, data fingerprint"),
    ("metrics/", "one row per step, one file per attempt"),
    ("training.log", "the story of the training, line by line"),
    ("validation.txt", "each evaluation with its sample"),
    ("samples/", "what the model wrote, by step"),
    ("checkpoints/", "weights and everything needed to resume"),
    ("attempts/", "what each start printed and how it ended"),
    ("training_curves.png", "the curves as a picture"),
    ("summary.json", "the result in figures"),
)


def run(_command: str, args: list[str]) -> int:
    """Run one of the `ava runs` commands; without one, list."""
    from workbench.runs.directory import expanded, open_run

    options = _parser().parse_args(args)
    action = options.action or "list"
    runs_dir = expanded(options.runs_dir)
    if action == "list":
        return _list(runs_dir, json=options.json)
    chosen = open_run(runs_dir, options.name)
    if action == "show":
        return _show(chosen, json=options.json)
    if action == "watch":
        from workbench.cli.live import watch

        return watch(chosen, json=options.json, stop_on_interrupt=False)
    if action == "stop":
        return _stop(chosen, now=options.now, json=options.json)
    return _remove(chosen, yes=options.yes, json=options.json)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="ava runs --help")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--runs_dir", "--runs-dir", default=argparse.SUPPRESS, metavar="DIR")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    parser = _Parser(
        prog="ava runs", description="What happened, and what is happening.", allow_abbrev=False
    )
    parser.add_argument(
        "--runs_dir",
        "--runs-dir",
        default="runs",
        metavar="DIR",
        help="folder of the runs (./runs)",
    )
    parser.add_argument("--json", action="store_true", help="data on stdout")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    actions.add_parser("list", parents=[common], help="all runs with their state (the default)")
    for name, text in (
        ("show", "one run: state, figures, files"),
        ("watch", "follow a run until it ends; Ctrl-C leaves it running"),
        ("stop", "finish the step, save, exit"),
        ("rm", "delete a run"),
    ):
        action = actions.add_parser(name, parents=[common], help=text)
        action.add_argument("name", metavar="NAME", help="name of the run, or its path")
        if name == "stop":
            action.add_argument("--now", action="store_true", help="at once, without saving")
        if name == "rm":
            action.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _list(runs_dir: Path, *, json: bool) -> int:
    from workbench.runs.overview import Overview

    overview = Overview(runs_dir)
    overview.poll()
    rows = [asdict(entry) for entry in overview.entries]
    if json:
        print_json(rows)
        return 0
    if not rows:
        sys.stdout.write(
            f"no runs in {relative(runs_dir)} yet; start one with: ava train tiny_cpu\n"
        )
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("name", "state", "step", "loss", "started"):
        right = heading in ("step", "loss")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "name")
    for row in rows:
        table.add_row(
            row["name"],
            f"{_MARKS.get(row['state'], '·')} {row['state']}",
            f"{row['step']}/{row['max_steps'] or '?'}",
            units.number(row["loss"]),
            _ago(row["created"]),
        )
    console().print(table)
    return 0


_MARKS = {"running": "▶", "starting": "▶", "finished": "✓", "stopped": "■", "failed": "✗"}


def _ago(created: object) -> str:
    if not isinstance(created, int | float):
        return "?"
    return f"{units.duration(max(0.0, time.time() - created))} ago"


def _show(item: RunDir, *, json: bool) -> int:
    from workbench.cli.ending import outcome
    from workbench.runs.watch import Watch

    watch = Watch(item)
    now, follower = watch.catch_up(), watch.follower
    state = now.verdict
    if json:
        data = outcome(item, now)
        data |= {"meta": now.meta, "config": item.config(), "pid": state.pid}
        print_json(data)
        return 0
    from rich.markup import escape

    meta = item.meta()
    out = console()
    out.print(
        f"[bold]{escape(item.name)}[/]  {state.state}"
        + (f": {escape(state.reason)}" if state.reason else "")
    )
    if meta.get("title"):
        out.print(escape(str(meta["title"])))
    out.print(
        f"started  {_ago(meta.get('created'))} with: {escape(' '.join(meta.get('command', [])))}"
    )
    out.print(f"layers   {escape(' → '.join(meta.get('stack', [])) or 'defaults only')}")
    if follower.ready:
        out.print(f"batch    {escape(str(follower.ready['equation']))}")
    for name in follower.metric_names:
        series = follower.series(name)
        best = min(series.values) if name in ("loss", "val_loss") and len(series.values) else None
        extra = f"   best {units.number(best)}" if best is not None else ""
        out.print(f"{name:<14} {units.number(follower.last(name))}{extra}", style="")
    out.print(f"\nfiles in {escape(relative(item.path))}/", style="dim")
    for name, text in _FILES:
        if (item.path / name.rstrip("/")).exists():
            out.print(f"  {name:<22} {text}")
    if state.state in ("stopped", "failed", "vanished"):
        out.print(f"\ngo on with: ava train --resume {escape(item.name)}")
    return 0


def _stop(item: RunDir, *, now: bool, json: bool) -> int:
    from workbench.runs.control import stop
    from workbench.runs.status import verdict

    state = verdict(item)
    said = f"{item.name} is not running"
    if state.alive:
        stop(item, now=now)
        while (state := verdict(item)).alive:
            time.sleep(0.1)
        said = f"{item.name} {state.state} at step {state.step}"
    if json:
        print_json({"name": item.name, "state": state.state, "step": state.step})
    else:
        sys.stdout.write(f"{said}\n")
    return 0


def _remove(item: RunDir, *, yes: bool, json: bool) -> int:
    from workbench.runs.directory import delete_run

    if not yes:
        if json or not sys.stdin.isatty():
            raise UsageError("deleting a run needs a yes", fix=f"ava runs rm {item.name} --yes")
        sys.stdout.write(f"delete {relative(item.path)} with all its checkpoints? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            sys.stdout.write("kept\n")
            return 0
    delete_run(item)
    if json:
        print_json({"name": item.name, "deleted": True})
    else:
        sys.stdout.write(f"deleted {item.name}\n")
    return 0

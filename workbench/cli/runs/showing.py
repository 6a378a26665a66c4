"""`ava runs show` and `ava runs watch`: one run."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.cli.output import console, print_json, relative
from workbench.cli.runs.arguments import chosen
from workbench.cli.runs.listing import ago
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from rich.console import Console

    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower


def watch(options: Namespace) -> int:
    """Follow a run until it ends."""
    from workbench.cli.live import watch as follow

    return follow(chosen(options), json=options.json, stop_on_interrupt=False)


def show(options: Namespace) -> int:
    """Tell what is known about a run, or explain its files."""
    if options.files:
        return _files(options)
    if options.name is None:
        raise UsageError("which run?", fix="ava runs show NAME\nava runs show --files")
    item = chosen(options)
    from workbench.cli.ending import outcome
    from workbench.runs.labels import notes, tags
    from workbench.runs.watch import Watch

    watch = Watch(item)
    now, follower = watch.catch_up(), watch.follower
    state = now.verdict
    if options.json:
        data = outcome(item, now)
        data |= {"meta": now.meta, "config": item.config(), "pid": state.pid}
        data |= {"tags": tags(item), "notes": notes(item), "attempts": item.attempts()}
        print_json(data)
        return 0
    out = console()
    _head(out, item, f"{state.state}" + (f": {state.reason}" if state.reason else ""))
    if follower.ready:
        out.print(f"batch    {follower.ready['equation']}", markup=False)
    _figures(out, follower)
    _history(out, item, follower)
    out.print(f"\nfiles in {relative(item.path)}/", style="dim", markup=False)
    from workbench.runs.layout import files

    for name, _, text in files():
        if "0001" not in name and (item.path / name.rstrip("/")).exists():
            out.print(f"  {name:<22} {text.replace('`', '')}", markup=False)
    if state.state in ("stopped", "paused", "failed", "vanished"):
        out.print(f"\ngo on with: ava runs resume {item.name}", markup=False)
    return 0


def _head(out: Console, item: RunDir, state: str) -> None:
    from rich.markup import escape

    from workbench.runs.labels import notes, tags

    meta = item.meta()
    out.print(f"[bold]{escape(item.name)}[/]  {escape(state)}")
    if meta.get("title"):
        out.print(escape(str(meta["title"])))
    out.print(
        f"started  {ago(meta.get('created'))} with: {escape(' '.join(meta.get('command', [])))}"
    )
    out.print(f"layers   {escape(' → '.join(meta.get('stack', [])) or 'defaults only')}")
    if words := tags(item):
        out.print(f"tags     {escape(', '.join(words))}")
    for note in notes(item)[-3:]:
        out.print(f"note     {escape(str(note['note']))}  [dim]{ago(note.get('t'))}[/]")


def _figures(out: Console, follower: Follower) -> None:
    for name in follower.metric_names:
        values = follower.series(name).values
        finite = [value for value in values if math.isfinite(value)]
        best = min(finite) if name in ("loss", "val_loss") and finite else None
        extra = f"   best {units.number(best)}" if best is not None else ""
        out.print(f"{name:<14} {units.number(follower.last(name))}{extra}", markup=False)


def _history(out: Console, item: RunDir, follower: Follower) -> None:
    """What happened between the attempts, when there was more than one."""
    told: list[dict[str, Any]] = [
        event
        for event in follower.events
        if event.get("event") in ("exited", "config_changed", "resumed", "queued")
    ]
    if len(item.attempts()) < 2 and not any(e["event"] == "config_changed" for e in told):
        return
    out.print("\nhistory", style="dim")
    for event in told:
        out.print(f"  {ago(event.get('t')):<14} {_line(event)}", markup=False)


def _line(event: dict[str, Any]) -> str:
    kind = event["event"]
    if kind == "resumed":
        return f"attempt {event.get('attempt')} went on from step {event.get('step')}"
    if kind == "queued":
        return "queued"
    if kind == "config_changed":
        changes = event.get("changes") or {}
        return "changed " + ", ".join(
            f"{key} {pair[0]} → {pair[1]}" for key, pair in changes.items()
        )
    how = event.get("outcome") or (
        f"ended by signal {event['signal']}" if event.get("signal") else f"exit {event.get('code')}"
    )
    again = event.get("restart")
    more = f"; again after {again['in_seconds']:g} s" if isinstance(again, dict) else ""
    return f"attempt {event.get('attempt')}: {how}{more}"


def _files(options: Namespace) -> int:
    from workbench.runs.layout import files, page

    if options.json:
        print_json([entry._asdict() for entry in files()])
    else:
        sys.stdout.write(page())
    return 0

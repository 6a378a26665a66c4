"""`ava runs stop`, `pause`, `resume` and `extend`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from workbench.cli.output import print_json
from workbench.cli.runs.arguments import chosen
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.runs.directory import RunDir


def stop(options: Namespace) -> int:
    """Ask a run to end, and wait until it has."""
    from workbench.runs.control import stop as ask

    item = chosen(options)
    return _end(item, lambda: ask(item, now=options.now), json=options.json)


def pause(options: Namespace) -> int:
    """Ask a run to save and free the device, and wait until it has."""
    from workbench.runs.control import pause as ask

    item = chosen(options)
    return _end(item, lambda: ask(item), json=options.json)


def resume(options: Namespace) -> int:
    """Go on with a run in the background."""
    return _go_on(options, chosen(options), options.overrides)


def extend(options: Namespace) -> int:
    """Go on with more steps."""
    from workbench.runs.status import verdict

    item = chosen(options)
    state = verdict(item)
    planned = max(state.max_steps or 0, state.step)
    steps = planned + options.by if options.to is None else options.to
    if steps <= planned:
        raise UsageError(
            f"{item.name} has {planned:,} steps already: {steps:,} are not more",
            fix=f"ava runs extend {item.name} --by {planned}",
        )
    return _go_on(options, item, {"training.max_steps": str(steps)})


def _end(item: RunDir, ask: object, *, json: bool) -> int:
    from workbench.runs.status import verdict

    assert callable(ask)
    state = verdict(item)
    said = f"{item.name} is not running"
    if state.alive:
        ask()
        while (state := verdict(item)).alive:
            time.sleep(0.1)
        said = f"{item.name} {state.state} at step {state.step}"
    if json:
        print_json({"name": item.name, "state": state.state, "step": state.step})
    else:
        sys.stdout.write(f"{said}\n")
    return 0


def _go_on(options: Namespace, item: RunDir, overrides: dict[str, str]) -> int:
    from workbench.resuming import resume as go_on
    from workbench.runs.status import verdict

    changes = go_on(item, overrides, queue=True if options.queue else None)
    state = verdict(item)
    if options.json:
        print_json(
            {
                "name": item.name,
                "path": str(item.path.resolve()),
                "state": state.state,
                "changes": {key: [*pair] for key, pair in changes.items()},
            }
        )
        return 0
    sys.stdout.write(f"{item.name}\n")
    for key, (before, after) in changes.items():
        sys.stderr.write(f"changed {key}: {before} → {after}\n")
    queued = f"queued: {state.reason}\n" if state.state == "queued" else ""
    sys.stderr.write(f"{queued}watch it with: ava runs watch {item.name}\n")
    return 0

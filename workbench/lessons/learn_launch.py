"""Launching the runs of a lesson: once for each config, under the name that the lesson uses.

A run that is there with the same config is used again, so that a cell may be run as often as one
likes. With another config it is kept under another name, and the new one takes its place.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from workbench import units
from workbench.lessons.learn_run import Run
from workbench.runs.compare import flat
from workbench.runs.directory import RunDir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.learn_screen import Screen
    from workbench.lessons.workspace import Workspace
    from workbench.plan import Plan
    from workbench.runs.watch import Watch

_WORDS: Final = ("run.name", "run.runs_dir", "run.description", "run.tags", "run.queue")
"""Keys that make no other run."""
_ENDED: Final = ("finished", "failed")
"""What would come again: a run that was stopped, or that vanished, is begun anew."""
_POLL_SECONDS: Final = 0.1
_SAY_SECONDS: Final = 0.5


def obtain(workspace: Workspace, name: str, plan: Plan, *, again: bool = False) -> Run:
    """The run of that name with that plan: as it is there, or launched.

    Args:
        workspace: Where it belongs.
        name: Its name.
        plan: Its plan.
        again: Launch it even if it is there already; what is there is kept under another name.

    Raises:
        FindingsError: The plan has errors.
        RunError: The run cannot be made or started.
    """
    there = RunDir(workspace.runs / name)
    note = ""
    if there.meta_path.is_file():
        found = Run(there)
        changes = changed(there, plan)
        if not changes and not again and (found.alive or found.state in _ENDED):
            found.note = _again_note(found)
            return found
        if found.alive:
            if not changes:
                found.note = f"{name} is {found.state} already; this is that run"
                return found
            from workbench.errors import RunError

            raise RunError(
                f"{name} is still {found.state}, with another config: {_named(changes)}",
                fix=f'wait for it, or stop it: learn.stop("{name}")',
            )
        _ = plan.config  # a plan with errors replaces nothing
        kept = _set_aside(there)
        why = f"with another config ({_named(changes)})" if changes else f"{found.state}"
        note = f"the earlier {name}, {why}, is kept as {kept}"
    command = ["ava", "train", *([plan.recipe.name] if plan.recipe else [])]
    # Relative paths of a config belong to the workspace.
    with contextlib.chdir(workspace.path), _interrupts_later() as interrupt:
        run = Run(plan.launch(name, command=command), note)
    run.interrupted = interrupt.asked
    return run


class _Interrupt:
    """Whether somebody has asked to interrupt."""

    asked = False

    def __call__(self, _number: int, _frame: object) -> None:
        self.asked = True


@contextlib.contextmanager
def _interrupts_later() -> Iterator[_Interrupt]:
    """Hold an interrupt back: half a launch is a run that nobody holds and nobody has heard of."""
    interrupt = _Interrupt()
    if threading.current_thread() is not threading.main_thread():  # only that one is interrupted
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _again_note(found: Run) -> str:
    if found.alive:
        return f"{found.name} is {found.state} already; this is that run"
    return f"{found.name} is there already, with this config: nothing was trained again"


def changed(run: RunDir, plan: Plan) -> dict[str, tuple[Any, Any]]:
    """The keys that a run and a plan have different values for."""
    from workbench.runs.files import read_json

    before = flat(read_json(run.config_path).get("config") or {})
    after = flat(plan.tree)
    return {
        path: (before.get(path), after.get(path))
        for path in dict.fromkeys([*before, *after])
        if path not in _WORDS and before.get(path) != after.get(path)
    }


def _named(changes: dict[str, tuple[Any, Any]]) -> str:
    shown = [f"{path} {before} → {after}" for path, (before, after) in changes.items()]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _set_aside(run: RunDir) -> str:
    """Give the run the first free name after its own."""
    from workbench.runs.labels import rename_run

    stem = run.name[:74]
    names = (f"{stem}-old{number}" for number in itertools.count(1))
    free = next(name for name in names if not (run.path.parent / name).exists())
    return rename_run(run, free).name


def wait(run: Run, screen: Screen, *, until: str = "end", steps: int = 0) -> Run:
    """Wait for a run, and show how it goes.

    An interrupt leaves the run alive.

    Args:
        run: The run.
        screen: Where it is shown.
        until: ``end``, or ``step``: only until a step is done.
        steps: That step.
    """
    from workbench.runs.watch import Watch

    watch = Watch(run.dir)
    said = 0.0
    try:
        if run.interrupted:
            raise KeyboardInterrupt  # noqa: TRY301 - it came while the run was being launched
        while True:
            moved = watch.poll()
            snapshot = watch.snapshot()
            if not snapshot.verdict.alive and not moved:
                break
            if until == "step" and snapshot.step >= steps:
                break
            if time.monotonic() - said >= _SAY_SECONDS:
                said = time.monotonic()
                screen.say(_line(watch))
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        screen.clear()
        left = run.refreshed()
        left.note = (
            f"the cell was interrupted; {run.name} goes on by itself. Run the cell again to watch, "
            f'or stop it: learn.stop("{run.name}")'
        )
        return left
    screen.clear()
    return run.refreshed()


def _line(watch: Watch) -> str:
    """One line on how it goes."""
    now = watch.snapshot()
    if not now.step:
        words = "starting (loading torch takes a few seconds)"
        return f"{now.name}: {words if now.verdict.state == 'starting' else now.verdict.state}"
    done = round(20 * now.step / now.max_steps) if now.max_steps else 0
    parts = [f"{now.name}  {'█' * done}{'░' * (20 - done)}  step {now.step}/{now.max_steps or '?'}"]
    if "loss" in now.last:
        parts.append(f"loss {units.number(now.last['loss'])}")
    if "tokens_per_s" in now.last:
        parts.append(f"{units.count(now.last['tokens_per_s'])} tokens/s")
    if now.verdict.state != "running":
        parts.append(now.verdict.state)
    return "  ".join(parts)

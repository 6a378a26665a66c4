"""What ava-tui does, each with the call that the command line makes too. They run in threads."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.plan import Plan


def overrides(runs_dir: Path) -> dict[str, str]:
    """The settings that differ from the recipe: where the runs are."""
    return {} if str(runs_dir) == "runs" else {"run.runs_dir": str(runs_dir)}


def make_plan(recipe: str, runs_dir: Path) -> Plan:
    """Resolve a recipe.

    Raises:
        WorkbenchError: It cannot be launched.
    """
    from workbench import plan

    made = plan.plan_from(recipe, overrides=overrides(runs_dir))
    _ = made.config, made.equation
    return made


def fits(recipe: str, runs_dir: Path) -> tuple[str, str]:
    """The sign that says whether this machine is enough for a recipe, and its style name."""
    from workbench import plan
    from workbench.errors import WorkbenchError
    from workbench.tui.fits import SIGNS, fits_here

    try:
        return SIGNS[fits_here(plan.plan_from(recipe, overrides=overrides(runs_dir)))]
    except WorkbenchError:
        return SIGNS[None]


def launch(recipe: str, name: str, runs_dir: Path) -> str:
    """Start a run of the recipe; returns the run's name."""
    options = [word for key, value in overrides(runs_dir).items() for word in (f"--{key}", value)]
    command = ["ava", "train", recipe, *options]
    return make_plan(recipe, runs_dir).launch(name or None, command=command).name


def resume(name: str, runs_dir: Path) -> str:
    """Start the run again from its newest checkpoint; returns its name."""
    from workbench.runs.control import start
    from workbench.runs.directory import open_run

    start(open_run(runs_dir, name))
    return name


def stop(name: str, runs_dir: Path, *, now: bool) -> None:
    """Let the run finish its step, save and end; or end it ``now``."""
    from workbench.runs.control import stop as ask
    from workbench.runs.directory import open_run

    ask(open_run(runs_dir, name), now=now)


def note(name: str, text: str, runs_dir: Path) -> None:
    """Write a note beside the run."""
    from workbench.runs.directory import open_run
    from workbench.runs.labels import add_note

    add_note(open_run(runs_dir, name), text)


def twins(kind: str, name: str, runs_dir: Path) -> list[tuple[str, str]]:
    """What can be done with a recipe or a run, and the command that does the same."""
    given = overrides(runs_dir)
    if kind == "recipe":
        options = "".join(f" --{key} {shlex.quote(value)}" for key, value in given.items())
        return [
            ("launch", f"ava launch {name}{options}"),
            ("launch and watch", f"ava train {name}{options}"),
            ("will it fit", f"ava estimate {name}"),
            ("plans that fit", f"ava fit {name}"),
            ("every value and its layer", f"ava config show {name}"),
        ]
    place = f" --runs_dir {shlex.quote(str(runs_dir))}" if given else ""
    return [
        (words, f"ava runs {command} {name}{rest}{place}")
        for words, command, rest in (
            ("what is known", "show", ""),
            ("watch", "watch", ""),
            ("stop and save", "stop", ""),
            ("end at once", "stop", " --now"),
            ("go on", "resume", ""),
            ("note", "note", ' "what I have seen"'),
            ("compare", "compare", " OTHER"),
            ("export the curves", "export", ""),
        )
    ]

"""`ava lab`: the course in JupyterLab, on this machine only."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from workbench.cli.options import take_flag
from workbench.cli.output import print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from workbench.lab.place import Place
    from workbench.lab.running import Lab
    from workbench.lessons.workspace import Workspace

HELP = """\
usage: ava lab [DIR] [--port N] [--no-browser] [--json]

  ava lab                the course in JupyterLab, in your browser
  ava lab DIR            with DIR as the folder of your notebooks, runs and progress
  --port N               listen there; otherwise on the first free port from 8888
  --no-browser           print the address, open nothing
  --json                 print url, token, workspace and pid, then serve

Without DIR: $AVA_WORKSPACE, else this folder if it is a workspace, else ~/ava-lessons.
Lessons become notebooks there; what you have changed in them stays.
The server listens on 127.0.0.1 and asks for a token. Ctrl-C ends it; trainings go on.
Without a browser: the same course in the terminal, ava-tui
"""


def run(_command: str, args: list[str]) -> int:
    """Serve the course until Ctrl-C."""
    if {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0
    json = take_flag(args, "--json")
    quiet = take_flag(args, "--no-browser")
    port = _port(args)
    folder = _folder(args)

    from workbench.lab.place import Place
    from workbench.lab.running import Started, start
    from workbench.lessons.workspace import Workspace

    workspace = Workspace.open(folder if folder is not None else Workspace.usual())
    place = Place(workspace.path)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    _prepare(workspace)
    _say("starting JupyterLab …")
    started = start(place, port=port)
    if not isinstance(started, Started):
        _say(f"A Lab is running for this workspace already (process {started.pid}).")
        _tell(started, place, json=json, quiet=quiet, ours=False)
        return 0
    try:
        _tell(started.lab, place, json=json, quiet=quiet, ours=True)
        code = started.wait()
        _say(f"JupyterLab has ended (exit code {code}); what it said: {place.log}")
    except KeyboardInterrupt:
        code = 0
        _say("\nending JupyterLab …")
    finally:
        started.stop()
        _say_what_goes_on(workspace)
    return 1 if code else 0


def _port(args: list[str]) -> int | None:
    """Take ``--port N`` or ``--port=N`` out of the arguments."""
    for at, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name != "--port":
            continue
        del args[at]
        if not equals:
            value = args.pop(at) if at < len(args) else ""
        if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65536):
            raise UsageError(f"--port needs a number from 1 to 65535, not {value!r}")
        return int(value)
    return None


def _folder(args: list[str]) -> Path | None:
    for word in args:
        if word.startswith("-"):
            raise UsageError(f"there is no option {word!r}", fix="ava lab --help")
    if len(args) > 1:
        raise UsageError(f"one folder at a time: {' and '.join(args)}", fix="ava lab DIR")
    return Path(args[0]) if args else None


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """A closed terminal or a polite kill ends the Lab as Ctrl-C does."""
    raise KeyboardInterrupt


def _prepare(workspace: Workspace) -> None:
    """Write the notebooks, and say what was kept of the learner's own."""
    from workbench.lessons import course

    for each in workspace.prepare(course()):
        for note in each.notes:
            _say(f"{each.path.name}: {note}")


def _tell(lab: Lab, place: Place, *, json: bool, quiet: bool, ours: bool) -> None:
    """Say where the Lab is and what to do there; open it."""
    from workbench.lab import browser

    if json:
        print_json(lab.to_dict())
        sys.stdout.flush()
        return
    opened = not quiet and browser.show(place.door)
    print(f"\nThe course is in your browser:\n\n  {lab.url}\n" if opened else f"\n{_how(lab)}\n")
    print(f"workspace  {lab.workspace}   (your notebooks, runs and progress)")
    print("the end    Ctrl-C " + ("here" if ours else "where it was started") + "; trainings go on")
    sys.stdout.flush()


def _how(lab: Lab) -> str:
    from workbench.lab.browser import tunnel

    lines = ["Open this address in your browser:", "", f"  {lab.url}"]
    if command := tunnel(lab.port):
        lines += ["", "You are here by SSH. On your own computer, first:", "", f"  {command}"]
    return "\n".join(lines)


def _say_what_goes_on(workspace: Workspace) -> None:
    """The trainings that outlive the Lab, and how to reach them."""
    from workbench.runs.overview import Overview

    overview = Overview(workspace.runs)
    overview.poll()
    alive = [entry for entry in overview.entries if entry.alive]
    for entry in alive:
        _say(f"still training: {entry.name}, step {entry.step} of {entry.max_steps}")
    if alive:
        name, folder = alive[0].name, workspace.runs
        _say(f"  watch it:  ava runs watch {name} --runs_dir {folder}")
        _say(f"  stop it:   ava runs stop {name} --runs_dir {folder}")


def _say(text: str) -> None:
    """Narration: stdout is for the address, or for JSON."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

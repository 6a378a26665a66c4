"""The `ava` command. Each command is a module that is imported when it runs, and not before."""

from __future__ import annotations

import sys
from importlib import import_module

from workbench.cli.streams import make_usable

# name -> (module, one line for the help); the order is the order of the help
COMMANDS = {
    "train": ("workbench.cli.train", "train a recipe or your own layers, and watch it learn"),
    "launch": ("workbench.cli.train", "the same, in the background; prints the run's name"),
    "runs": ("workbench.cli.runs", "what happened: list, show, watch, stop, resume, compare …"),
    "estimate": ("workbench.cli.estimate", "will it fit, how fast, how long, what it costs"),
    "fit": ("workbench.cli.fit", "the plans for the same training that fit, fastest first"),
    "measure": ("workbench.cli.measure", "a few real steps: predicted beside measured"),
    "lessons": ("workbench.cli.lessons", "the course: list, read, open, check, progress"),
    "lab": ("workbench.cli.lab", "the course in JupyterLab, on this machine only"),
    "hardware": ("workbench.cli.hardware", "devices: list, show, detect what is here"),
    "data": ("workbench.cli.data", "texts made ready: tokenise once, learn a vocabulary"),
    "config": ("workbench.cli.config", "what a config says: show, check, explain, diff, keys"),
    "import": ("workbench.cli.import_", "configs of other systems, explained and made layers"),
    "lint": ("workbench.cli.import_", "the same without writing: would the system start?"),
    "export": ("workbench.cli.export", "a plan as another system's files, and what was lost"),
    "break": ("workbench.cli.break_", "a real disaster on purpose, and how it is repaired"),
}

HELP = """\
Ava Workbench: know before you train a language model.

usage: ava COMMAND [options]

Start here:
  ava train tiny_cpu              train a small model here, about 3 minutes
  ava train tiny_cpu --data.path MY_TEXT
                                  the same on your own .txt, .md, .py files
  ava-tui                         the same and more, on one screen

Commands:
{commands}

Every command explains itself:   ava COMMAND --help
Data for programs:               --json
Exit codes: 0 ok · 1 failed · 2 wrong usage or config · 130 interrupted
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. Whatever goes wrong ends in one message."""
    make_usable()
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if args[0] in ("-V", "--version", "version"):
        from workbench import __version__

        sys.stdout.write(f"ava-workbench {__version__}\n")
        return 0
    from workbench.cli.guard import guarded

    return guarded(_run, args)


def _run(args: list[str]) -> int:
    name, *rest = args
    if name not in COMMANDS:
        raise _unknown(name)
    module = import_module(COMMANDS[name][0])
    code: int = module.run(name, rest)
    return code


def _help() -> str:
    lines = [f"  {name:<10}{summary}" for name, (_, summary) in COMMANDS.items()]
    return HELP.format(commands="\n".join(lines))


def _unknown(name: str) -> Exception:
    import difflib

    from workbench.errors import UsageError
    from workbench.plan import recipes

    if name in {recipe.name for recipe in recipes()}:
        return UsageError(f"{name!r} is a recipe, not a command", fix=f"ava train {name}")
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return UsageError(
        f"there is no command {name!r}",
        fix=f"ava {close[0]}" if close else "ava --help lists the commands",
    )

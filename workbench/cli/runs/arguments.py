"""The arguments of `ava runs`, and the run that they name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from pathlib import Path

    from workbench.runs.directory import RunDir

_TEXTS = {
    "list": "all runs with their state (the default)",
    "show": "one run: state, figures, files; --files explains each file",
    "watch": "follow a run until it ends; Ctrl-C leaves it running",
    "stop": "finish the step, save, exit",
    "pause": "the same, to go on later: the device is free meanwhile",
    "resume": "go on from the newest good checkpoint; --KEY VALUE changes what is safe to change",
    "extend": "go on with more steps",
    "note": "write a note beside a run, or read its notes",
    "tag": "add tags to a run, or remove them",
    "rename": "give a run another name",
    "rm": "delete a run",
    "compare": "runs side by side: figures, what differs, which single change helped",
    "export": "metrics as CSV, Parquet or TensorBoard events",
    "checkpoints": "list, verify or prune the checkpoints of a run",
}
_MANY = {
    "compare": "names of runs, or their paths; without any, all that have figures",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="ava runs --help")


def read(args: list[str]) -> Namespace:
    """What was asked for.

    Raises:
        UsageError: It cannot be asked like this.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(args)
    if options.action is None:
        options, rest = parser.parse_known_args([*args, "list"])
    options.overrides = {}
    if rest:
        if options.action != "resume":
            raise UsageError(f"there is no option {rest[0]!r}", fix="ava runs --help")
        from workbench.cli.options import parse

        given = parse(rest)
        if given.recipe or given.layers or given.resume:
            word = given.recipe or [*given.layers, given.resume][0]
            raise UsageError(
                f"a run that goes on has its config: {word!r} is too much",
                fix=f"ava runs resume {options.name} --KEY VALUE",
            )
        options.overrides = given.overrides
    return options


def chosen(options: Namespace) -> RunDir:
    """The run that was named.

    Raises:
        WorkbenchError: There is none.
    """
    from workbench.runs.directory import open_run

    return open_run(folder(options), options.name)


def folder(options: Namespace) -> Path:
    """The folder of the runs.

    Raises:
        UsageError: No folder can have this name.
    """
    from workbench.runs.directory import expanded

    return expanded(options.runs_dir)


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
    made = {
        name: actions.add_parser(
            name, parents=[common], help=text, description=text, allow_abbrev=False
        )
        for name, text in _TEXTS.items()
    }
    made["list"].add_argument("--tag", metavar="TAG", help="only runs with this tag")
    made["list"].add_argument("--state", metavar="STATE", help="only runs in this state")
    checkpoints = made["checkpoints"]
    checkpoints.add_argument("what", choices=("list", "verify", "prune"))
    made["compare"].add_argument("names", nargs="*", metavar="NAME", help=_MANY["compare"])
    made["show"].add_argument(
        "name", nargs="?", metavar="NAME", help="name of the run, or its path"
    )
    for name, action in made.items():
        if name not in ("list", "compare", "show"):
            action.add_argument("name", metavar="NAME", help="name of the run, or its path")
    _own(made)
    return parser


def _own(made: Mapping[str, argparse.ArgumentParser]) -> None:
    """The options that belong to one action."""
    made["show"].add_argument("--files", action="store_true", help="explain every file")
    made["stop"].add_argument("--now", action="store_true", help="at once, without saving")
    for name in ("resume", "extend"):
        made[name].add_argument("--queue", action="store_true", help="when the device is free")
    more = made["extend"].add_mutually_exclusive_group(required=True)
    more.add_argument("--by", type=int, metavar="STEPS", help="so many steps more")
    more.add_argument("--to", type=int, metavar="STEPS", help="up to so many steps in all")
    made["note"].add_argument("text", nargs="*", metavar="TEXT", help="without it, all notes")
    made["tag"].add_argument("tags", nargs="*", metavar="TAG", help="without any, all tags")
    made["tag"].add_argument("--remove", action="append", default=[], metavar="TAG")
    made["rename"].add_argument("new", metavar="NEW_NAME")
    made["rm"].add_argument("--yes", action="store_true", help="do not ask")
    made["compare"].add_argument("--metric", metavar="NAME", help="what they are judged by")
    made["compare"].add_argument(
        "--by", choices=("step", "tokens", "time"), default="step", help="what curves run over"
    )
    made["export"].add_argument("format", choices=("csv", "parquet", "tensorboard"))
    made["export"].add_argument("--out", metavar="PATH", help="file, or folder for tensorboard")
    made["checkpoints"].add_argument("--keep", type=int, default=1, metavar="N", help="of prune")
    made["checkpoints"].add_argument("--yes", action="store_true", help="do not ask")

"""`ava break`: a real disaster, what one sees of it, and the repair, all of it checked."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from workbench.cli.output import console, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from workbench.lessons.faults.registry import Fault
    from workbench.lessons.faults.report import Phase, Report, Step
    from workbench.lessons.faults.text import Row

_HELP = """\
usage: ava break [FAULT] [-o DIR] [--keep] [--json]

Without a fault, the list of them. With one, it really happens: a training in a scratch folder
is broken, you see what you would see, and read why; then it is repaired with commands that you
could type, and the repair is proved. Nothing outside the folder is touched.

  FAULT         one of the list
  -o DIR        do it in this folder, which must be new or empty, and keep it
  --keep        keep the scratch folder, to look around in it
  --json        the report as data on stdout, narration on stderr

Exit code 0 when everything happened as said, the recovery included; 1 when not.
"""
_STYLES = {
    "title": "bold",
    "head": "bold cyan",
    "prose": "",
    "command": "bold",
    "output": "dim",
    "good": "green",
    "bad": "bold red",
}
_WIDEST = 100  # columns of a report
_WIDE = 120  # from here on the list has room for whole sentences
_MINUTE = 60


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="ava break --help")


def run(_command: str, args: list[str]) -> int:
    """Run `ava break`."""
    parser = _Parser(prog="ava break", add_help=False, allow_abbrev=False)
    parser.add_argument("fault", nargs="?")
    parser.add_argument("-o", dest="folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    options = parser.parse_args(args)
    if options.help:
        sys.stdout.write(_HELP)
        return 0
    from workbench.lessons import faults

    if options.fault is None:
        if options.folder is not None or options.keep:
            raise UsageError("which fault is to be produced?", fix="ava break lists them")
        return _list(faults.all(), json=options.json)
    fault = faults.find(options.fault)
    with _ended_by_signals(), _folder(options.folder, keep=options.keep) as folder:
        report = _produced(fault, folder, json=options.json)
        out = console(narration_only=options.json)
        if options.folder is not None or options.keep:
            out.print(f"kept in {folder}", markup=False, highlight=False)
    return 0 if report.verified else 1


def _list(known: list[Fault], *, json: bool) -> int:
    if json:
        print_json(
            [
                {
                    "id": each.id,
                    "title": each.title,
                    "what_happens": each.what_happens,
                    "see": each.see,
                    "recover": each.recover,
                    "seconds": each.seconds,
                }
                for each in known
            ]
        )
        return 0
    from rich.table import Table

    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("fault", no_wrap=True, style="bold")
    table.add_column("what happens")
    table.add_column("minutes", justify="right")
    for each in known:
        told = each.what_happens if out.width >= _WIDE else each.title
        table.add_row(each.id, told, f"{each.seconds / _MINUTE:.1f}")
    out.print(table)
    out.print(f"\n{len(known)} disasters, each real, seen and repaired: ava break FAULT")
    return 0


def _produced(fault: Fault, folder: Path, *, json: bool) -> Report:
    from workbench.lessons import faults
    from workbench.lessons.faults import text

    out = console(narration_only=json)
    width = min(out.width, _WIDEST)
    phase: Phase | None = None

    def tell(step: Step) -> None:
        nonlocal phase
        waiting.stop()
        _print(out, text.step_rows(step, phase, width))
        phase = step.phase

    def begins(command: str) -> None:
        waiting.update(f"[dim]{command.replace('[', chr(92) + '[')}[/]")
        waiting.start()

    _print(out, text.title(fault, width))
    waiting = out.status("")
    try:
        report = faults.produce(fault.id, folder, tell=tell, begins=begins)
    finally:
        waiting.stop()
    _print(out, text.verdict(report))
    if json:
        print_json(report.to_dict())
    return report


def _print(out: Console, rows: Iterator[Row]) -> None:
    for row in rows:
        out.print(row.text, style=_STYLES[row.style], markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _folder(given: Path | None, *, keep: bool) -> Iterator[Path]:
    """Where it happens; the scratch folder is gone afterwards unless it is to be kept."""
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="ava-break-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A signal that would end this process at once ends it like Ctrl-C: nothing stays alive."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

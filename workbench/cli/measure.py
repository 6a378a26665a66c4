"""`ava measure`: a few real steps of a plan, and what they measured beside what was predicted."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.cli.options import planned, take, take_flag
from workbench.cli.output import console, print_json, relative
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.measuring import Measurement

HELP = """\
usage: ava measure [RECIPE] [FILE.yaml …] [--config LAYER] [--KEY VALUE …]
                   [--steps N] [--keep-run] [--json]
       ava measure --history [--json]

Trains the plan for a few steps on this machine, with sequences of full length, and shows
what was predicted beside what was measured: memory, tokens per second, time of a step.

  --steps N    steps to train; 5 by default, of which the first two are not timed
  --keep-run   keep the run where runs are kept; by default it is made aside and thrown away
  --history    what has been measured on this machine so far, with the errors
  --json       the result as data on stdout, narration on stderr

What is measured is kept, and makes later predictions on this machine better: what a process
takes beside its tensors, and the FLOP/s that trainings reach. Nothing else is ever fitted.

  ava measure tiny_cpu
  ava measure tiny_cpu --hidden_size 512 --max_length 1024 --steps 10
"""


def run(_command: str, args: list[str]) -> int:
    """Run `ava measure`."""
    args = list(args)
    if {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0
    if take_flag(args, "--history"):
        return _history(args)
    keep, steps = take_flag(args, "--keep-run"), _steps(args)
    from workbench.measuring import measure

    plan, options = planned(args, "measure", "ava measure tiny_cpu")
    done = measure(plan, steps=steps, keep=keep, told=_tell)
    if options.json:
        print_json(done.to_dict())
    else:
        _show(done, plan.equation)
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(line + " …\n")
    sys.stderr.flush()


def _steps(args: list[str]) -> int:
    """The value of ``--steps``, taken out of the arguments.

    Raises:
        UsageError: It is no number.
    """
    text = take(args, "--steps", "ava measure --help")
    if text is None:
        return 5
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--steps takes a number of steps, not {text!r}", fix="--steps 5")
    return int(text)


def _show(done: Measurement, equation: str) -> None:
    from rich.table import Table

    out = console()
    for label, text in (
        ("plan", equation),
        ("device", f"{done.hardware.title} (this machine), {done.precision}"),
        ("ran", f"{done.steps} steps with sequences of full length"),
    ):
        out.print(f"{label:<11}{text}", markup=False)
    out.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for title in ("predicted", "measured", "error"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in done.figures:
        table.add_row(
            each.name,
            _value(each.predicted, each.unit),
            _value(each.measured, each.unit),
            _error(each.error),
        )
    out.print(table)
    out.print("\ncompared", style="bold")
    for words in dict.fromkeys(each.compared for each in done.figures):
        names = " and ".join(each.name for each in done.figures if each.compared == words)
        out.print(f"  {names}: {words}", markup=False)
    out.print(f"\n{_constants(done)}", markup=False, soft_wrap=True)
    for note in done.notes:
        out.print(f"note: {note}", markup=False, style="dim")
    if done.kept:
        out.print(f"the run    {relative(done.run.path)}/", markup=False)
    out.print(f"history    {done.file}   (ava measure --history)", markup=False, style="dim")


def _constants(done: Measurement) -> str:
    known = done.after
    words = []
    if known.context is not None:
        words.append(f"a process takes {units.size(known.context)} beside its tensors")
    words += [f"{name} reaches {_rate(rate)}" for name, rate in known.reached.items()]
    runs = "1 run" if known.runs == 1 else f"{known.runs} runs"
    return f"known of this machine, from {runs}: " + ("; ".join(words) or "nothing yet")


def _rate(flops: float) -> str:
    scale, unit = (1e12, "TFLOP/s") if flops >= 1e12 else (1e9, "GFLOP/s")
    return f"{flops / scale:,.3g} {unit}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "bytes":
        return units.size(value)
    return f"{value:,.0f}" if unit == "tokens/s" else f"{value:.3g} s"


def _error(error: float | None) -> str:
    return "–" if error is None else f"{error:+.1%}"


def _history(args: list[str]) -> int:
    from workbench.runs import measured

    json = take_flag(args, "--json")
    if args:
        raise UsageError(f"--history takes no {args[0]!r}", fix="ava measure --history")
    rows = measured.history(measured.this_machine())
    if json:
        print_json(rows)
        return 0
    rows = [row for row in rows if not row.get("probe")]
    if not rows:
        sys.stdout.write("nothing has been measured on this machine yet\nava measure tiny_cpu\n")
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("when", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("format", no_wrap=True)
    for title in ("process", "error", "tokens/s", "error"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_past(row))
    console().print(table)
    return 0


def _past(row: dict[str, Any]) -> list[str]:
    from workbench.measuring import Figure

    predicted = row.get("predicted")
    predicted = predicted if isinstance(predicted, dict) else {}

    def pair(name: str, unit: str, measured: Any) -> list[str]:
        found = measured if isinstance(measured, int | float) else None
        figure = Figure(name, unit, predicted.get(name), found, "")
        return [_value(found, unit), _error(figure.error)]

    when = row.get("t")
    return [
        time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) if isinstance(when, float) else "–",
        units.count(row["parameters"]) if isinstance(row.get("parameters"), int) else "–",
        str(row.get("precision", "–")),
        *pair("process", "bytes", row.get("process")),
        *pair("tokens/s", "tokens/s", row.get("tokens_per_second")),
    ]

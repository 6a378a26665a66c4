"""`ava fit`: the plans for the same training that fit the device, the fastest first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.options import planned, take, take_flag
from workbench.cli.output import print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.estimate.fit import FitResult, Limits, Proposal
    from workbench.estimate.speed import Efficiency
    from workbench.plan import Plan

HELP = """\
usage: ava fit [RECIPE] [FILE.yaml …] [--config LAYER] [--hardware NAME] [--KEY VALUE …]
               [--keep WHAT,…] [--try-optimizers NAME,…] [--margin PERCENT]
               [--apply FILE [--choose N]] [--what-if] [--json]
       ava fit … --largest-micro-batch | --longest-sequence | --smallest-card

Searches for plans that see the same sequences in a step and fit the device, the fastest
first. Nothing is trained, and the plan itself stays as it is.

  --hardware NAME        the device: ava hardware list; by default the plan's, else this machine
  --keep WHAT,…          what may not change: micro-batch, recompute, sharding, offload, precision
  --try-optimizers NAME  optimizers that may take the place of the plan's: another training
  --margin PERCENT       part of the device to leave free; 3 by default
  --apply FILE           write the best plan as a layer file (never over a file that is there)
  --choose N             with --apply: plan N of the table
  --what-if              instead: the plan with one thing changed at a time
  --largest-micro-batch  instead: the most sequences of a micro-batch, all else as it is
  --longest-sequence     instead: the most tokens of a sequence, all else as it is
  --smallest-card        instead: which devices the plan fits as it is
  --json                 all of it as data

Recipe, layers and keys are given as for ava train.

  ava fit tiny_cpu --hardware t4 --hidden_size 2048 --num_layers 24
  ava fit my.yaml --keep precision,sharding --apply fits.yaml
"""

_HELP = "ava fit --help"
_QUESTIONS = ("--largest-micro-batch", "--longest-sequence", "--smallest-card", "--what-if")
_KEEP = ("micro-batch", "recompute", "sharding", "offload", "precision")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Attributes:
        plan: The plan.
        hardware: Its device.
        named: Whether the plan names it; else it is this machine's.
        limits: What the search may change.
        measured: What this machine has reached with such plans, where it is the one asked for.
        context: Bytes of a process beside what torch holds, likewise.
    """

    plan: Plan
    hardware: HardwareProfile
    named: bool
    limits: Limits
    measured: Efficiency | None = None
    context: int | None = None


def run(_command: str, args: list[str]) -> int:
    """Run `ava fit`."""
    args = list(args)
    if {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0
    questions = [flag for flag in _QUESTIONS if take_flag(args, flag)]
    if len(questions) > 1:
        raise UsageError(
            f"one question at a time: {' and '.join(questions)}", fix=f"ava fit … {questions[0]}"
        )
    apply, choose = take(args, "--apply", _HELP), take(args, "--choose", _HELP)
    limits = _limits(args)
    json = "--json" in args
    asked = _ask(args, limits)
    if questions:
        if apply or choose:
            raise UsageError(f"{questions[0]} has no plan to write", fix="ava fit … --apply FILE")
        from workbench.cli import fit_questions

        return fit_questions.answer(questions[0], asked, json=json)
    if choose is not None and apply is None:
        raise UsageError("--choose says which plan to write", fix="ava fit … --apply FILE")
    return _search(asked, apply, _number(choose), json=json)


def _search(asked: Asked, apply: str | None, choose: int, *, json: bool) -> int:
    from workbench.estimate.fit import fit
    from workbench.hardware.devices import device, names

    result = fit(
        asked.plan.config,
        asked.hardware,
        origins=asked.plan.composed.origins,
        limits=asked.limits,
        profiles=[device(name) for name in names()],
        measured=asked.measured,
        context=asked.context,
    )
    chosen = _chosen(result, choose) if apply else result.best
    command = None if chosen is None else command_of(asked.plan, chosen)
    if apply and chosen is not None:
        _write(asked.plan, chosen, apply)
    if json:
        print_json(result.to_dict() | {"command": command, "written": apply})
    else:
        from workbench.cli.fit_table import show

        show(asked, result, command)
        if apply:
            sys.stdout.write(f"\nwritten    {apply}\n           ava train {apply}\n")
    return 0 if result.proposals else 1


def _chosen(result: FitResult, number: int) -> Proposal:
    """The plan to write.

    Raises:
        UsageError: There is no such plan.
    """
    found = result.proposals
    if not found:
        raise UsageError("no plan fits, so there is none to write", fix="ava fit … without --apply")
    if not 1 <= number <= len(found):
        raise UsageError(f"there is no plan {number}", fix=f"--choose 1 … {len(found)}")
    return found[number - 1]


def command_of(plan: Plan, proposal: Proposal) -> list[str]:
    """The command line that trains a proposal."""
    from workbench.draft import Draft

    draft = Draft(plan)
    draft.put(proposal.edits)
    return draft.command()


def _write(plan: Plan, proposal: Proposal, path: str) -> None:
    from pathlib import Path

    from workbench.draft import Draft

    draft = Draft(plan)
    draft.put(proposal.edits)
    draft.save(Path(path).expanduser())


def _ask(args: list[str], limits: Limits) -> Asked:
    """The plan of a command line and its device.

    Raises:
        UsageError: Nothing is named.
        ConfigError: A layer cannot be read, or the plan is wrong.
    """
    from workbench.hardware.here import with_memory

    plan, _ = planned(
        args,
        "fit",
        "ava fit tiny_cpu --hardware t4\nava fit --config gpu/small --hardware rtx_4090",
    )
    config = plan.config
    named, hardware = plan.hardware is not None, with_memory(plan.hardware)
    if named:
        return Asked(plan, hardware, named, limits)
    from workbench.measuring import known_here

    known = known_here(config, hardware)
    return Asked(plan, known.hardware, named, limits, known.measured, known.context)


def _limits(args: list[str]) -> Limits:
    """What the search may change, taken out of the arguments.

    Raises:
        UsageError: A word is not known.
    """
    from workbench.config.keys import keys
    from workbench.estimate.fit import MARGIN, Limits

    kept = _words(take(args, "--keep", _HELP))
    for word in kept:
        if word not in _KEEP:
            raise UsageError(f"--keep knows no {word!r}", fix="--keep " + ",".join(_KEEP))
    optimizers = _words(take(args, "--try-optimizers", _HELP))
    choices = keys()["training.optimizer"].choices
    for word in optimizers:
        if word not in choices:
            raise UsageError(f"there is no optimizer {word!r}", fix="one of: " + ", ".join(choices))
    margin = take(args, "--margin", _HELP)
    return Limits(
        micro_batch="micro-batch" not in kept,
        recompute="recompute" not in kept,
        sharding="sharding" not in kept,
        offload="offload" not in kept,
        precision="precision" not in kept,
        optimizers=tuple(optimizers),
        margin=MARGIN if margin is None else _percent(margin),
    )


def _words(text: str | None) -> list[str]:
    return (
        []
        if text is None
        else [word.strip().replace("micro_", "micro-") for word in text.split(",")]
    )


def _number(text: str | None) -> int:
    if text is None:
        return 1
    if not text.isdecimal():
        raise UsageError(f"--choose takes the number of a plan, not {text!r}", fix="--choose 1")
    return int(text)


def _percent(text: str) -> float:
    try:
        value = float(text.rstrip("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise UsageError(
            f"--margin takes percent, from 0 to below 100, not {text!r}", fix="--margin 3"
        )
    return value / 100

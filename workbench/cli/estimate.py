"""`ava estimate`: what a plan takes before it costs anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.cli.options import planned, take_flag
from workbench.cli.output import console, print_json

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.upstream import AvaSize
    from workbench.plan import Plan

HELP = """\
usage: ava estimate [RECIPE] [FILE.yaml …] [--config LAYER] [--hardware_config LAYER]
                    [--distributed_config LAYER] [--hardware NAME] [--KEY VALUE …]
                    [--explain] [--trace] [--json]
       ava estimate --trace MODEL_DIR_OR_CONFIG_JSON [--KEY VALUE …]

Whether it fits, how fast it is, how long it takes and what it costs. Nothing is trained.

  --hardware NAME   the device to reckon with: ava hardware list; without it, the plan's own,
                    else this machine
  --explain         every byte in named lines: formula, value, source; and the symbols
  --trace           the trainer's own code under tensors that take no memory, beside the ledger;
                    with the folder or config.json of a Hugging Face model: that model
  --json            all of it as data

Recipe, layers and keys are given as for ava train.

  ava estimate tiny_cpu
  ava estimate --config gpu/base --hardware_config hardware/h100_80gb
  ava estimate tiny_cpu --hardware rtx_4090 --hidden_size 1024 --explain
"""


class Question(NamedTuple):
    """What is asked, with the answer.

    Attributes:
        plan: The plan.
        hardware: The device.
        found: Whether it is this machine's, for none was named.
        estimate: The answer.
        upstream: What Ava's own code builds of it; None where that is the same.
    """

    plan: Plan
    hardware: HardwareProfile
    found: bool
    estimate: Estimate
    upstream: AvaSize | None

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready data."""
        return self.estimate.to_dict() | {
            "stack": list(self.plan.composed.stack),
            "this_machine": self.found,
            "upstream": None if self.upstream is None else self.upstream.to_dict(),
        }


def run(_command: str, args: list[str]) -> int:
    """Run `ava estimate`."""
    if {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0
    args = list(args)
    explain, trace = take_flag(args, "--explain"), take_flag(args, "--trace")
    if trace and (model := _foreign(args)):
        from workbench.cli.estimate_trace import trace_model

        return trace_model(model, args)
    asked = ask(args)
    if take_flag(args, "--json"):
        print_json(asked.to_dict() | _more(asked, trace=trace))
        return 0
    from workbench.cli.estimate_text import explanation, lines

    out = console()
    for line in lines(asked, _cheapest(asked)):
        out.print(line)
    if explain:
        for line in explanation(asked):
            out.print(line)
    if trace:
        from workbench.cli.estimate_trace import beside

        for line in beside(asked):
            out.print(line)
    elif not explain:
        out.print("\neach line with its formula and source: --explain", style="dim")
    return 0


def _foreign(args: list[str]) -> str | None:
    """The folder or file of a Hugging Face model among the words, taken out."""
    from pathlib import Path

    for word in args:
        path = Path(word).expanduser()
        if not word.startswith("-") and ((path / "config.json").is_file() or _is_model(path)):
            args.remove(word)
            return word
    return None


def _is_model(path: Any) -> bool:
    """Whether a file is a Hugging Face model's config, and not one of ours."""
    if path.suffix != ".json" or not path.is_file():
        return False
    import json

    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(tree, dict) and "model_type" in tree


def ask(args: list[str]) -> Question:
    """The plan of a command line with its estimate.

    Raises:
        UsageError: Nothing is named, or a device is not known.
        ConfigError: A layer cannot be read, or the plan is wrong.
    """
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.upstream import ava_size
    from workbench.hardware.devices import resolve
    from workbench.hardware.here import with_memory
    from workbench.measuring import known_here

    plan, _ = planned(
        args,
        "estimate",
        "ava estimate tiny_cpu\nava estimate --config gpu/base --hardware h100_80gb",
    )
    config = plan.config
    named, _ = resolve(config, plan.composed.origins)
    found = named is None
    hardware, measured = with_memory(named), None
    if found:
        hardware, measured, _ = known_here(config, hardware)
    estimate = Estimate.of(config, hardware, origins=plan.composed.origins, measured=measured)
    upstream = ava_size(config.model, plan.composed.stack)
    return Question(plan, hardware, found, estimate, upstream)


def _cheapest(asked: Question) -> Any:
    """What would make it fit, from `workbench.estimate.fit`; None where it does or nobody knows."""
    if asked.estimate.fits is not False:
        return None
    from workbench.estimate.fit import fit
    from workbench.hardware.devices import device, names

    profiles = [device(name) for name in names()]
    return fit(
        asked.plan.config,
        asked.hardware,
        origins=asked.plan.composed.origins,
        profiles=profiles,
        measured=asked.estimate.measured,
    )


def _more(asked: Question, *, trace: bool) -> dict[str, Any]:
    """What takes longer: what would make it fit, and the trace."""
    found = _cheapest(asked)
    more: dict[str, Any] = {"fit": None if found is None else found.to_dict()}
    if trace:
        from workbench.cli.estimate_trace import traced

        more["trace"] = traced(asked)
    return more

"""`ava estimate --trace`: the trainer's own code, run without computing, beside the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from workbench import units
from workbench.cli.options import parse, take_flag
from workbench.cli.output import console, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.cli.estimate import Question
    from workbench.estimate.tracing import Trace

_MODEL_OPTIONS = ("batch_size", "max_length", "mixed_precision", "gradient_checkpointing")
_AGREES = 0.005
"""A ledger that is further off than this is a defect (DESIGN 3.4)."""


def traced(asked: Question) -> dict[str, Any]:
    """The trace of a plan beside the ledger, as data."""
    found = _trace(asked)
    memory = asked.estimate.memory
    data = found.to_dict()
    if memory is not None:
        data |= {"ledger": memory.allocated, "error": memory.allocated / found.peak - 1}
    return data


def beside(asked: Question) -> Iterator[Text]:
    """The trace of a plan beside the ledger, in words."""
    found = _trace(asked)
    memory = asked.estimate.memory
    yield Text()
    yield Text("traced with the trainer's own code", style="bold")
    yield from _told(found)
    error = memory.allocated / found.peak - 1
    off = abs(error) > _AGREES
    yield Text(f"  {'ledger':<10}{units.size(memory.allocated):>10}  at “{memory.peak.name}”")
    yield Text(
        f"  {'apart':<10}{error:>+10.3%}"
        + ("  more than 0.5 %: a defect of the workbench, please report it" if off else ""),
        style="red" if off else "green",
    )


def _trace(asked: Question) -> Trace:
    from workbench.estimate.tracing import trace_plan

    return trace_plan(asked.plan.config, asked.hardware.name)


def _told(found: Trace) -> Iterator[Text]:
    kept = "kept from before" if found.kept else f"{found.seconds:.1f} s"
    yield Text(f"  {'trace':<10}{units.size(found.peak):>10}  at “{found.moment}”")
    yield Text(f"  {'':<10}{'':>10}  from {found.traced}, {kept}", style="dim")


def trace_model(model: str, args: list[str]) -> int:
    """Trace a Hugging Face model.

    Raises:
        UsageError: An option has no meaning for it.
        WorkbenchError: It cannot be read or traced.
    """
    from workbench.estimate.tracing import trace_huggingface

    args = list(args)
    json = take_flag(args, "--json")
    options = parse(args)
    given = {key.rpartition(".")[2]: value for key, value in options.overrides.items()}
    for name in given:
        if name not in _MODEL_OPTIONS:
            raise UsageError(
                f"--{name} means nothing for a Hugging Face model",
                fix="it takes --" + ", --".join(_MODEL_OPTIONS),
            )
    found = trace_huggingface(
        model,
        batch_size=_whole(given, "batch_size", 1),
        max_length=_whole(given, "max_length", 512),
        mixed_precision=given.get("mixed_precision", "bf16"),
        gradient_checkpointing=given.get("gradient_checkpointing", "false") == "true",
    )
    if json:
        print_json(found.to_dict())
        return 0
    out = console()
    out.print(Text.assemble((model, "bold"), "  as transformers trains it, on one GPU"))
    for line in _told(found):
        out.print(line)
    for name, size in sorted(found.moments.items(), key=lambda pair: -pair[1])[:6]:
        out.print(Text(f"  {'':<10}{units.size(size):>10}  {name}", style="dim"))
    return 0


def _whole(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--{name} is a whole number from 1 on, not {text!r}")
    return int(text)

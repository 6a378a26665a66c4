"""Memory that runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench import units
from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.commands import Limit
from workbench.lessons.faults.registry import fault

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage

_LIMIT: Final = Limit("d", 2**20)  # KiB: 1 GiB
_COMMON: Final = "--max_steps 2 --warmup_steps 0 --max_eval_examples 8"


@fault(
    "out-of-memory",
    "Memory runs out",
    what_happens="2,048 sequences in one pass need more memory than there is.",
    see="the allocator's own words, what was held, what the plan needed, what to change",
    recover="the same step in smaller passes: a smaller batch_size, more accumulation",
    starts=2,
)
def out_of_memory(stage: Stage) -> None:
    """Really run out of memory, under a limit that the kernel holds."""
    stage.breaks(
        "A step of 2,048 sequences, all at once. So that your machine does not suffer, the kernel "
        "lets the trainer write to 1 GiB at most: ulimit -d, which needs no rights."
    )
    plan = f"lesson --batch_size 2048 {_COMMON}"
    estimate = stage.asks(f"estimate {plan}")
    stage.ava(f"estimate {plan}", show="  [=~-] |allocated")
    need = estimate["needed"]
    stage.expects(
        "ava estimate knew it before anything was started",
        need > _LIMIT.value * 1024,
        f"{units.size(need)} for tensors alone, {units.size(_LIMIT.value * 1024)} are there",
    )
    stage.sees("")
    printed = stage.ava(f"train {plan} --name big", code=1, limit=_LIMIT, show="^error|^  ")
    stage.expects("one message, no traceback", "Traceback" not in printed)
    stage.expects("it says that memory ran out", "error: memory ran out" in printed)
    stage.expects("and what the plan needs", "the plan's peak is" in printed)
    stage.expects("it was not tried again: it would fail again", "starts again" not in printed)
    stage.because(
        "The backward pass needs what each layer computed in the forward pass, for every sequence "
        "of the pass at once. Python and torch took about half a GiB before the first tensor."
    )
    plan = f"lesson --batch_size 256 --gradient_accumulation_steps 8 {_COMMON}"
    stage.repairs(
        "The same 2,048 sequences in a step, 256 at a time. Their gradients are added up, so it is "
        "the same training; ask ava estimate first, as always."
    )
    smaller = stage.asks(f"estimate {plan}")
    stage.ava(f"estimate {plan}", show="allocated")
    stage.ava(f"train {plan} --name small", limit=_LIMIT, show="^batch|^step|^finished")
    stage.proves("")
    less = smaller["needed"]
    stage.expects(
        "the same step needs less memory", less < need / 4, f"{units.size(less)} at its peak"
    )
    stage.expects(
        "as many sequences in a step",
        smaller["tokens_per_step"] == estimate["tokens_per_step"],
        smaller["batch"],
    )
    stage.expects(
        "under the same limit the training runs to its end", len(lab.losses(stage.run("small")))
    )

"""Memory ran out: how much was held, what held it, and the changes that would help.

What was held is measured; what held it is the ledger's, where it knows the plan, and the changes
are the fastest plans for the same training that take less (`workbench.estimate.fit`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import units
from workbench.errors import TrainingError
from workbench.training.metrics import host_peak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config
    from workbench.estimate.fit import Proposal

_LINES = 3
_FIXES = 3
_LESS = 0.9
"""What a change has to come down to at least, as a share of what the plan takes."""


class Change(NamedTuple):
    """A change that takes less memory.

    Attributes:
        edits: The keys it sets.
        costs: What it costs in return.
        same: Whether the training stays the same.
    """

    edits: dict[str, Any]
    costs: str
    same: bool = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: on a GPU, in torch on the host, or in Python."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            and ("can't allocate memory" in text or "out of memory" in text)
        )
    )


def explain(error: BaseException, config: Config | None) -> TrainingError:
    """The message for people.

    Args:
        error: What the allocator said.
        config: The run's config; None where it could not even be read.
    """
    said = str(error).strip().splitlines()
    why = [said[0]] if said else []
    why.append(held())
    fixes = "halve --training.batch_size and double --training.gradient_accumulation_steps"
    if config is not None:
        why += _ledger(config)
        found = fitting(config)
        if len(found) < _FIXES:  # other trainings, where the same one has no more to give
            same = bool(found)
            found += [_told(config, each) for each in changes(config) if not (same and each.same)]
        fixes = "\nor ".join(found[:_FIXES]) or "take a smaller model, or more devices"
    return TrainingError("memory ran out", why="\n".join(why), fix=fixes)


def held() -> str:
    """The most that this process has held, in words."""
    host = f"the trainer held {units.size(host_peak())} of host memory at most"
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return host
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return (
        f"tensors held {units.size(allocated)} at most, torch reserved {units.size(reserved)} "
        f"of the GPU's {units.size(total)}; {host}"
    )


def fitting(config: Config) -> list[str]:
    """The fastest plans with the same sequences in a step that fit; none where nobody knows."""
    memory = _memory(config)
    if memory is None:
        return []
    from workbench.estimate.fit import Limits, fit
    from workbench.hardware.here import with_memory

    try:
        hardware = with_memory(None)
        total = hardware.memory_bytes or memory.allocated
        # What the plan takes is too much, whatever the device is said to have.
        capacity = min(total, int(_LESS * memory.allocated))
        limits = Limits(precision=False, most=_FIXES)
        proposals = fit(config, hardware, limits=limits, capacity=capacity).proposals
    except Exception:  # noqa: BLE001 - advice on the way out must not hide the failure itself
        return []
    return [_proposed(each) for each in proposals]


def _proposed(proposal: Proposal) -> str:
    need = f", {units.size(proposal.need.bytes)} at the peak"
    return f"{_flags(proposal.edits)}: the same step{need}"


def changes(config: Config) -> Iterator[Change]:
    """What can be changed, the cheapest first: the same training before another one."""
    training = config.training
    if training.batch_size > 1:
        micro = training.batch_size // 2
        # The same sequences per step, where they divide.
        steps = -(-training.batch_size * training.gradient_accumulation_steps // micro)
        yield Change(
            {"training.batch_size": micro, "training.gradient_accumulation_steps": steps},
            "the same step, in more passes",
            same=True,
        )
    if not training.gradient_checkpointing:
        edits = {"training.gradient_checkpointing": True}
        yield Change(edits, "the same step, a third slower", same=True)
    if not config.lora.enabled and config.model.pretrained_path is not None:
        yield Change({"lora.enabled": True}, "trains small matrices beside frozen weights")
    if config.data.max_length > 128:
        yield Change({"data.max_length": config.data.max_length // 2}, "shorter sequences")


def _ledger(config: Config) -> list[str]:
    """The largest lines of the predicted peak; nothing where the ledger fails."""
    memory = _memory(config)
    if memory is None:
        return []
    largest = memory.peak.lines()[:_LINES]
    return [
        f"the plan's peak is {units.size(memory.allocated)}, {memory.peak.name}: "
        + ", ".join(f"{line.name} {units.size(line.bytes)}" for line in largest)
    ]


def _told(config: Config, change: Change) -> str:
    after = _memory(_with(config, change.edits))
    saves = f", {units.size(after.allocated)} at the peak" if after is not None else ""
    return f"{_flags(change.edits)}: {change.costs}{saves}"


def _flags(edits: dict[str, Any]) -> str:
    return " ".join(f"--{path} {_word(value)}" for path, value in edits.items())


def _memory(config: Config) -> Any:
    """What the ledger says; None where it fails."""
    from workbench.estimate.memory import memory_of
    from workbench.hardware.here import with_memory

    try:
        return memory_of(config, with_memory(None))
    except Exception:  # noqa: BLE001 - advice on the way out must not hide the failure itself
        return None


def _with(config: Config, edits: dict[str, Any]) -> Config:
    tree = config.model_dump()
    for path, value in edits.items():
        *parents, last = path.split(".")
        inner = tree
        for name in parents:
            inner = inner[name]
        inner[last] = value
    return type(config).model_validate(tree)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

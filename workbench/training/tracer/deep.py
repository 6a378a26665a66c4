"""The peak of a deep network from traces of shallow ones.

Blocks of one kind are alike, so every part of a step grows with their number in a straight line: a
network of two periods of its pattern, and one with a period more, tell the rest. Sharded weights
are fetched for a block while its neighbour computes, so there it takes three, and a block with
neighbours on both sides. Blocks are told apart both from the first and from the last: what
surrounds a block is known from either end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from workbench.estimate.setting import Setting
from workbench.training.tracer.trace import trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.training.tracer.phases import Phase

_SHALLOW, _SHALLOW_SHARDED = 2, 3


class Axis(NamedTuple):
    """A direction to grow in.

    Attributes:
        edits: The shallow network with one step in this direction: ``{key of model: value}``.
        steps: How many steps lead to the whole network.
        stack: The stack of blocks that grows.
        blocks: By how many blocks in a step.
    """

    edits: dict[str, int]
    steps: int
    stack: str
    blocks: int


class Plan(NamedTuple):
    """The networks to trace.

    Attributes:
        edits: The shallow one.
        axes: Where it grows; none where the network is shallow itself.
    """

    edits: dict[str, int]
    axes: tuple[Axis, ...]


def plan_of(config: Config) -> Plan:
    """Which networks tell about a config."""
    model = config.model
    sharded = config.parallel.strategy == "fsdp" or config.deepspeed.enabled
    few = _SHALLOW_SHARDED if sharded else _SHALLOW
    if model.model_type == "t5":
        read = model.num_encoder_layers or model.num_layers
        least = {
            "num_layers": min(few, model.num_layers),
            "num_encoder_layers": min(few, read),
        }
        wanted = {"num_layers": model.num_layers, "num_encoder_layers": read}
        stacks = {"num_layers": "blocks", "num_encoder_layers": "encoder_blocks"}
        return Plan(
            least,
            tuple(
                Axis(least | {key: least[key] + 1}, wanted[key] - least[key], stacks[key], 1)
                for key in wanted
                if wanted[key] > least[key]
            ),
        )
    layers, period, first = model.num_layers, 1, 0
    if model.num_experts > 1:
        period = model.moe.dense_layer_interval or 1
        first = model.moe.num_dense_layers
    # A whole number of periods is left out.
    shallow = first + (layers - first) % period + few * period
    if shallow + period >= layers:
        return Plan({"num_layers": layers}, ())
    grown = {"num_layers": shallow + period}
    steps = (layers - shallow) // period
    return Plan({"num_layers": shallow}, (Axis(grown, steps, "blocks", period),))


def peaks_of(
    shallow: dict[Phase, int], grown: Iterable[tuple[Axis, dict[Phase, int]]]
) -> dict[str, int]:
    """The largest moments of the whole network's phases, seen from both ends.

    Args:
        shallow: Those of the shallow network.
        grown: Those of the networks with one step more, each with its direction.
    """
    grown = list(grown)
    last = {stack: _last(shallow, stack) for stack in {phase.stack for phase in shallow}}
    found: dict[str, int] = {}
    for phase, bytes_ in shallow.items():
        for from_end in (False, True):
            if phase.stack and not from_end and phase.block == last[phase.stack]:
                continue  # the last block's phase is also the loss's: it has no place in the middle
            if from_end and (not phase.stack or phase.block < 1):
                continue  # nothing comes before the first block, which is so in no middle either
            total = bytes_
            for axis, peaks in grown:
                same = phase
                if from_end and axis.stack == phase.stack:
                    same = phase._replace(block=phase.block + axis.blocks)
                total += axis.steps * (peaks.get(same, bytes_) - bytes_)
            name = _name(phase, from_end=from_end, last=last.get(phase.stack, 0))
            found[name] = max(total, found.get(name, 0))
    return found


def trace_deep(config: Config, hardware: HardwareProfile | None) -> dict[str, Any]:
    """The peak of a plan with its parts, JSON-ready; what is shallow is traced whole."""
    plan = plan_of(config)
    shallow = _phases(edited(config, plan.edits), hardware)
    grown = [(axis, _phases(edited(config, axis.edits), hardware)) for axis in plan.axes]
    depths = [plan.edits, *(axis.edits for axis in plan.axes)]
    words = " and ".join("+".join(str(depth) for depth in each.values()) for each in depths)
    return answer_of(peaks_of(shallow, grown), f"{words} layers" if plan.axes else "all layers")


def answer_of(moments: dict[str, int], traced: str) -> dict[str, Any]:
    """The largest of the moments, and all of them."""
    moment = max(moments, key=lambda name: moments[name])
    return {"peak": moments[moment], "moment": moment, "moments": moments, "traced": traced}


def _phases(config: Config, hardware: HardwareProfile | None) -> dict[Phase, int]:
    setting = Setting.of(config, hardware)
    return trace(
        config,
        compute_dtype=torch.bfloat16 if setting.width == 2 else torch.float32,
        recompute=setting.recompute,
        cpu=setting.cpu,
        phases=True,
    ).phases


def _last(peaks: dict[Phase, int], stack: str) -> int:
    return max(phase.block for phase in peaks if phase.stack == stack)


def _name(phase: Phase, *, from_end: bool, last: int) -> str:
    way = "backward" if phase.backward else "forward"
    if not phase.stack:
        return "update" if phase.backward else "before the blocks"
    if phase.block < 0:
        return "before the blocks, backward"
    if phase.block == last and not phase.backward:
        return "last block forward, loss, last block backward"
    name = phase.stack.removesuffix("s").replace("_", " ")
    if from_end:
        return f"{name} {last - phase.block} before the last, {way}"
    return f"{name} {phase.block + 1}, {way}"


def edited(config: Config, edits: dict[str, Any]) -> Config:
    """The config with another depth."""
    model = config.model.model_copy(update=edits)
    return config.model_copy(update={"model": model})

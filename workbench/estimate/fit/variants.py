"""What a search may change beside the micro-batch: each combination is one variant of the plan.

Only what the trainer honours is among them, and only what means something on the devices of the
plan; whether the rules accept a variant is asked when it is about to be proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.config.keys import keys
from workbench.config.offload import optimizer_place, parameters_place
from workbench.estimate.fit.edits import changed, effective
from workbench.estimate.fit.pace import recomputation
from workbench.estimate.setting import Setting
from workbench.estimate.traffic import engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.fit.result import Limits

Edits = dict[str, Any]
Sharding = tuple[str, int, Edits]

# Where DeepSpeed's third stage can keep optimizer and parameters, the nearest first.
_STAGE_3_PLACES = (
    ("none", "none"),
    ("cpu", "none"),
    ("cpu", "cpu"),
    ("nvme", "none"),
    ("nvme", "cpu"),
    ("nvme", "nvme"),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A combination of changes.

    Attributes:
        sharding: The name of what divides the training, ``ZeRO 3, optimizer on cpu``.
        recompute: What the backward pass computes again.
        edits: What it sets, the micro-batch apart.
        config: The plan with these edits.
        frugality: How little it takes, by its kind alone: 0 takes most.
        group: What it shares with the variants that differ in recomputation alone.
    """

    sharding: str
    recompute: str
    edits: Edits
    config: Config
    frugality: int
    group: str


def variants(config: Config, hardware: HardwareProfile | None, limits: Limits) -> list[Variant]:
    """All combinations, the plan's own first."""
    choices = product(
        shardings(config, hardware, limits),
        _recomputations(config, limits),
        _precisions(config, hardware, limits),
        _optimizers(config, limits),
    )
    found: dict[tuple[tuple[str, Any], ...], Variant] = {}
    for sharding, (recompute, again), precision, optimizer in choices:
        name, rank, shards = sharding
        edits = effective(config, shards | again | precision | optimizer)
        key = tuple(sorted(edits.items()))
        frugality = 4 * rank + ("none", "selective", "block").index(recompute)
        if key not in found:
            group = " · ".join((name, *precision.values(), *optimizer.values()))
            one = changed(config, edits)
            found[key] = Variant(name, recompute, edits, one, frugality, group)
    return list(found.values())


def sharding_name(config: Config) -> str:
    """What divides a plan, as the table of proposals says it."""
    engine = engine_of(config)
    if engine == "deepspeed":
        section = config.deepspeed
        places = optimizer_place(section), parameters_place(section)
        return _zero_name(section.zero_stage, *places)
    if engine == "fsdp":
        return _fsdp_name(config.fsdp.sharding_strategy, cpu=config.fsdp.cpu_offload)
    return {"ddp": "DDP", "single": "one device"}[engine]


def _zero_name(stage: int, optimizer: str, parameters: str) -> str:
    away = [
        f"{what} on {place}"
        for what, place in (("optimizer", optimizer), ("parameters", parameters))
        if place != "none"
    ]
    if optimizer == parameters != "none":
        away = [f"all on {optimizer}"]
    return ", ".join([f"ZeRO {stage}", *away])


def _fsdp_name(kind: str, *, cpu: bool) -> str:
    return f"FSDP {kind.replace('_', ' ')}" + (", all on cpu" if cpu else "")


def shardings(config: Config, hardware: HardwareProfile | None, limits: Limits) -> list[Sharding]:
    """(name, how little it takes, edits) of each way to divide the training; the plan's first."""
    own = sharding_name(config)
    if hardware is None or hardware.kind == "cpu":
        limits = replace(limits, offload=False)  # a CPU's memory is the host's
    found: dict[str, Sharding] = {}
    for each in _all_shardings(config, limits):
        found.setdefault(each[0], each)
    mine = found.pop(own, (own, 0, {}))
    others = list(found.values()) if limits.sharding else []
    if not limits.sharding and limits.offload:
        # The same engine and stage, with another place for what it holds.
        others = [each for name, each in found.items() if name.split(",")[0] == own.split(",")[0]]
    return [(own, mine[1], {}), *others]


def _all_shardings(config: Config, limits: Limits) -> Iterator[Sharding]:
    several = Degrees.of(config).devices > 1
    off: Edits = {"deepspeed.enabled": False}
    if not several:
        yield "one device", 0, off | _strategy(config, "single")
    else:
        yield "DDP", 0, off | _strategy(config, "ddp")
        kinds = {"shard_grad_op": 3, "full": 5}
        if config.parallel.num_nodes > 1:
            kinds["hybrid"] = 4
        for kind, rank in kinds.items():
            for cpu in (False, True) if limits.offload else (False,):
                edits = {"fsdp.sharding_strategy": kind, "fsdp.cpu_offload": cpu}
                yield (
                    _fsdp_name(kind, cpu=cpu),
                    rank + 4 * cpu,
                    off | _strategy(config, "fsdp") | edits,
                )
    for stage in (0, 1, 2, 3) if several else (1, 2, 3):
        for places in _places(config, stage, limits):
            if not several and places == ("none", "none"):
                continue  # nothing to shard, nowhere to go
            away = sum(("none", "cpu", "nvme").index(place) for place in places)
            edits = _strategy(config, "deepspeed") | {"deepspeed.zero_stage": stage}
            moved = _moved(config, stage, places)
            yield _zero_name(stage, *places), stage + 1 + 2 * away, edits | moved


def _strategy(config: Config, engine: str) -> Edits:
    """``parallel.strategy`` for an engine; ``auto`` wherever it comes to the same."""
    edits: Edits = {"deepspeed.enabled": engine == "deepspeed"}
    if config.parallel.strategy != engine:
        edits["parallel.strategy"] = "fsdp" if engine == "fsdp" else "auto"
    return edits


def _places(config: Config, stage: int, limits: Limits) -> Iterator[tuple[str, str]]:
    """Where optimizer and parameters can be; a drive only where the plan says which."""
    section = config.deepspeed
    drives = {
        "optimizer": section.offload_optimizer.nvme_path,
        "parameters": section.offload_param.nvme_path,
    }
    yield "none", "none"
    if not limits.offload or not stage:
        return
    if stage < 3:
        yield "cpu", "none"
        return
    for optimizer, parameters in _STAGE_3_PLACES[1:]:
        if optimizer == "nvme" and drives["optimizer"] is None:
            continue
        if parameters == "nvme" and drives["parameters"] is None:
            continue
        yield optimizer, parameters


def _moved(config: Config, stage: int, places: tuple[str, str]) -> Edits:
    """The edits that move optimizer and parameters; none where they are there already."""
    section = config.deepspeed.model_copy(update={"zero_stage": stage})
    idle = stage < 3 and section.offload_param.device not in (None, "none")
    if (optimizer_place(section), parameters_place(section)) == places and not idle:
        return {}
    edits: Edits = {
        "deepspeed.cpu_offload": False,
        "deepspeed.nvme_offload": False,
        "deepspeed.offload_optimizer.device": places[0],
        "deepspeed.offload_param.device": places[1],
    }
    if places[1] == "nvme":  # else weights that wait keep the buffers in front of the drive
        edits["deepspeed.stage3_max_reuse_distance"] = 0
    return edits


def _recomputations(config: Config, limits: Limits) -> list[tuple[str, Edits]]:
    own = recomputation(config)
    found: list[tuple[str, Edits]] = [(own, {})]
    for kind in ("none", "selective", "block") if limits.recompute else ():
        if kind == own:
            continue
        edits: Edits = {"training.gradient_checkpointing": kind != "none"}
        if kind != "none":
            edits["training.gradient_checkpointing_kind"] = kind
        found.append((kind, edits))
    return found


def _precisions(config: Config, hardware: HardwareProfile | None, limits: Limits) -> list[Edits]:
    """The plan's own, and where that is none for a GPU's matrix units, the one that is.

    bf16 where they have it, which needs no care; else fp16, with its loss scaling. A device that
    only imitates the plan's bf16 is nobody's choice.
    """
    if not limits.precision or hardware is None or hardware.kind == "cpu":
        return [{}]
    now = Setting.of(config, hardware).precision
    better = next((each for each in ("bf16", "fp16") if hardware.computes(each)), now)
    if now == better:
        return [{}]
    other: Edits = {"training.mixed_precision": better}
    return [other] if now == "bf16" else [{}, other]


def _optimizers(config: Config, limits: Limits) -> list[Edits]:
    honoured = keys()["training.optimizer"]
    return [
        {},
        *(
            {"training.optimizer": name}
            for name in limits.optimizers
            if name != config.training.optimizer and honoured.why_unhonoured(name) is None
        ),
    ]

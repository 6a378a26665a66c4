"""Rules about device memory that follow from the number of parameters alone.

They speak of what no setting of the batch can change: weights, gradients and optimizer state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import units
from workbench.config.degrees import Degrees
from workbench.config.offload import optimizer_place, parameters_place
from workbench.config.rules.base import Problem, Repair, Subject, put, rule
from workbench.config.size import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config

_STATE_BYTES = {"lion": 4, "sgd": 0, "muon": 4, "adafactor": 0, "adagrad": 4}
"""Optimizer bytes per parameter at least; the others keep two fp32 averages."""


def resident_bytes(config: Config) -> float:
    """Bytes of weights, gradients and optimizer on one device, at least.

    16-bit weights and gradients count with their fp32 copies; DeepSpeed and FSDP shard what they
    shard. Adapters train alone beside weights in 16 or 4 bits.
    """
    degrees, state = Degrees.of(config), _STATE_BYTES.get(config.training.optimizer, 8)
    whole = size_of(config.model).total / (degrees.tensor * degrees.pipeline)
    share, local = whole / degrees.sharded, _local(config) / (degrees.tensor * degrees.pipeline)
    deepspeed, fsdp = config.deepspeed, config.fsdp
    if config.lora.enabled:
        return share * (0.5 if config.lora.load_in_4bit else 2)
    if deepspeed.enabled:
        stage, half = deepspeed.zero_stage, config.training.mixed_precision != "no"
        each = 2 if half else 4
        away = optimizer_place(deepspeed) != "none"
        optimizer = (share if stage > 0 else local) * (state + (4 if half else 0))
        gradients = (share if stage > 1 else local) * each
        weights = (share if stage > 2 else local) * each
        if parameters_place(deepspeed) != "none":
            weights = 0
        if away:
            optimizer, gradients = 0, 0 if stage > 1 else gradients
        return optimizer + gradients + weights
    if config.parallel.strategy in ("fsdp", "auto") and fsdp.sharding_strategy != "no_shard":
        if fsdp.cpu_offload:
            return 0
        if fsdp.sharding_strategy == "hybrid":
            share = whole / min(degrees.sharded, config.parallel.devices_per_node)
        return share * (8 + state)
    return local * (8 + state)


def _local(config: Config) -> float:
    """Parameters on one device when nothing is sharded but the experts."""
    size, model = size_of(config.model), config.model
    idle = model.num_experts - model.num_experts_per_token
    if idle <= 0:
        return size.total
    experts = (size.total - size.active) / idle * model.num_experts
    return size.total - experts + experts / config.parallel.expert_parallel_size


def _zero_3_on_device(config: Config) -> bool:
    """Whether ZeRO-3 keeps its shards on the devices."""
    deepspeed = config.deepspeed
    return deepspeed.enabled and deepspeed.zero_stage == 3 and optimizer_place(deepspeed) == "none"


@rule("zero-3-small-card", "warning")
def zero_3_small_card(subject: Subject) -> Iterator[Problem]:
    """ZeRO-3 without cpu_offload leaves half of the card for activations."""
    config, hardware = subject.config, subject.hardware
    if hardware is None or hardware.memory_bytes is None or not _zero_3_on_device(config):
        return
    taken = resident_bytes(config) + 4 * size_of(config.model).block  # one block is fetched whole
    if taken > hardware.memory_bytes / 2:
        yield Problem(
            "deepspeed.zero_stage",
            f"ZeRO-3 without cpu_offload keeps about {units.size(taken)} on each "
            f"{hardware.title} ({units.size(hardware.memory_bytes)}) before any activation",
            (_offload(subject),),
        )


def _offload(subject: Subject) -> Repair:
    """The repair that moves the optimizer to host memory; a device that is named decides."""
    title, values = put("deepspeed.cpu_offload", True)
    if subject.config.deepspeed.offload_optimizer.device is not None:
        values["deepspeed.offload_optimizer.device"] = "cpu"
    return title, values


@rule("zero-3-not-needed", "hint")
def zero_3_not_needed(subject: Subject) -> Iterator[Problem]:
    """ZeRO-3 fetches every layer over the network; a small model does without."""
    config, hardware = subject.config, subject.hardware
    if hardware is None or hardware.memory_bytes is None or not _zero_3_on_device(config):
        return
    whole = 16 * size_of(config.model).total
    if whole < hardware.memory_bytes / 10 and config.run.objective != "test":
        yield Problem(
            "deepspeed.zero_stage",
            f"weights, gradients and optimizer take {units.size(whole)} of "
            f"{units.size(hardware.memory_bytes)} in all: ZeRO-3 would fetch every layer over the "
            "network for nothing",
            (put("deepspeed.zero_stage", 1),),
        )


@rule("model-exceeds-device", "warning")
def model_exceeds_device(subject: Subject) -> Iterator[Problem]:
    """Weights, gradients and optimizer fit the device's memory."""
    config, hardware = subject.config, subject.hardware
    if hardware is None or hardware.memory_bytes is None or config.model.model_type == "t5":
        return
    needed = resident_bytes(config)
    # With ZeRO-3 on the devices zero-3-small-card says it.
    if needed > hardware.memory_bytes and not _zero_3_on_device(config):
        total = size_of(config.model).total
        yield Problem(
            subject.blame(
                "model.num_layers", "model.hidden_size", "model.num_experts", "run.hardware"
            ),
            f"{units.count(total)} parameters need {units.size(needed)} on each device for "
            f"weights, gradients and optimizer; {hardware.title} has "
            f"{units.size(hardware.memory_bytes)}",
        )

"""Rules about devices and what is divided among them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.config.rules.base import Problem, Repair, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_TRIED = (
    4096  # devices, heads and experts are counted in thousands; a number typed wrong may not be
)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` up to `limit`, where it is not far to find."""
    return _largest(min(number, limit), lambda n: number % n == 0)


def counted(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits; 1 does."""
    near = range(limit, max(1, limit - _TRIED), -1)
    small = range(min(limit, _TRIED), 1, -1)
    return next((n for n in (*near, *small) if fits(n)), 1)


@rule("world-size", "error")
def world_size(subject: Subject) -> Iterator[Problem]:
    """Nodes x devices per node = data x tensor x pipeline x context degree."""
    degrees, parallel = Degrees.of(subject.config), subject.config.parallel
    needed = degrees.model * (1 if degrees.asked is None else degrees.asked)
    exact = degrees.devices == needed
    if exact or (degrees.asked is None and degrees.devices % degrees.model == 0):
        return
    if degrees.asked == 0:
        message = "a data-parallel degree of 0 leaves nobody to train"
    else:
        data = f"{degrees.asked} data × " if degrees.asked is not None else ""
        message = (
            f"{data}{degrees.tensor} tensor × {degrees.pipeline} pipeline × {degrees.context} "
            f"context = {needed}, but {counted(parallel.num_nodes, 'node')} × "
            f"{counted(parallel.devices_per_node, 'device')} = {degrees.devices}"
        )
        if degrees.asked is None:
            message += f", which is no multiple of {needed}"
    fixes: list[Repair] = []
    if degrees.asked is not None and degrees.devices % degrees.model == 0:
        fixes.append(put("parallel.data_parallel_size", degrees.devices // degrees.model))
    if needed and needed % parallel.num_nodes == 0:
        fixes.append(put("parallel.devices_per_node", needed // parallel.num_nodes))
    yield Problem(
        subject.blame(
            "parallel.data_parallel_size",
            "parallel.tensor_parallel_size",
            "parallel.pipeline_parallel_size",
            "parallel.context_parallel_size",
            "parallel.devices_per_node",
            "parallel.num_nodes",
        ),
        message,
        tuple(fixes),
    )


@rule("expert-parallel-divides-data", "error")
def expert_parallel_divides_data(subject: Subject) -> Iterator[Problem]:
    """expert_parallel_size divides the data-parallel degree: experts live inside it."""
    degrees, size = Degrees.of(subject.config), subject.config.parallel.expert_parallel_size
    experts = subject.config.model.num_experts
    if degrees.data % size:
        fitting = _largest(size, lambda n: degrees.data % n == 0 == experts % n)
        yield Problem(
            "parallel.expert_parallel_size",
            f"{size} expert-parallel devices do not divide the data-parallel degree "
            f"{degrees.data} that they are taken from",
            (put("parallel.expert_parallel_size", fitting),),
        )


@rule("expert-parallel-divides-experts", "error")
def expert_parallel_divides_experts(subject: Subject) -> Iterator[Problem]:
    """num_experts is a multiple of expert_parallel_size."""
    experts, size = subject.config.model.num_experts, subject.config.parallel.expert_parallel_size
    data = Degrees.of(subject.config).data
    if experts % size == 0:
        return
    message = f"{experts} experts cannot be shared evenly by {size} devices"
    if experts == 1:
        message = f"there are no experts for {size} devices to share: num_experts is 1"
    fitting = _largest(size, lambda n: data % n == 0 == experts % n)
    yield Problem(
        "parallel.expert_parallel_size", message, (put("parallel.expert_parallel_size", fitting),)
    )


@rule("tensor-parallel-divides-heads", "error")
def tensor_parallel_divides_heads(subject: Subject) -> Iterator[Problem]:
    """Attention heads, key/value heads and widths are multiples of tensor_parallel_size."""
    model, size = subject.config.model, subject.config.parallel.tensor_parallel_size
    shared = {
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads or model.num_attention_heads,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
    }
    uneven = {name: value for name, value in shared.items() if value % size}
    if uneven:
        told = ", ".join(f"{name} {value}" for name, value in uneven.items())
        fitting = _largest(
            size, lambda n: size % n == 0 and all(value % n == 0 for value in shared.values())
        )
        yield Problem(
            "parallel.tensor_parallel_size",
            f"{size} tensor-parallel devices cannot share evenly: {told}",
            (_degree("parallel.tensor_parallel_size", fitting, subject),),
        )


def _degree(path: str, value: int, subject: Subject) -> Repair:
    """The repair that sets a degree and lets the data-parallel one follow."""
    title, values = put(path, value)
    if subject.config.parallel.data_parallel_size is not None:
        values["parallel.data_parallel_size"] = None
    return title, values


@rule("tensor-parallel-divides-vocabulary", "warning")
def tensor_parallel_divides_vocabulary(subject: Subject) -> Iterator[Problem]:
    """vocab_size is a multiple of tensor_parallel_size, or one device holds more of the logits."""
    vocabulary, size = subject.config.model.vocab_size, subject.config.parallel.tensor_parallel_size
    if vocabulary % size:
        padded = -(-vocabulary // size) * size
        yield Problem(
            subject.blame("model.vocab_size", "parallel.tensor_parallel_size"),
            f"a vocabulary of {vocabulary:,} cannot be shared evenly by {size} devices; unused "
            "tokens may fill it up",
            (put("model.vocab_size", padded),),
        )


@rule("tensor-parallel-within-node", "warning")
def tensor_parallel_within_node(subject: Subject) -> Iterator[Problem]:
    """tensor_parallel_size stays within a node: it exchanges data in every layer."""
    parallel = subject.config.parallel
    size, local = parallel.tensor_parallel_size, parallel.devices_per_node
    if parallel.num_nodes > 1 and size > local:
        yield Problem(
            "parallel.tensor_parallel_size",
            f"{size} tensor-parallel devices reach over nodes of {local}; every layer then waits "
            "for the network",
            (_degree("parallel.tensor_parallel_size", local, subject),),
        )


@rule("pipeline-divides-layers", "error")
def pipeline_divides_layers(subject: Subject) -> Iterator[Problem]:
    """num_layers is a multiple of pipeline_parallel_size, or blocks_per_rank adds up to it."""
    layers, parallel = subject.config.model.num_layers, subject.config.parallel
    stages, blocks = parallel.pipeline_parallel_size, parallel.blocks_per_rank
    if stages == 1:
        return
    fitting = _largest(stages, lambda n: stages % n == 0 == layers % n)
    fewer = _degree("parallel.pipeline_parallel_size", fitting, subject)
    if stages > layers:
        yield Problem(
            "parallel.pipeline_parallel_size",
            f"{layers} layers are too few for {stages} pipeline stages: each needs at least one",
            (fewer,),
        )
    elif blocks is None and layers % stages:
        yield Problem(
            "parallel.pipeline_parallel_size",
            f"{layers} layers cannot be divided evenly among {stages} pipeline stages",
            (*_uneven(layers, stages), fewer),
        )
    elif blocks is not None and (len(blocks) != stages or sum(blocks) != layers or min(blocks) < 1):
        yield Problem(
            "parallel.blocks_per_rank",
            f"blocks_per_rank has {len(blocks)} parts with {sum(blocks)} blocks in all; it needs "
            f"{stages} parts, none empty, with {layers} blocks",
            tuple(_uneven(layers, stages)),
        )


def _uneven(layers: int, stages: int) -> Iterator[Repair]:
    """The repair that gives the first stages one block more."""
    if stages <= _TRIED:
        base, more = divmod(layers, stages)
        blocks = [base + 1] * more + [base] * (stages - more)
        yield put("parallel.blocks_per_rank", blocks)


@rule("pipeline-needs-micro-batches", "warning")
def pipeline_needs_micro_batches(subject: Subject) -> Iterator[Problem]:
    """Accumulation has at least as many micro-batches as the pipeline has stages."""
    stages = subject.config.parallel.pipeline_parallel_size
    steps = subject.config.training.gradient_accumulation_steps
    if steps < stages and stages > 1:
        idle = (stages - 1) / (stages - 1 + steps)
        yield Problem(
            subject.blame(
                "training.gradient_accumulation_steps", "parallel.pipeline_parallel_size"
            ),
            f"{stages} pipeline stages are idle for {idle:.0%} of the time with "
            f"{steps} micro-batch{'' if steps == 1 else 'es'} (arXiv 1811.06965)",
            (put("training.gradient_accumulation_steps", 4 * stages),),
        )


@rule("context-parallel-divides-sequence", "error")
def context_parallel_divides_sequence(subject: Subject) -> Iterator[Problem]:
    """data.max_length is a multiple of context_parallel_size."""
    length, size = subject.config.data.max_length, subject.config.parallel.context_parallel_size
    if length % size:
        yield Problem(
            subject.blame("parallel.context_parallel_size", "data.max_length"),
            f"a sequence of {length} tokens cannot be shared evenly by {size} devices",
            (put("data.max_length", -(-length // size) * size),),
        )


@rule("mesh-holds-devices", "error")
def mesh_holds_devices(subject: Subject) -> Iterator[Problem]:
    """The numbers of mesh_shape multiply to nodes x devices per node."""
    mesh, devices = subject.config.parallel.mesh_shape, Degrees.of(subject.config).devices
    if mesh is not None and (prod(mesh) != devices or min(mesh, default=0) < 1):
        yield Problem(
            "parallel.mesh_shape",
            f"a mesh of {mesh} holds {prod(mesh) if mesh else 0} devices, the plan has {devices}",
            (put("parallel.mesh_shape", None),),
        )


@rule("mesh-agrees", "warning")
def mesh_agrees(subject: Subject) -> Iterator[Problem]:
    """A mesh with two dimensions means data x model parallelism, and the degrees say the same."""
    mesh, degrees = subject.config.parallel.mesh_shape, Degrees.of(subject.config)
    if mesh is None or prod(mesh) != degrees.devices or sum(size > 1 for size in mesh) < 2:
        return
    if mesh[-1] != degrees.model:
        row = [1, degrees.devices]
        yield Problem(
            "parallel.mesh_shape",
            f"a mesh of {mesh} puts {mesh[-1]} devices on one copy of the model, the degrees put "
            f"{degrees.model}",
            (put("parallel.mesh_shape", row if degrees.model == 1 else None),),
        )


@rule("mesh-exists", "warning")
def mesh_exists(subject: Subject) -> Iterator[Problem]:
    """mesh_shape is one that the hardware is built in."""
    mesh, hardware = subject.config.parallel.mesh_shape, subject.hardware
    if mesh is None or hardware is None or not hardware.meshes:
        return
    known = [list(shape) for shape in hardware.meshes]
    if mesh not in known:
        yield Problem(
            "parallel.mesh_shape",
            f"{hardware.title} has no mesh of {mesh}; it comes as {', '.join(map(str, known))}",
            tuple(
                put("parallel.mesh_shape", shape) for shape in known if prod(shape) == prod(mesh)
            ),
        )


@rule("strategy-agrees", "error")
def strategy_agrees(subject: Subject) -> Iterator[Problem]:
    """parallel.strategy and deepspeed.enabled name the same engine."""
    strategy, enabled = subject.config.parallel.strategy, subject.config.deepspeed.enabled
    if enabled and strategy not in ("auto", "deepspeed"):
        yield Problem(
            subject.blame("parallel.strategy", "deepspeed.enabled"),
            f"strategy {strategy} and deepspeed.enabled: true name two engines",
            (put("parallel.strategy", "deepspeed"), put("deepspeed.enabled", False)),
        )
    elif strategy == "deepspeed" and not enabled:
        yield Problem(
            "parallel.strategy",
            "strategy deepspeed needs the DeepSpeed engine, which is turned off",
            (put("deepspeed.enabled", True), put("parallel.strategy", "auto")),
        )


@rule("parallel-on-one-device", "warning")
def parallel_on_one_device(subject: Subject) -> Iterator[Problem]:
    """Strategies ddp and fsdp divide work among devices; on one device they only cost time."""
    strategy, parallel = subject.config.parallel.strategy, subject.config.parallel
    if strategy in ("ddp", "fsdp") and Degrees.of(subject.config).devices == 1:
        mesh = f" (mesh {parallel.mesh_shape})" if parallel.mesh_shape else ""
        yield Problem(
            "parallel.strategy",
            f"there is one device{mesh}, so {strategy} has nothing to divide",
            (put("parallel.strategy", "single"),),
        )


@rule("single-on-several-devices", "error")
def single_on_several_devices(subject: Subject) -> Iterator[Problem]:
    """Strategy single uses one device; the plan has no more."""
    degrees = Degrees.of(subject.config)
    if subject.config.parallel.strategy == "single" and degrees.devices > 1:
        yield Problem(
            "parallel.strategy",
            f"strategy single uses one device, the plan has {degrees.devices}",
            (
                put("parallel.strategy", "auto"),
                (
                    "use one device",
                    {"parallel.num_nodes": 1, "parallel.devices_per_node": 1},
                ),
            ),
        )


@rule("devices-see-same-text", "warning")
def devices_see_same_text(subject: Subject) -> Iterator[Problem]:
    """data.distributed is not turned off on several devices."""
    config = subject.config
    if subject.is_set("data.distributed") and not config.data.distributed:
        copies = Degrees.of(config).data
        if copies > 1:
            yield Problem(
                "data.distributed",
                f"all {copies} data-parallel devices would read the same text, so {copies - 1} of "
                "them add nothing",
                (put("data.distributed", True),),
            )


@rule("devices-on-node", "warning")
def devices_on_node(subject: Subject) -> Iterator[Problem]:
    """devices_per_node is at most what a node of the hardware has."""
    parallel, hardware = subject.config.parallel, subject.hardware
    if hardware is None or hardware.devices_per_node == 1:  # a desktop may hold several cards
        return
    if parallel.devices_per_node > hardware.devices_per_node:
        nodes, rest = divmod(parallel.devices_per_node, hardware.devices_per_node)
        spread = {
            "parallel.num_nodes": parallel.num_nodes * nodes,
            "parallel.devices_per_node": hardware.devices_per_node,
        }
        yield Problem(
            "parallel.devices_per_node",
            f"the usual node with {hardware.title} has {hardware.devices_per_node} devices, not "
            f"{parallel.devices_per_node}",
            () if rest else ((f"use {nodes * parallel.num_nodes} nodes", spread),),
        )


@rule("hybrid-needs-nodes", "hint")
def hybrid_needs_nodes(subject: Subject) -> Iterator[Problem]:
    """fsdp.sharding_strategy hybrid differs from full only on several nodes."""
    config = subject.config
    if config.fsdp.sharding_strategy == "hybrid" and config.parallel.num_nodes == 1:
        yield Problem(
            "fsdp.sharding_strategy",
            "hybrid shards within a node and copies between nodes; on one node it is full",
            (put("fsdp.sharding_strategy", "full"),),
        )


@rule("fsdp-shards-nothing", "warning")
def fsdp_shards_nothing(subject: Subject) -> Iterator[Problem]:
    """fsdp.sharding_strategy no_shard is ddp at the price of fsdp."""
    config = subject.config
    if config.parallel.strategy == "fsdp" and config.fsdp.sharding_strategy == "no_shard":
        yield Problem(
            "fsdp.sharding_strategy",
            "no_shard keeps a whole copy on every device, which ddp does with less traffic",
            (put("parallel.strategy", "ddp"), put("fsdp.sharding_strategy", "full")),
        )

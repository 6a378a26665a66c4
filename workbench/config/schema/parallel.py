"""`parallel`: nodes, devices, and how the work is divided among them."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_NOT_DIVIDED = "the trainer divides the sequences of a step, and not the model, so far"
_ALWAYS_AHEAD = "the strategies that fetch parameters always fetch them ahead"


class ParallelConfig(Section):
    """nodes x devices = data x tensor x pipeline x context degree; expert divides data."""

    strategy: Literal["auto", "single", "ddp", "fsdp", "deepspeed"] = key(
        "auto",
        "What divides the training: ddp copies the model to every device, fsdp shards it, "
        "deepspeed reads the deepspeed section. auto is single on one device and ddp on several, "
        "or deepspeed where deepspeed.enabled says so.",
        changes="memory per device and traffic between devices",
    )
    num_nodes: Whole = key(
        1, "Machines that train together.", unit="nodes", changes="speed and cost", ge=1
    )
    devices_per_node: Whole = key(
        1, "Devices used on each machine.", unit="devices", changes="speed and cost", ge=1
    )
    data_parallel_size: Whole | None = key(
        None,
        "Copies of the model that see different sequences; null or -1 is what the other degrees "
        "leave.",
        unit="devices",
        changes="sequences per step in proportion",
        ge=-1,
    )
    tensor_parallel_size: Whole = key(
        1,
        "Devices that share each matrix; divides the attention heads.",
        unit="devices",
        changes="memory per device; much traffic, so keep it within a node",
        unhonoured=_NOT_DIVIDED,
        ge=1,
    )
    pipeline_parallel_size: Whole = key(
        1,
        "Devices in a row that hold different layers.",
        unit="devices",
        changes="memory per device; idle time at the ends of each step",
        unhonoured=_NOT_DIVIDED,
        ge=1,
    )
    expert_parallel_size: Whole = key(
        1,
        "Devices that share the experts; it divides the data-parallel degree.",
        unit="devices",
        changes="memory of the experts per device; tokens travel to their experts",
        unhonoured=_NOT_DIVIDED,
        ge=1,
    )
    context_parallel_size: Whole = key(
        1,
        "Devices that share one long sequence.",
        unit="devices",
        changes="activation memory per device",
        unhonoured=_NOT_DIVIDED,
        ge=1,
    )
    mesh_shape: list[Whole] | None = key(
        None,
        "Devices as a grid, such as [2, 4] for 2 data-parallel rows of 4 tensor-parallel columns; "
        "null follows from the degrees.",
        unit="devices",
        unhonoured="the grid follows from the degrees and fsdp.sharding_strategy",
    )
    blocks_per_rank: list[Whole] | None = key(
        None,
        "Blocks held by each pipeline device; they add up to model.num_layers. null divides "
        "evenly.",
        unit="blocks",
        ignored="with pipeline_parallel_size: 1",
        unhonoured=_NOT_DIVIDED,
    )
    backend: Literal["auto", "nccl", "gloo", "mpi"] = key(
        "auto", "Library that carries the traffic; auto takes nccl on GPUs and gloo on CPUs."
    )
    launcher: Literal["auto", "torchrun", "deepspeed", "slurm"] = key(
        "auto",
        "What starts the processes; auto takes torchrun for several devices.",
        unhonoured_values={
            "slurm": "a cluster's scheduler starts the processes itself: submit a job that runs "
            "torchrun on each machine"
        },
    )
    hostfile: str | None = key(
        None,
        "File that lists the machines and their devices, one 'name slots=8' per line.",
        ignored="with num_nodes: 1",
    )
    master_addr: str | None = key(
        None, "Name or address of the first machine; null finds it.", ignored="with num_nodes: 1"
    )
    master_port: Whole = key(
        29500,
        "Port on which the processes meet.",
        unit="port number",
        ignored="with one process",
        ge=1,
        le=65535,
    )
    overlap_grad_reduce: bool = key(
        True,
        "Adds up gradients between devices while the backward pass goes on, instead of all at its "
        "end. With DeepSpeed deepspeed.overlap_comm says so.",
        changes="speed; false needs a second copy of the gradients for a moment",
        ignored="unless the strategy is ddp",
    )
    overlap_param_gather: bool = key(
        True,
        "Fetches the next parameters while the present ones compute.",
        changes="speed; memory",
        unhonoured=_ALWAYS_AHEAD,
    )
    use_deep_ep: bool = key(
        False,
        "Sends tokens to experts by DeepEP's kernels instead of plain all-to-all.",
        changes="speed on Hopper and later",
        ignored="with expert_parallel_size: 1",
        unhonoured=_NOT_DIVIDED,
    )
    deep_ep_fp8: bool = key(
        False,
        "Sends tokens to their experts in 8 bits.",
        changes="half the traffic to the experts",
        needs="parallel.use_deep_ep",
        unhonoured=_NOT_DIVIDED,
    )
    deep_ep_async: bool = key(
        False,
        "Computes something else while tokens travel to their experts.",
        changes="speed; memory for what is under way",
        needs="parallel.use_deep_ep",
        unhonoured=_NOT_DIVIDED,
    )

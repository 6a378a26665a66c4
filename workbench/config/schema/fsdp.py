"""`fsdp`: PyTorch's fully sharded data parallelism."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class FsdpConfig(Section):
    """What is sharded, and when it is fetched; parallel.strategy: fsdp turns it on."""

    NEEDS = "parallel.strategy=fsdp"

    sharding_strategy: Literal["full", "hybrid", "shard_grad_op", "no_shard"] = key(
        "full",
        "full shards parameters, gradients and optimizer over all devices; hybrid over those of a "
        "node; shard_grad_op leaves the parameters whole.",
        changes="memory per device against traffic",
    )
    reshard_after_forward: bool = key(
        True,
        "Gives fetched parameters back after the forward pass and fetches them again.",
        changes="memory against traffic",
    )
    cpu_offload: bool = key(
        False,
        "Keeps parameters, gradients and optimizer in host memory.",
        changes="device memory against much slower steps",
    )
    offload_activations: bool = key(
        False,
        "Moves activations to host memory until the backward pass needs them.",
        changes="device memory against traffic",
    )
    activation_loading_horizon: Whole = key(
        2,
        "Layers ahead of time that they are fetched back.",
        unit="layers",
        needs="fsdp.offload_activations",
        unhonoured="activations are fetched back when the backward pass needs them",
        ge=1,
    )
    param_dtype: Literal["fp32", "bf16", "fp16"] | None = key(
        None,
        "Format in which the parameters of blocks are fetched; null follows "
        "training.mixed_precision.",
        changes="traffic and memory against accuracy",
    )
    reduce_dtype: Literal["fp32", "bf16", "fp16"] = key(
        "fp32", "Format in which gradients are added up between devices.", changes="traffic"
    )
    limit_all_gathers: bool = key(
        True,
        "Lets the host not run more than two layers ahead.",
        changes="peak memory",
        unhonoured="the second generation of FSDP frees a block's parameters in time without it",
    )
    backward_prefetch: Literal["backward_pre", "backward_post", "none"] = key(
        "backward_pre",
        "When the next layer is fetched in the backward pass.",
        changes="speed against memory",
        unhonoured_values=dict.fromkeys(
            ("backward_post", "none"),
            "the second generation of FSDP always fetches the next layer before it is needed",
        ),
    )

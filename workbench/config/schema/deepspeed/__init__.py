"""`deepspeed`: Microsoft's engine: ZeRO sharding, offload and communication."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import Section, Whole, key
from workbench.config.schema.deepspeed.activation_checkpointing import (
    ActivationCheckpointingConfig,
)
from workbench.config.schema.deepspeed.aio import AioConfig
from workbench.config.schema.deepspeed.bf16 import Bf16Config
from workbench.config.schema.deepspeed.offload_optimizer import OffloadOptimizerConfig
from workbench.config.schema.deepspeed.offload_param import OffloadParamConfig
from workbench.config.schema.deepspeed.one_bit import OneBitConfig

_STAGE_3 = "unless zero_stage is 3"
_BELOW_1 = "with zero_stage: 0"
_ELEMENTS = "elements"
_REMOVED = "DeepSpeed removed it in release 0.19.8"
_OWN_CHECKPOINTS = (
    "checkpoints are the trainer's own: whole tensors in fp32, whatever the stage and the devices"
)


class DeepspeedConfig(Section):
    """Batch, optimizer, schedule and precision are those of the training section."""

    NEEDS = "deepspeed.enabled"

    enabled: bool = key(
        False,
        "Trains with the DeepSpeed engine.",
        changes="what is sharded, and where it is kept",
    )
    config_file: str | None = key(
        None, "A DeepSpeed JSON file to take the settings from; null writes one from this section."
    )
    zero_stage: Whole = key(
        0,
        "What is sharded over the data-parallel devices: 1 the optimizer, 2 also gradients, 3 also "
        "parameters, 0 nothing.",
        unit="stage",
        changes="memory per device: the sharded part shrinks with the number of devices",
        ge=0,
        le=3,
    )
    cpu_offload: bool = key(
        False,
        "Keeps the optimizer (and with stage 3 the parameters) in host memory and updates there.",
        changes="device memory against host memory and slower steps",
        ignored=_BELOW_1,
    )
    nvme_offload: bool = key(
        False,
        "Keeps them on NVMe drives instead; needs cpu_offload as the way through.",
        changes="host memory against much slower steps",
        ignored=_STAGE_3,
    )
    allgather_partitions: bool = key(
        True,
        "Fetches updated parameters with one all-gather instead of many broadcasts.",
        changes="speed",
        ignored=_BELOW_1,
    )
    allgather_bucket_size: Whole = key(
        500_000_000,
        "Parameter elements fetched from the other devices at once.",
        unit=_ELEMENTS,
        changes="memory (4 bytes each) against speed",
        ignored=_BELOW_1,
        ge=1,
    )
    reduce_scatter: bool = key(
        True,
        "Adds up gradients with reduce-scatter instead of all-reduce.",
        changes="traffic",
        ignored=_BELOW_1,
    )
    reduce_bucket_size: Whole = key(
        500_000_000,
        "Gradient elements added up at once.",
        unit=_ELEMENTS,
        changes="memory (about 2 x 4 bytes each with overlap_comm) against speed",
        ignored=_BELOW_1,
        ge=1,
    )
    overlap_comm: bool | None = key(
        None,
        "Adds up gradients while the backward pass goes on; null means only with stage 3.",
        changes="speed against memory for a second bucket",
        ignored=_BELOW_1,
    )
    contiguous_gradients: bool = key(
        True,
        "Copies gradients into one buffer as they come, against fragmented memory.",
        changes="memory",
        ignored=_BELOW_1,
    )
    use_multi_rank_bucket_allreduce: bool = key(
        True, "Adds up the shards of several devices in one exchange.", changes="speed"
    )
    round_robin_gradients: bool = key(
        False,
        "Deals gradients out in turns, so that copies to the host run in parallel.",
        changes="speed with cpu_offload",
        ignored="unless zero_stage is 2",
    )
    ignore_unused_parameters: bool = key(
        True, "Lets parameters take no part in a step instead of stopping."
    )
    load_from_fp32_weights: bool = key(
        True,
        "Starts the fp32 weights from the checkpoint's fp32 copy rather than its 16-bit one.",
        unhonoured=_OWN_CHECKPOINTS,
    )
    elastic_checkpoint: bool = key(
        False,
        "Writes checkpoints that another number of devices can load.",
        changes="files",
        unhonoured=_OWN_CHECKPOINTS,
    )
    sub_group_size: Whole = key(
        1_000_000_000,
        "Parameters updated at once by the optimizer.",
        unit="parameters",
        changes="host memory with NVMe offload",
        ignored=_STAGE_3,
        ge=1,
    )
    stage3_prefetch_bucket_size: Whole = key(
        50_000_000,
        "Parameter elements fetched ahead of their use.",
        unit=_ELEMENTS,
        changes="speed against memory",
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_param_persistence_threshold: Whole = key(
        100_000,
        "Parameters with fewer elements stay on every device.",
        unit=_ELEMENTS,
        changes="memory against many small messages",
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_model_persistence_threshold: Whole | None = key(
        None,
        "Elements that may stay on every device in all; null sets no limit.",
        unit=_ELEMENTS,
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_max_live_parameters: Whole = key(
        1_000_000_000,
        "Parameters that may be on a device at once, fetched ones included.",
        unit="parameters",
        changes="memory against traffic",
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_max_reuse_distance: Whole = key(
        1_000_000_000,
        "A parameter that is needed again within this many others is kept.",
        unit="parameters",
        changes="memory against traffic",
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_gather_16bit_weights_on_model_save: bool = key(
        False,
        "Gathers whole weights for a checkpoint that other programs can read.",
        changes="memory and time of a save",
        ignored=_STAGE_3,
        unhonoured=_OWN_CHECKPOINTS,
    )
    stage3_module_granularity_threshold: Whole = key(
        0,
        "Modules with fewer parameters are fetched as one; 0 fetches each alone.",
        unit="parameters",
        ignored=_STAGE_3,
        ge=0,
    )
    stage3_use_all_reduce_for_fetch_params: bool = key(
        False, "Fetches parameters with all-reduce instead of all-gather.", ignored=_STAGE_3
    )
    zero_hpz_partition_size: Whole = key(
        1,
        "ZeRO++: devices of a node that hold a second copy of the shards, to fetch from nearby.",
        unit="devices",
        changes="traffic between nodes against memory",
        ignored=_STAGE_3,
        ge=1,
    )
    zero_quantized_weights: bool = key(
        False, "ZeRO++: fetches weights in 8 bits.", changes="traffic", ignored=_STAGE_3
    )
    zero_quantized_gradients: bool = key(
        False, "ZeRO++: adds up gradients in 4 bits.", changes="traffic", ignored=_STAGE_3
    )
    mics_shard_size: Whole = key(
        -1,
        "MiCS: devices that share one copy of the model; -1 shards over all.",
        unit="devices",
        changes="memory against traffic between nodes",
        ignored=_STAGE_3,
        ge=-1,
        unhonoured=_REMOVED,
    )
    mics_hierarchical_params_gather: bool = key(
        False,
        "MiCS: fetches within the node first.",
        ignored="with mics_shard_size: -1",
        unhonoured=_REMOVED,
    )
    memory_efficient_linear: bool = key(
        True, "Replaces linear layers by ones that do not keep fetched weights.", ignored=_STAGE_3
    )
    zero_allow_untested_optimizer: bool = key(
        False, "Lets ZeRO run with an optimizer that DeepSpeed has not tested."
    )
    zero_force_ds_cpu_optimizer: bool = key(
        True, "With CPU offload, insists on DeepSpeed's own CPU optimizer.", changes="speed"
    )
    communication_data_type: Literal["fp32", "fp16", "bf16"] | None = key(
        None,
        "Format in which gradients travel; null is the training precision.",
        changes="traffic against accuracy",
    )
    grad_accum_dtype: Literal["fp32", "fp16", "bf16"] | None = key(
        None,
        "Format in which gradients are added up over micro-batches; null is DeepSpeed's choice.",
        changes="memory against accuracy",
    )
    prescale_gradients: bool = key(
        False, "Divides gradients before they are added up, against overflow in fp16."
    )
    gradient_predivide_factor: float = key(
        1.0,
        "What gradients are divided by before they are added up.",
        needs="deepspeed.prescale_gradients",
        gt=0.0,
    )
    sparse_gradients: bool = key(
        False,
        "Sends only the rows of an embedding that were used.",
        changes="traffic",
        unhonoured=_REMOVED,
    )
    moe_param_groups: bool = key(
        False,
        "Gives experts parameter groups of their own, which expert parallelism needs.",
        ignored="with model.num_experts: 1",
        unhonoured="experts are not divided over devices so far",
    )
    offload_optimizer: OffloadOptimizerConfig = Field(default_factory=OffloadOptimizerConfig)
    offload_param: OffloadParamConfig = Field(default_factory=OffloadParamConfig)
    activation_checkpointing: ActivationCheckpointingConfig = Field(
        default_factory=ActivationCheckpointingConfig
    )
    aio: AioConfig = Field(default_factory=AioConfig)
    bf16: Bf16Config = Field(default_factory=Bf16Config)
    one_bit: OneBitConfig = Field(default_factory=OneBitConfig)

"""Keys of DeepSpeed's strict sections: their types and bounds, as release 0.19.8 declares them.

The sections are pydantic models that refuse unknown keys (``extra="forbid"``) and convert values
loosely: ``"8"`` is a whole number, 1 is true. ``auto`` is dropped before a section is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "bool", "int", "float", "text", "list", "texts", "mapping", "dtype", "any"
]


@dataclass(frozen=True, slots=True)
class Field:
    """What a key of a strict section takes.

    Attributes:
        kind: The type; with `choices` their type.
        optional: Whether null is allowed.
        choices: The allowed values; empty where any will do.
        ge: Smallest value, included; `gt`, excluded.
        gt: Smallest value, excluded.
        le: Largest value, included.
        lt: Largest value, excluded.
        section: Name of the section that stands here.
    """

    kind: Kind = "any"
    optional: bool = False
    choices: tuple[str | int, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    section: str | None = None


Section: TypeAlias = dict[str, Field]


def _each(kind: Kind, names: str) -> Section:
    return {name: Field(kind) for name in names.split()}


_PLACES = Field("text", choices=("none", "cpu", "nvme"))
_COUNT = Field("int", ge=0)
_SHARE = Field("float", ge=0.0, le=1.0)
_TEXT = Field("text", optional=True)

OFFLOAD_PARAM: Section = {
    "device": _PLACES,
    "nvme_path": _TEXT,
    "buffer_count": _COUNT,
    "buffer_size": _COUNT,
    "max_in_cpu": _COUNT,
    "pin_memory": Field("bool"),
}
OFFLOAD_OPTIMIZER: Section = {
    "device": _PLACES,
    "nvme_path": _TEXT,
    "buffer_count": _COUNT,
    **_each("bool", "pin_memory pipeline_read pipeline_write fast_init super_offload"),
    "ratio": _SHARE,
    "cpuadam_cores_perc": _SHARE,
}
ZENFLOW: Section = {
    "topk_ratio": Field("float", gt=0.0, lt=1.0),
    "select_strategy": Field("text"),
    "select_interval": Field(),
    "update_interval": Field(),
    "overlap_step": Field("bool"),
    "offload": Field("bool"),
    "auto_ratio": _SHARE,
    "full_warm_up_rounds": Field("int"),
    "pt_reserved_cores_perc": _SHARE,
    "steps_per_epoch": Field("int", optional=True),
}
LEAF_MODULE: Section = _each("texts", "classes names name_suffixes")

_STAGE_3_ALIASES = (
    "prefetch_bucket_size param_persistence_threshold model_persistence_threshold "
    "max_live_parameters max_reuse_distance"
)
ZERO: Section = {
    "stage": Field("int", choices=(0, 1, 2, 3, 3)),  # the largest stage has two names
    **_each(
        "bool",
        "contiguous_gradients reduce_scatter use_multi_rank_bucket_allreduce allgather_partitions "
        "compute_grad_norm load_from_fp32_weights elastic_checkpoint "
        "stage3_gather_16bit_weights_on_model_save gather_16bit_weights_on_model_save "
        "stage3_use_all_reduce_for_fetch_params use_all_reduce_for_fetch_params "
        "stage3_allgather_sequential allgather_sequential "
        "stage3_gather_fp16_weights_on_model_save ignore_unused_parameters legacy_stage1 "
        "round_robin_gradients parameter_alignment zero_quantized_weights "
        "zero_quantized_nontrainable_weights zero_quantized_gradients memory_efficient_linear "
        "pipeline_loading_checkpoint override_module_apply log_trace_cache_warnings "
        "enable_sanity_checks save_muon_momentum_buffer_in_memory",
    ),
    **dict.fromkeys(
        ("overlap_comm", "cpu_offload", "cpu_offload_param", "cpu_offload_use_pin_memory"),
        Field("bool", optional=True),
    ),
    "reduce_bucket_size": Field("int", gt=0),
    **dict.fromkeys(("allgather_bucket_size", "sub_group_size", "zero_hpz_partition_size"), _COUNT),
    **{f"stage3_{name}": _COUNT for name in _STAGE_3_ALIASES.split()},
    **dict.fromkeys(_STAGE_3_ALIASES.split(), _COUNT),
    "stage3_module_granularity_threshold": Field("int"),
    "module_granularity_threshold": Field("int"),
    "offload_param": Field(section="offload_param", optional=True),
    "offload_optimizer": Field(section="offload_optimizer", optional=True),
    "zenflow": Field(section="zenflow", optional=True),
    "leaf_module": Field(section="leaf_module"),
}
BF16: Section = _each(
    "bool",
    "enabled immediate_grad_update check_grad_overflow bf16_master_weights_and_grads "
    "bf16_optimizer_states",
)
FP16: Section = {
    **_each("bool", "enabled auto_cast consecutive_hysteresis fp16_master_weights_and_grads"),
    **_each("int", "initial_scale_power loss_scale_window hysteresis min_loss_scale"),
    "loss_scale": Field("float"),
}
TENSORBOARD: Section = {"enabled": Field("bool"), **_each("text", "output_path job_name")}
WANDB: Section = {
    "enabled": Field("bool"),
    "group": _TEXT,
    "team": _TEXT,
    "project": Field("text"),
}
COMET: Section = {
    "enabled": Field("bool"),
    "samples_log_interval": Field("int"),
    "online": Field("bool", optional=True),
    **dict.fromkeys(
        ["project", "workspace", "api_key", "experiment_name", "experiment_key", "mode"], _TEXT
    ),
}
COMMS_LOGGER: Section = {
    **_each("bool", "enabled prof_all verbose debug"),
    "prof_ops": Field("list"),
}
COMPILE: Section = {
    **_each(
        "bool",
        "deepcompile autoep_non_moe free_activation offload_activation "
        "offload_activation_pin_memory offload_opt_states double_buffer symmetric_memory debug_log "
        "offload_parameters sync_before_reduce sync_after_reduce sync_before_allgather "
        "sync_after_allgather keep_int_input_tensors keep_all_input_tensors",
    ),
    "free_activation_threshold": Field("int"),
    "passes": Field("texts", optional=True, choices=("z1", "z3", "autosp", "autotp")),
}
HYBRID_ENGINE: Section = {
    **_each("bool", "enabled release_inference_cache pin_parameters enable_cuda_graph"),
    **_each("int", "inference_tp_size tp_gather_partition_size"),
    "max_out_tokens": Field("int", gt=0),
}
TENSOR_PARALLEL: Section = {
    "dtype": Field("dtype"),
    "autotp_size": Field("int"),
    **_each("bool", "tp_overlap_comm keep_module_on_host replace_with_kernel_inject kernel_inject"),
    "vocab_parallel_lm_head": Field("bool", optional=True),
    "vocab_parallel_ce_backend": Field("text", choices=("torch", "liger")),
    "tensor_parallel": Field(section="tp"),
    "tp": Field(section="tp"),
    "injection_policy_tuple": Field("list", optional=True),
    "partition_config": Field("mapping", optional=True),
    "preset_model": _TEXT,
}
TP: Section = {**_each("int", "tp_size tp_grain_size"), **_each("any", "mpu tp_group")}
WEIGHT_QUANTIZATION: Section = {
    "enabled": Field("bool"),
    **_each("int", "num_bits q_groups"),
    "q_type": Field("text", choices=("symmetric", "asymmetric")),
    **_each("mapping", "quantized_initialization post_init_quant"),
}
THROUGHPUT: Section = _each("bool", "enabled synchronized")

SECTIONS: dict[str, Section] = {
    "zero_optimization": ZERO,
    "bf16": BF16,
    "bfloat16": BF16,
    "fp16": FP16,
    "tensorboard": TENSORBOARD,
    "wandb": WANDB,
    "csv_monitor": TENSORBOARD,
    "comet": COMET,
    "comms_logger": COMMS_LOGGER,
    "compile": COMPILE,
    "hybrid_engine": HYBRID_ENGINE,
    "tensor_parallel": TENSOR_PARALLEL,
    "weight_quantization": WEIGHT_QUANTIZATION,
}
"""The strict sections at the top of the file."""

INNER: dict[str, Section] = {
    "offload_param": OFFLOAD_PARAM,
    "offload_optimizer": OFFLOAD_OPTIMIZER,
    "zenflow": ZENFLOW,
    "leaf_module": LEAF_MODULE,
    "tp": TP,
}
"""The strict sections inside others, by the name in `Field.section`."""

TOP_LEVEL = frozenset(
    [
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "managed_gradient_accumulation",
        "steps_per_print",
        "dump_state",
        "disable_python_gc",
        "disable_allgather",
        "communication_data_type",
        "seq_parallel_communication_data_type",
        "prescale_gradients",
        "gradient_predivide_factor",
        "gradient_allreduce_op",
        "activation_checkpointing",
        "gradient_clipping",
        "torch_autocast",
        "optimizer",
        "zero_allow_untested_optimizer",
        "zero_force_ds_cpu_optimizer",
        "scheduler",
        "flops_profiler",
        "wall_clock_breakdown",
        "memory_breakdown",
        "autotuning",
        "use_data_before_expert_parallelism",
        "pipeline",
        "data_efficiency",
        "checkpoint",
        "data_types",
        "aio",
        "dataloader_drop_last",
        "log_level",
        "datastates",
        "timers",
        "expert_parallel",
        "vocabulary_size",
        "sequence_parallel_size",
        "allgather_size",
    ]
) | frozenset(SECTIONS)
"""Every key at the top of the file that DeepSpeed reads; it ignores all others in silence."""

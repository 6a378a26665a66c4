"""Which key of DeepSpeed's JSON is which key here, and why the others are none."""

from __future__ import annotations

import math
from typing import Any

from workbench.dialects.building import Keep, NoPlace, Table, To
from workbench.dialects.deepspeed.strict import number_of, truth_of


def plain(value: Any) -> Any:
    """A value without ``auto``, which leaves the matter to Hugging Face's Trainer.

    Raises:
        NoPlace: It is ``auto``.
    """
    if value == "auto":
        raise NoPlace("auto: Hugging Face's Trainer fills it in; by itself it says nothing")
    return value


def switch(value: Any) -> bool:
    """A switch as pydantic reads it: true, 1, "on".

    Raises:
        NoPlace: It is ``auto``, or no switch.
    """
    truth = truth_of(plain(value))
    if truth is None:
        raise NoPlace(f"{value!r} is neither true nor false")
    return truth


def _same(home: str, names: str, prefix: str = "") -> dict[str, To]:
    return {f"{prefix}{name}": To(f"{home}.{name}", plain) for name in names.split()}


def _switches(home: str, names: str, prefix: str = "") -> dict[str, To]:
    return {f"{prefix}{name}": To(f"{home}.{name}", switch) for name in names.split()}


def _lower(value: Any) -> Any:
    return plain(value).lower() if isinstance(plain(value), str) else value


def _threshold(value: Any) -> Any:
    """DeepSpeed's largest integer sets no limit, which is null here."""
    number = number_of(plain(value))
    return None if number is not None and number >= 2**62 else value


def _whole(value: float) -> int:
    if value != int(value):
        raise NoPlace("DeepSpeed takes whole numbers there")
    return int(value)


def _whole_number(value: Any) -> Any:
    number = number_of(plain(value))
    return value if number is None or not math.isfinite(number) else _whole(number)


_FORMATS = {
    "half": "fp16", "float16": "fp16", "torch.float16": "fp16",
    "bfloat16": "bf16", "torch.bfloat16": "bf16",
    "float": "fp32", "float32": "fp32", "torch.float32": "fp32",
}  # fmt: skip


def _format(value: Any) -> Any:
    return _FORMATS.get(value, value) if isinstance(plain(value), str) else value


TOP: Table = {
    "gradient_clipping": To("training.max_gradient_norm", plain),
    "steps_per_print": To("training.logging_steps", plain),
    "wall_clock_breakdown": To("logging.wall_clock_breakdown", switch),
    "memory_breakdown": To("logging.memory_breakdown", switch),
    "dataloader_drop_last": To("data.dataloader_drop_last", switch),
    **_switches(
        "deepspeed",
        "zero_allow_untested_optimizer zero_force_ds_cpu_optimizer prescale_gradients "
        "sparse_gradients",
    ),
    "gradient_predivide_factor": To("deepspeed.gradient_predivide_factor", plain),
    "communication_data_type": To("deepspeed.communication_data_type", _lower),
    "data_types.grad_accum_dtype": To("deepspeed.grad_accum_dtype", _format),
    "vocabulary_size": Keep("DeepSpeed only warns where it is no multiple of 8", "ignored"),
}
"""Single keys at the top of the file; the three of the batch are in `batch`."""

ZERO: Table = {
    "stage": To("deepspeed.zero_stage", plain),
    **_switches(
        "deepspeed",
        "allgather_partitions reduce_scatter overlap_comm contiguous_gradients "
        "use_multi_rank_bucket_allreduce round_robin_gradients ignore_unused_parameters "
        "load_from_fp32_weights elastic_checkpoint stage3_gather_16bit_weights_on_model_save "
        "stage3_use_all_reduce_for_fetch_params zero_quantized_weights zero_quantized_gradients "
        "memory_efficient_linear mics_hierarchical_params_gather",
    ),
    **_same(
        "deepspeed",
        "allgather_bucket_size reduce_bucket_size sub_group_size stage3_prefetch_bucket_size "
        "stage3_param_persistence_threshold stage3_max_live_parameters stage3_max_reuse_distance "
        "stage3_module_granularity_threshold zero_hpz_partition_size mics_shard_size",
    ),
    "stage3_model_persistence_threshold": To(
        "deepspeed.stage3_model_persistence_threshold", _threshold
    ),
    **{
        old: To(f"deepspeed.{new}", plain, note=f"another name of {new}", writes=False)
        for old, new in {
            "prefetch_bucket_size": "stage3_prefetch_bucket_size",
            "param_persistence_threshold": "stage3_param_persistence_threshold",
            "max_live_parameters": "stage3_max_live_parameters",
            "max_reuse_distance": "stage3_max_reuse_distance",
            "module_granularity_threshold": "stage3_module_granularity_threshold",
            "use_all_reduce_for_fetch_params": "stage3_use_all_reduce_for_fetch_params",
            "gather_16bit_weights_on_model_save": "stage3_gather_16bit_weights_on_model_save",
            "stage3_gather_fp16_weights_on_model_save": (
                "stage3_gather_16bit_weights_on_model_save"
            ),
        }.items()
    },
    **{
        f"offload_optimizer.{name}": To(f"deepspeed.offload_optimizer.{name}", plain)
        for name in ["device", "nvme_path", "buffer_count", "ratio", "cpuadam_cores_perc"]
    },
    **_switches(
        "deepspeed.offload_optimizer",
        "pin_memory pipeline_read pipeline_write fast_init super_offload",
        "offload_optimizer.",
    ),
    **_same(
        "deepspeed.offload_param",
        "device nvme_path buffer_count buffer_size max_in_cpu",
        "offload_param.",
    ),
    **_switches("deepspeed.offload_param", "pin_memory", "offload_param."),
}
"""Keys of ``zero_optimization``."""

ACTIVATIONS: Table = {
    **_switches(
        "deepspeed.activation_checkpointing",
        "partition_activations cpu_checkpointing contiguous_memory_optimization "
        "synchronize_checkpoint_boundary profile",
    ),
    **_same("deepspeed.activation_checkpointing", "number_checkpoints"),
}
"""Keys of ``activation_checkpointing``."""

AIO: Table = {
    **_same("deepspeed.aio", "block_size queue_depth"),
    "intra_op_parallelism": To("deepspeed.aio.thread_count", plain),
    "thread_count": To(
        "deepspeed.aio.thread_count", plain, note="the old name of intra_op_parallelism",
        writes=False,
    ),
    **_switches("deepspeed.aio", "single_submit overlap_events"),
}  # fmt: skip
"""Keys of ``aio``."""

BF16: Table = {
    **_switches("deepspeed.bf16", "immediate_grad_update check_grad_overflow"),
    "bf16_master_weights_and_grads": To("deepspeed.bf16.master_weights_and_grads", switch),
    "bf16_optimizer_states": To("deepspeed.bf16.optimizer_states", switch),
}
"""Keys of ``bf16``; its switch is in `precision`."""

FP16: Table = {
    "loss_scale": To("training.loss_scaling.scale", plain),
    "initial_scale_power": To("training.loss_scaling.initial_scale_power", plain),
    "loss_scale_window": To("training.loss_scaling.window", plain),
    "hysteresis": To("training.loss_scaling.hysteresis", plain),
    "consecutive_hysteresis": To("training.loss_scaling.consecutive_hysteresis", switch),
    "min_loss_scale": To("training.loss_scaling.min_scale", _whole_number, _whole),
    "auto_cast": Keep("the model casts its inputs by itself here"),
    "fp16_master_weights_and_grads": Keep("weights and optimizer stay in fp32 here"),
}
"""Keys of ``fp16``; its switch is in `precision`."""

MONITORS: Table = {
    "tensorboard.enabled": To("logging.tensorboard.enabled", switch),
    "tensorboard.output_path": To("logging.tensorboard.log_dir", plain),
    "tensorboard.job_name": Keep("a run is known by its name here: run.name"),
    "wandb.enabled": To("logging.wandb.enabled", switch),
    "wandb.project": To("logging.wandb.project", plain),
    "wandb.team": To("logging.wandb.entity", plain),
    "wandb.group": To("logging.wandb.group", plain),
}
"""Services that metrics are sent to."""

DEGREES: Table = {
    "tensor_parallel.autotp_size": To(
        "parallel.tensor_parallel_size", lambda size: plain(size) or 1
    ),
    "expert_parallel.autoep_size": To("parallel.expert_parallel_size", plain),
    "sequence_parallel_size": To("parallel.context_parallel_size", plain),
    "pipeline.stages": To("parallel.pipeline_parallel_size", plain),
}
"""Degrees of parallelism beside data's."""

REASONS: dict[str, str] = {
    "activation_checkpointing": "DeepSpeed reads no such key there",
    "aio": "there is no such key here",
    "autotuning": "ava fit searches the settings, without running them",
    "checkpoint": "checkpoints here are the workbench's own",
    "comet": "metrics are sent to TensorBoard and Weights & Biases only",
    "comms_logger": "there is no log of single messages here",
    "compile": "DeepCompile is not built; see training.compile",
    "csv_monitor": "every run writes its metrics to a text file anyway",
    "data_efficiency": "the workbench trains on the data as it comes",
    "data_types": "weights stay in fp32 and products follow training.mixed_precision here",
    "datastates": "checkpoints here are the workbench's own",
    "expert_parallel": "experts are not divided over devices so far",
    "flops_profiler": "logging.wall_clock_breakdown says where the time goes",
    "hybrid_engine": "training and generation take turns on one engine here",
    "optimizer": "the optimizer here has no such setting",
    "pipeline": "the trainer does not divide layers over devices so far",
    "scheduler": "the schedule here has no such setting",
    "tensor_parallel": "the trainer does not divide matrices over devices so far",
    "timers": "every step is timed here",
    "torch_autocast": "the model casts by itself here: training.mixed_precision",
    "wandb": "there is no such key here",
    "weight_quantization": "it is for inference",
    "zero_optimization": "the workbench leaves it at DeepSpeed's default",
    "disable_allgather": "a debugging aid",
    "dump_state": "a debugging aid",
    "log_level": "logging.level says it, for the whole run",
    "managed_gradient_accumulation": "the trainer leaves accumulation to DeepSpeed",
}
"""Why the keys of a section, or a key, have no place here."""

"""Our plan in DeepSpeed's words: the dictionary that ``deepspeed.initialize`` is given.

Batch, clipping and precision come from ``training``, all else from ``deepspeed``. Everything that
matters is written out, for DeepSpeed's defaults differ from ours: a missing ``gradient_clipping``
means 1.0 there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config.offload import asked_optimizer_place, parameters_place
from workbench.errors import ConfigError
from workbench.estimate.batch import Batch

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.config.schema.deepspeed import DeepspeedConfig

_AUTO = "auto"
_OURS = ("optimizer", "scheduler")
_BATCH = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")


def deepspeed_settings(config: Config, world_size: int, precision: str) -> dict[str, Any]:
    """The whole of DeepSpeed's config.

    Args:
        config: The plan.
        world_size: Processes that train.
        precision: ``fp32``, ``bf16`` or ``fp16``, as it was chosen for the device.

    Raises:
        ConfigError: ``deepspeed.config_file`` cannot be read or contradicts the plan.
    """
    training, section = config.training, config.deepspeed
    _refuse_bf16_optimizer(section, precision)
    batch = Batch.of(config, world_size)
    settings: dict[str, Any] = {
        "train_batch_size": batch.sequences,
        "train_micro_batch_size_per_gpu": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "gradient_clipping": training.max_gradient_norm,
        "zero_optimization": _zero(section),
        "zero_allow_untested_optimizer": section.zero_allow_untested_optimizer,
        "zero_force_ds_cpu_optimizer": section.zero_force_ds_cpu_optimizer,
        "prescale_gradients": section.prescale_gradients,
        "gradient_predivide_factor": section.gradient_predivide_factor,
        "bf16": _bf16(section, enabled=precision == "bf16"),
        # The factor of the loss is ours (training/loss_scale.py), and set anew in each step.
        "fp16": {"enabled": precision == "fp16", "loss_scale": 1.0},
        "aio": _aio(section),
        "activation_checkpointing": section.activation_checkpointing.model_dump(),
    }
    if section.communication_data_type is not None:
        settings["communication_data_type"] = section.communication_data_type
    if section.grad_accum_dtype is not None:
        settings["data_types"] = {"grad_accum_dtype": section.grad_accum_dtype}
    if section.config_file is not None:
        settings = _from_file(Path(section.config_file), settings)
    return settings


def _refuse_bf16_optimizer(section: DeepspeedConfig, precision: str) -> None:
    """Stage 1 would take another optimizer for this, which keeps its gradients out of sight."""
    wide = section.grad_accum_dtype == "fp32" and precision == "bf16"
    if wide and section.zero_stage == 1 and asked_optimizer_place(section) == "none":
        raise ConfigError(
            "ZeRO stage 1 cannot add up bf16 gradients in fp32 here",
            where="deepspeed.grad_accum_dtype",
            why="DeepSpeed's engine for it shows the gradient to nobody before the update",
            fix="use --deepspeed.zero_stage 2, or --deepspeed.grad_accum_dtype null",
        )


def _zero(section: DeepspeedConfig) -> dict[str, Any]:
    same = (
        "allgather_partitions", "allgather_bucket_size", "reduce_scatter", "reduce_bucket_size",
        "contiguous_gradients", "use_multi_rank_bucket_allreduce", "round_robin_gradients",
        "ignore_unused_parameters", "overlap_comm",
    )  # fmt: skip
    zero: dict[str, Any] = {"stage": section.zero_stage}
    zero |= {name: getattr(section, name) for name in same}
    if (place := asked_optimizer_place(section)) != "none" and section.zero_stage > 0:
        zero["offload_optimizer"] = _offload(section.offload_optimizer.model_dump(), place)
    if section.zero_stage < 3:
        return zero
    stage_3 = (
        "sub_group_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold",
        "stage3_max_live_parameters", "stage3_max_reuse_distance",
        "stage3_module_granularity_threshold", "stage3_use_all_reduce_for_fetch_params",
        "zero_hpz_partition_size", "zero_quantized_weights", "zero_quantized_gradients",
        "memory_efficient_linear",
    )  # fmt: skip
    zero |= {name: getattr(section, name) for name in stage_3}
    if section.stage3_model_persistence_threshold is not None:
        zero["stage3_model_persistence_threshold"] = section.stage3_model_persistence_threshold
    if (place := parameters_place(section)) != "none":
        zero["offload_param"] = _offload(section.offload_param.model_dump(), place)
    return zero


def _offload(keys: dict[str, Any], place: str) -> dict[str, Any]:
    if place == "nvme" and keys["nvme_path"] is None:
        raise ConfigError(
            "offload to NVMe needs a folder on the drive",
            where="deepspeed.offload_optimizer.nvme_path, deepspeed.offload_param.nvme_path",
            fix="name one: --deepspeed.offload_optimizer.nvme_path DIR",
        )
    told = {name: value for name, value in keys.items() if value is not None}
    return told | {"device": place}


def _bf16(section: DeepspeedConfig, *, enabled: bool) -> dict[str, Any]:
    """Formats of what is kept; DeepSpeed would take them in fp32 training, too."""
    if not enabled:
        return {"enabled": False}
    return {
        "enabled": True,
        "immediate_grad_update": section.bf16.immediate_grad_update,
        "check_grad_overflow": section.bf16.check_grad_overflow,
        "bf16_master_weights_and_grads": section.bf16.master_weights_and_grads,
        "bf16_optimizer_states": section.bf16.optimizer_states,
    }


def _aio(section: DeepspeedConfig) -> dict[str, Any]:
    keys = section.aio.model_dump()
    keys["intra_op_parallelism"] = keys.pop("thread_count")
    return keys


def _from_file(path: Path, ours: dict[str, Any]) -> dict[str, Any]:
    """The settings of a DeepSpeed JSON file; what it leaves out or calls ``auto`` is ours."""
    where = f"deepspeed.config_file {path}"
    try:
        told = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError("the DeepSpeed file cannot be read", where=where, why=error.strerror,
                          fix="name a file that is there") from None  # fmt: skip
    except ValueError as error:
        raise ConfigError("the DeepSpeed file is no JSON", where=where, why=str(error)) from None
    if not isinstance(told, dict):
        raise ConfigError("the DeepSpeed file is no JSON object", where=where)
    for name in _OURS:
        if name in told:
            raise ConfigError(
                f"{name} of the DeepSpeed file would contradict the training section",
                where=where,
                fix=f"take it out of the file and set the keys of training instead: {name}",
            )
    for name in _BATCH:
        if told.get(name, _AUTO) not in (_AUTO, ours[name]):
            raise ConfigError(
                f"{name} is {told[name]} in the DeepSpeed file and {ours[name]} in the plan",
                where=where,
                fix=f'write "{name}": "auto", or change training.batch_size and its kin',
            )
    return _merged(ours, told)


def _merged(ours: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    result = dict(ours)
    for name, value in told.items():
        mine = ours.get(name)
        if value == _AUTO:
            continue
        both = isinstance(value, dict) and isinstance(mine, dict)
        result[name] = _merged(mine, value) if both else value  # type: ignore[arg-type]
    return result

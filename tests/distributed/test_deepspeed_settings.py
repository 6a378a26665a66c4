"""Our keys in DeepSpeed's words, read back by DeepSpeed's own config."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from workbench.config.schema import Config
from workbench.errors import ConfigError
from workbench.training.engines.deepspeed_settings import deepspeed_settings
from workbench.training.engines.deepspeed_start import refused


def settings(
    precision: str = "fp32", world: int = 2, training: dict[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    tree = {"training": training or {}, "deepspeed": {"enabled": True, "zero_stage": 3, **keys}}
    return deepspeed_settings(Config.model_validate(tree), world, precision)


def read(told: dict[str, Any]) -> Any:
    """What DeepSpeed makes of it, for one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from deepspeed.runtime.config import DeepSpeedConfig

        one = {name: value for name, value in told.items() if name != "train_batch_size"}
        return DeepSpeedConfig(one)


def test_the_batch_is_ours() -> None:
    told = settings(training={"batch_size": 3, "gradient_accumulation_steps": 5}, world=4)
    assert told["train_batch_size"] == 60
    assert told["train_micro_batch_size_per_gpu"] == 3
    assert told["gradient_accumulation_steps"] == 5


@pytest.mark.parametrize("norm", [0.0, 1.0, 0.25])
def test_clipping_is_always_written(norm: float) -> None:
    """Its default is 1.0: what is left out clips in silence."""
    assert read(settings(training={"max_gradient_norm": norm})).gradient_clipping == norm


# A key, another value than its default, and where DeepSpeed's own config has it.
PLAIN = [
    ("allgather_partitions", False, "zero.allgather_partitions"),
    ("allgather_bucket_size", 1000, "zero.allgather_bucket_size"),
    ("reduce_scatter", False, "zero.reduce_scatter"),
    ("reduce_bucket_size", 1000, "zero.reduce_bucket_size"),
    ("overlap_comm", False, "zero.overlap_comm"),
    ("contiguous_gradients", False, "zero.contiguous_gradients"),
    ("use_multi_rank_bucket_allreduce", False, "zero.use_multi_rank_bucket_allreduce"),
    ("round_robin_gradients", True, "zero.round_robin_gradients"),
    ("ignore_unused_parameters", False, "zero.ignore_unused_parameters"),
    ("sub_group_size", 1000, "zero.sub_group_size"),
    ("stage3_prefetch_bucket_size", 1000, "zero.prefetch_bucket_size"),
    ("stage3_param_persistence_threshold", 7, "zero.param_persistence_threshold"),
    ("stage3_model_persistence_threshold", 7, "zero.model_persistence_threshold"),
    ("stage3_max_live_parameters", 1000, "zero.max_live_parameters"),
    ("stage3_max_reuse_distance", 1000, "zero.max_reuse_distance"),
    ("stage3_module_granularity_threshold", 5, "zero.module_granularity_threshold"),
    ("stage3_use_all_reduce_for_fetch_params", True, "zero.use_all_reduce_for_fetch_params"),
    ("zero_hpz_partition_size", 2, "zero.zero_hpz_partition_size"),
    ("zero_quantized_weights", True, "zero.zero_quantized_weights"),
    ("zero_quantized_gradients", True, "zero.zero_quantized_gradients"),
    ("memory_efficient_linear", False, "zero.memory_efficient_linear"),
    ("zero_allow_untested_optimizer", True, "zero_allow_untested_optimizer"),
    ("zero_force_ds_cpu_optimizer", False, "zero_force_ds_cpu_optimizer"),
    ("communication_data_type", "bf16", "communication_data_type"),
    ("grad_accum_dtype", "bf16", "grad_accum_dtype"),
    ("prescale_gradients", True, "prescale_gradients"),
    ("gradient_predivide_factor", 2.0, "gradient_predivide_factor"),
]


@pytest.mark.honours(
    "deepspeed.allgather_partitions",
    "deepspeed.allgather_bucket_size",
    "deepspeed.reduce_scatter",
    "deepspeed.reduce_bucket_size",
    "deepspeed.overlap_comm",
    "deepspeed.contiguous_gradients",
    "deepspeed.use_multi_rank_bucket_allreduce",
    "deepspeed.round_robin_gradients",
    "deepspeed.ignore_unused_parameters",
    "deepspeed.sub_group_size",
    "deepspeed.stage3_prefetch_bucket_size",
    "deepspeed.stage3_param_persistence_threshold",
    "deepspeed.stage3_model_persistence_threshold",
    "deepspeed.stage3_max_live_parameters",
    "deepspeed.stage3_max_reuse_distance",
    "deepspeed.stage3_module_granularity_threshold",
    "deepspeed.stage3_use_all_reduce_for_fetch_params",
    "deepspeed.zero_hpz_partition_size",
    "deepspeed.zero_quantized_weights",
    "deepspeed.zero_quantized_gradients",
    "deepspeed.memory_efficient_linear",
    "deepspeed.zero_allow_untested_optimizer",
    "deepspeed.zero_force_ds_cpu_optimizer",
    "deepspeed.communication_data_type",
    "deepspeed.grad_accum_dtype",
    "deepspeed.prescale_gradients",
    "deepspeed.gradient_predivide_factor",
)
@pytest.mark.parametrize(("name", "value", "place"), PLAIN, ids=[name for name, *_ in PLAIN])
def test_a_key_reaches_deepspeed(name: str, value: Any, place: str) -> None:
    def there(told: dict[str, Any]) -> Any:
        found = read(told)
        for part in place.split("."):
            found = found.zero_config if part == "zero" else getattr(found, part)
        return found

    before, after = there(settings()), there(settings(**{name: value}))
    assert after != before
    assert after == value or str(value) in str(after).replace("bfloat16", "bf16")


@pytest.mark.honours("deepspeed.zero_stage")
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_stage_reaches_deepspeed(stage: int) -> None:
    assert read(settings(zero_stage=stage)).zero_config.stage == stage


@pytest.mark.honours(
    "deepspeed.offload_optimizer.device",
    "deepspeed.offload_optimizer.pin_memory",
    "deepspeed.offload_optimizer.buffer_count",
    "deepspeed.offload_optimizer.pipeline_read",
    "deepspeed.offload_optimizer.pipeline_write",
    "deepspeed.offload_optimizer.fast_init",
    "deepspeed.offload_optimizer.ratio",
    "deepspeed.offload_optimizer.super_offload",
    "deepspeed.offload_optimizer.cpuadam_cores_perc",
    "deepspeed.offload_param.device",
    "deepspeed.offload_param.pin_memory",
    "deepspeed.offload_param.buffer_count",
    "deepspeed.offload_param.buffer_size",
    "deepspeed.offload_param.max_in_cpu",
)
@pytest.mark.parametrize(
    ("section", "keys"),
    [
        (
            "offload_optimizer",
            {
                "device": "nvme", "nvme_path": "/nvme", "pin_memory": False, "buffer_count": 9,
                "pipeline_read": True, "pipeline_write": True, "fast_init": True, "ratio": 0.5,
                "super_offload": True, "cpuadam_cores_perc": 0.5,
            },
        ),
        (
            "offload_param",
            {
                "device": "nvme", "nvme_path": "/nvme", "pin_memory": False, "buffer_count": 9,
                "buffer_size": 77, "max_in_cpu": 88,
            },
        ),
    ],
)  # fmt: skip
def test_offload_keys_reach_deepspeed(section: str, keys: dict[str, Any]) -> None:
    assert getattr(read(settings()).zero_config, section) is None
    found = getattr(read(settings(**{section: keys})).zero_config, section)
    for name, value in keys.items():
        theirs = getattr(found, name)
        assert str(getattr(theirs, "value", theirs)) == str(value), name


@pytest.mark.honours("deepspeed.cpu_offload", "deepspeed.nvme_offload")
def test_the_short_switches_of_offload() -> None:
    def places(**keys: Any) -> tuple[str | None, str | None]:
        zero = settings(**keys)["zero_optimization"]
        return tuple(
            zero.get(name, {}).get("device") for name in ("offload_optimizer", "offload_param")
        )  # type: ignore[return-value]

    drive = {"offload_optimizer": {"nvme_path": "/n"}, "offload_param": {"nvme_path": "/n"}}
    assert places() == (None, None)
    assert places(cpu_offload=True) == ("cpu", "cpu")
    assert places(cpu_offload=True, zero_stage=2) == ("cpu", None)
    assert places(cpu_offload=True, zero_stage=0) == (None, None)
    assert places(cpu_offload=True, nvme_offload=True, **drive) == ("nvme", "nvme")
    with pytest.raises(ConfigError, match="needs a folder"):
        places(nvme_offload=True)


@pytest.mark.honours(
    "deepspeed.bf16.master_weights_and_grads",
    "deepspeed.bf16.optimizer_states",
    "deepspeed.bf16.immediate_grad_update",
    "deepspeed.bf16.check_grad_overflow",
)
def test_precision_is_ours() -> None:
    assert not read(settings("fp32")).bfloat16_config.enabled
    found = read(settings("bf16")).bfloat16_config
    assert found.enabled
    assert not found.bf16_master_weights_and_grads
    keys = {
        "master_weights_and_grads": True, "optimizer_states": True, "immediate_grad_update": True,
        "check_grad_overflow": False,
    }  # fmt: skip
    found = read(settings("bf16", bf16=keys)).bfloat16_config
    assert found.bf16_master_weights_and_grads
    assert found.bf16_optimizer_states
    assert found.immediate_grad_update
    assert not found.check_grad_overflow
    # In fp32 DeepSpeed would keep the weights in bf16, too.
    assert not read(settings("fp32", bf16=keys)).bfloat16_config.bf16_master_weights_and_grads


@pytest.mark.honours(
    "deepspeed.aio.block_size",
    "deepspeed.aio.queue_depth",
    "deepspeed.aio.thread_count",
    "deepspeed.aio.single_submit",
    "deepspeed.aio.overlap_events",
)
def test_drive_keys_reach_deepspeed() -> None:
    keys = {
        "block_size": 4096, "queue_depth": 3, "thread_count": 2, "single_submit": True,
        "overlap_events": False,
    }  # fmt: skip
    found = read(settings(aio=keys)).aio_config
    assert found["intra_op_parallelism"] == 2
    assert all(found[name] == value for name, value in keys.items() if name != "thread_count")


@pytest.mark.honours("deepspeed.config_file")
def test_a_file_of_deepspeeds_own(tmp_path: Path) -> None:
    path = tmp_path / "ds.json"

    def told(content: dict[str, Any]) -> dict[str, Any]:
        path.write_text(json.dumps(content))
        return settings(config_file=str(path), training={"batch_size": 4})

    found = told({
        "zero_optimization": {"stage": 2, "reduce_bucket_size": 77},
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_clipping": "auto",
    })  # fmt: skip
    assert found["zero_optimization"]["stage"] == 2
    assert found["zero_optimization"]["reduce_bucket_size"] == 77
    assert found["train_micro_batch_size_per_gpu"] == 4
    assert found["gradient_clipping"] == 1.0
    with pytest.raises(ConfigError, match="is 9 in the DeepSpeed file and 4 in the plan"):
        told({"train_micro_batch_size_per_gpu": 9})
    with pytest.raises(ConfigError, match="optimizer of the DeepSpeed file would contradict"):
        told({"optimizer": {"type": "Adam"}})
    path.write_text("{")
    with pytest.raises(ConfigError, match="no JSON"):
        settings(config_file=str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        settings(config_file=str(tmp_path / "nowhere.json"))


def test_what_stage_1_cannot_do_is_said() -> None:
    with pytest.raises(ConfigError, match="stage 1 cannot add up bf16 gradients in fp32"):
        settings("bf16", zero_stage=1, grad_accum_dtype="fp32")
    settings("bf16", zero_stage=2, grad_accum_dtype="fp32")


def test_a_refusal_is_one_message() -> None:
    error = refused(AssertionError('You are using an untested ZeRO Optimizer. Please\n  add <"…">'))
    assert error.what == "DeepSpeed refuses this config"
    assert error.where == "deepspeed.zero_allow_untested_optimizer"
    assert "untested ZeRO Optimizer. Please add" in str(error.why)
    assert "Traceback" not in error.render()

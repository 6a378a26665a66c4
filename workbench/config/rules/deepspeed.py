"""Rules about DeepSpeed, as releases 0.19.6 to 0.19.8 behave.

They speak as soon as the engine is on, and also while nobody has turned it on or off: a section
that contradicts itself is worth repairing before it is switched on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import units
from workbench.config.degrees import Degrees
from workbench.config.keys import keys, value_at
from workbench.config.offload import asked_optimizer_place, asked_parameters_place
from workbench.config.rules.base import Problem, Subject, drop, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import DeepspeedConfig

_ONE_BIT = ("onebitadam", "onebitlamb", "zerooneadam")
_TESTED_WITH_ZERO = ("adamw", "adam", "adagrad", "lion")
_ON_CPU = ("adamw", "adam", "adagrad", "lion")
_STAGE_3_ONLY = (
    "sub_group_size",
    "stage3_prefetch_bucket_size",
    "stage3_param_persistence_threshold",
    "stage3_model_persistence_threshold",
    "stage3_max_live_parameters",
    "stage3_max_reuse_distance",
    "stage3_gather_16bit_weights_on_model_save",
    "stage3_module_granularity_threshold",
    "stage3_use_all_reduce_for_fetch_params",
    "zero_hpz_partition_size",
    "zero_quantized_weights",
    "zero_quantized_gradients",
)


def engine(subject: Subject) -> DeepspeedConfig | None:
    """The section, unless it is turned off in so many words."""
    deepspeed = subject.config.deepspeed
    off = not deepspeed.enabled and subject.is_set("deepspeed.enabled")
    return None if off else deepspeed


@rule("nvme-needs-cpu-offload", "error")
def nvme_needs_cpu_offload(subject: Subject) -> Iterator[Problem]:
    """deepspeed.nvme_offload goes through host memory, so it needs cpu_offload."""
    deepspeed = engine(subject)
    if deepspeed and deepspeed.nvme_offload and not deepspeed.cpu_offload:
        yield Problem(
            "deepspeed.nvme_offload",
            "what goes to the drive passes through host memory, so nvme_offload needs cpu_offload",
            (put("deepspeed.cpu_offload", True), put("deepspeed.nvme_offload", False)),
        )


@rule("nvme-needs-path", "error")
def nvme_needs_path(subject: Subject) -> Iterator[Problem]:
    """Offload to NVMe names a folder on the drive."""
    deepspeed = engine(subject)
    if not deepspeed:
        return
    for name, place, section in (
        ("offload_optimizer", asked_optimizer_place(deepspeed), deepspeed.offload_optimizer),
        ("offload_param", asked_parameters_place(deepspeed), deepspeed.offload_param),
    ):
        if place == "nvme" and section.nvme_path is None:
            yield Problem(
                subject.blame(f"deepspeed.{name}.device", "deepspeed.nvme_offload"),
                f"deepspeed.{name} goes to a drive, but deepspeed.{name}.nvme_path does not say "
                "where",
                (
                    (
                        "offload to host memory instead",
                        {f"deepspeed.{name}.device": "cpu", "deepspeed.nvme_offload": False},
                    ),
                ),
            )


@rule("nvme-needs-stage-3", "warning")
def nvme_needs_stage_3(subject: Subject) -> Iterator[Problem]:
    """Offload to NVMe needs ZeRO stage 3; below it everything silently stays in memory."""
    deepspeed = engine(subject)
    if deepspeed and asked_optimizer_place(deepspeed) == "nvme" and deepspeed.zero_stage < 3:
        yield Problem(
            subject.blame("deepspeed.offload_optimizer.device", "deepspeed.nvme_offload"),
            f"with ZeRO stage {deepspeed.zero_stage} DeepSpeed writes nothing to the drive: the "
            "optimizer silently stays in memory",
            (
                put("deepspeed.zero_stage", 3),
                (
                    "offload to host memory instead",
                    {
                        "deepspeed.offload_optimizer.device": "cpu",
                        "deepspeed.nvme_offload": False,
                    },
                ),
            ),
        )


@rule("param-offload-needs-stage-3", "warning")
def param_offload_needs_stage_3(subject: Subject) -> Iterator[Problem]:
    """deepspeed.offload_param needs ZeRO stage 3; below it DeepSpeed ignores it."""
    deepspeed = engine(subject)
    if deepspeed and asked_parameters_place(deepspeed) != "none" and deepspeed.zero_stage < 3:
        yield Problem(
            "deepspeed.offload_param.device",
            f"with ZeRO stage {deepspeed.zero_stage} DeepSpeed ignores offload_param: parameters "
            "stay on the device",
            (
                put("deepspeed.zero_stage", 3),
                put("deepspeed.offload_param.device", "none"),
            ),
        )


@rule("offload-needs-zero", "warning")
def offload_needs_zero(subject: Subject) -> Iterator[Problem]:
    """Offload of the optimizer needs ZeRO stage 1 or higher."""
    deepspeed = engine(subject)
    if deepspeed and deepspeed.zero_stage == 0 and asked_optimizer_place(deepspeed) == "cpu":
        yield Problem(
            subject.blame("deepspeed.offload_optimizer.device", "deepspeed.cpu_offload"),
            "offload is a part of ZeRO: with zero_stage 0 there is nothing to offload",
            (put("deepspeed.zero_stage", 2),),
        )


@rule("reduce-scatter-scales-at-the-end", "error")
def reduce_scatter_scales_at_the_end(subject: Subject) -> Iterator[Problem]:
    """ZeRO stages 2 and 3 divide gradients after the sum, unless reduce_scatter is off."""
    deepspeed = engine(subject)
    if not deepspeed or deepspeed.zero_stage < 2 or not deepspeed.reduce_scatter:
        return
    for name, plain in (("prescale_gradients", False), ("gradient_predivide_factor", 1.0)):
        if getattr(deepspeed, name) != plain:
            yield Problem(
                f"deepspeed.{name}",
                f"with ZeRO stage {deepspeed.zero_stage} and reduce_scatter, DeepSpeed refuses to "
                "divide gradients before they are added up",
                (put(f"deepspeed.{name}", plain), put("deepspeed.reduce_scatter", False)),
            )


@rule("offload-ratio-needs-stage-3", "error")
def offload_ratio_needs_stage_3(subject: Subject) -> Iterator[Problem]:
    """offload_optimizer.ratio below 1 needs ZeRO stage 3."""
    deepspeed = engine(subject)
    if deepspeed and deepspeed.offload_optimizer.ratio < 1 and deepspeed.zero_stage != 3:
        yield Problem(
            "deepspeed.offload_optimizer.ratio",
            f"DeepSpeed refuses ratio {deepspeed.offload_optimizer.ratio:g} with ZeRO stage "
            f"{deepspeed.zero_stage}: a part of the optimizer is offloaded with stage 3 only",
            (put("deepspeed.offload_optimizer.ratio", 1.0), put("deepspeed.zero_stage", 3)),
        )


@rule("offload-agrees", "warning")
def offload_agrees(subject: Subject) -> Iterator[Problem]:
    """cpu_offload, nvme_offload and offload_optimizer.device name the same place."""
    deepspeed = engine(subject)
    if not deepspeed or deepspeed.offload_optimizer.device is None:
        return
    place = deepspeed.offload_optimizer.device
    for name, wanted, on in (
        ("nvme_offload", "nvme", deepspeed.nvme_offload),
        ("cpu_offload", "cpu", deepspeed.cpu_offload),
    ):
        if on and place in ("none", "cpu") and place != wanted:
            yield Problem(
                "deepspeed.offload_optimizer.device",
                f"offload_optimizer.device: {place} and {name}: true name two places; the device "
                "decides",
                (
                    put("deepspeed.offload_optimizer.device", wanted),
                    put(f"deepspeed.{name}", False),
                ),
            )
            return


@rule("one-bit-removed", "error")
def one_bit_removed(subject: Subject) -> Iterator[Problem]:
    """DeepSpeed has no 1-bit optimizers since 0.19.7."""
    optimizer = subject.config.training.optimizer
    if optimizer in _ONE_BIT:
        yield Problem(
            "training.optimizer",
            f"DeepSpeed removed {optimizer} in release 0.19.7 and refuses it; 0.19.6 is the last "
            "one that has it",
            (put("training.optimizer", "adamw"),),
        )


@rule("one-bit-with-zero", "error")
def one_bit_with_zero(subject: Subject) -> Iterator[Problem]:
    """A 1-bit optimizer needs ZeRO stage 0, in every release that had one."""
    optimizer, deepspeed = subject.config.training.optimizer, engine(subject)
    if deepspeed and optimizer in _ONE_BIT and deepspeed.zero_stage > 0:
        yield Problem(
            "deepspeed.zero_stage",
            f"{optimizer} is not compatible with ZeRO: DeepSpeed refuses it with stage "
            f"{deepspeed.zero_stage}",
            (put("training.optimizer", "adamw"),),
        )


@rule("zero-untested-optimizer", "error")
def zero_untested_optimizer(subject: Subject) -> Iterator[Problem]:
    """ZeRO runs with Adam, Adagrad and Lion; others need zero_allow_untested_optimizer."""
    optimizer, deepspeed = subject.config.training.optimizer, engine(subject)
    if not deepspeed or deepspeed.zero_stage == 0 or optimizer in (*_ONE_BIT, "muon"):
        return
    if optimizer not in _TESTED_WITH_ZERO and not deepspeed.zero_allow_untested_optimizer:
        yield Problem(
            subject.blame("training.optimizer", "deepspeed.zero_stage"),
            f"DeepSpeed has not tested {optimizer} with ZeRO and refuses it unless "
            "zero_allow_untested_optimizer is true",
            (
                put("training.optimizer", "adamw"),
                put("deepspeed.zero_allow_untested_optimizer", True),
            ),
        )


@rule("offload-needs-cpu-optimizer", "error")
def offload_needs_cpu_optimizer(subject: Subject) -> Iterator[Problem]:
    """Offload needs an optimizer that DeepSpeed has for the CPU: Adam, Adagrad or Lion."""
    optimizer, deepspeed = subject.config.training.optimizer, engine(subject)
    if (
        deepspeed
        and deepspeed.zero_stage > 0
        and asked_optimizer_place(deepspeed) != "none"
        and deepspeed.zero_force_ds_cpu_optimizer
        and optimizer not in (*_ON_CPU, *_ONE_BIT)
    ):
        yield Problem(
            subject.blame("training.optimizer", "deepspeed.cpu_offload"),
            f"DeepSpeed has no {optimizer} for the CPU, where the offloaded optimizer is updated",
            (
                put("training.optimizer", "adamw"),
                put("deepspeed.zero_force_ds_cpu_optimizer", False),
            ),
        )


@rule("deepspeed-removed-feature", "error")
def deepspeed_removed_feature(subject: Subject) -> Iterator[Problem]:
    """sparse_gradients and the MiCS keys were removed in DeepSpeed 0.19.8, which refuses them."""
    deepspeed = engine(subject)
    for name in ("sparse_gradients", "mics_shard_size", "mics_hierarchical_params_gather"):
        path = f"deepspeed.{name}"
        if deepspeed and getattr(deepspeed, name) != keys()[path].default:
            yield Problem(
                path,
                f"DeepSpeed removed {name} in release 0.19.8 and refuses a config that sets it",
                (drop(path), put(path, keys()[path].default)),
            )


@rule("stage-3-keys", "warning")
def stage_3_keys(subject: Subject) -> Iterator[Problem]:
    """Keys that only ZeRO stage 3 reads are set together with stage 3."""
    deepspeed = engine(subject)
    if not deepspeed or deepspeed.zero_stage == 3:
        return
    idle = [
        path
        for name in _STAGE_3_ONLY
        if subject.is_set(path := f"deepspeed.{name}")
        and value_at(subject.config, path) != keys()[path].default
    ]
    if idle:
        names = ", ".join(path.removeprefix("deepspeed.") for path in idle[:3])
        more = f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        yield Problem(
            idle[0],
            f"ZeRO stage {deepspeed.zero_stage} does not read {names}{more}: stage 3 does",
            (
                put("deepspeed.zero_stage", 3),
                ("take the defaults", {path: keys()[path].default for path in idle}),
            ),
        )


@rule("stage-0-accumulates-in-bf16", "error")
def stage_0_accumulates_in_bf16(subject: Subject) -> Iterator[Problem]:
    """bf16 with grad_accum_dtype fp32 needs ZeRO stage 1 or higher."""
    config, deepspeed = subject.config, engine(subject)
    if (
        deepspeed
        and deepspeed.zero_stage == 0
        and config.training.mixed_precision == "bf16"
        and deepspeed.grad_accum_dtype == "fp32"
    ):
        yield Problem(
            "deepspeed.grad_accum_dtype",
            "DeepSpeed without ZeRO cannot add up bf16 gradients in fp32 (NotImplementedError)",
            (put("deepspeed.zero_stage", 1), put("deepspeed.grad_accum_dtype", None)),
        )


@rule("hpz-divides-devices", "error")
def hpz_divides_devices(subject: Subject) -> Iterator[Problem]:
    """zero_hpz_partition_size divides the number of devices."""
    deepspeed, degrees = engine(subject), Degrees.of(subject.config)
    if deepspeed and deepspeed.zero_stage == 3:
        size = deepspeed.zero_hpz_partition_size
        if degrees.devices % size:
            local = subject.config.parallel.devices_per_node
            yield Problem(
                "deepspeed.zero_hpz_partition_size",
                f"groups of {size} do not divide {degrees.devices} devices",
                (put("deepspeed.zero_hpz_partition_size", local),),
            )


@rule("gradients-travel-in-fp16", "warning")
def gradients_travel_in_fp16(subject: Subject) -> Iterator[Problem]:
    """bf16 gradients do not travel in fp16, which has not their range."""
    config, deepspeed = subject.config, engine(subject)
    if (
        deepspeed
        and config.training.mixed_precision == "bf16"
        and deepspeed.communication_data_type == "fp16"
    ):
        yield Problem(
            "deepspeed.communication_data_type",
            "gradients are computed in bf16 and sent in fp16: large ones overflow, small ones "
            "become zero",
            (put("deepspeed.communication_data_type", "bf16"),),
        )


@rule("activation-section-alone", "warning")
def activation_section_alone(subject: Subject) -> Iterator[Problem]:
    """deepspeed.activation_checkpointing does nothing without training.gradient_checkpointing."""
    deepspeed = engine(subject)
    section = "deepspeed.activation_checkpointing"
    if not deepspeed or subject.config.training.gradient_checkpointing:
        return
    for name in ("partition_activations", "cpu_checkpointing", "contiguous_memory_optimization"):
        if getattr(deepspeed.activation_checkpointing, name):
            yield Problem(
                f"{section}.{name}",
                f"{name} says how activations are kept, but nothing is recomputed: "
                "training.gradient_checkpointing is false",
                (put("training.gradient_checkpointing", True),),
            )
            return


@rule("partition-needs-tensor-parallel", "hint")
def partition_needs_tensor_parallel(subject: Subject) -> Iterator[Problem]:
    """partition_activations shards over tensor-parallel devices, of which there are several."""
    config, deepspeed = subject.config, engine(subject)
    if (
        deepspeed
        and deepspeed.activation_checkpointing.partition_activations
        and config.parallel.tensor_parallel_size == 1
        and not deepspeed.activation_checkpointing.cpu_checkpointing
    ):
        path = "deepspeed.activation_checkpointing.partition_activations"
        yield Problem(
            path,
            "partition_activations shards over tensor-parallel devices; with one there is "
            "nothing to shard",
            (put(path, False),),
        )


@rule("deepspeed-said-twice", "warning")
def deepspeed_said_twice(subject: Subject) -> Iterator[Problem]:
    """deepspeed.config_file and keys of the section are not both given."""
    deepspeed = engine(subject)
    if not deepspeed or deepspeed.config_file is None:
        return
    others = [
        path
        for path in subject.origins
        if path.startswith("deepspeed.")
        and path in keys()
        and path not in ("deepspeed.config_file", "deepspeed.enabled")
        and value_at(subject.config, path) != keys()[path].default
    ]
    if others:
        names = ", ".join(path.removeprefix("deepspeed.") for path in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield Problem(
            "deepspeed.config_file",
            f"{deepspeed.config_file} holds the settings, so {names}{more} may say something else",
            (put("deepspeed.config_file", None),),
        )


@rule("deepspeed-needs-gpu", "error")
def deepspeed_needs_gpu(subject: Subject) -> Iterator[Problem]:
    """Quantised exchange, Lamb and Lion have no CPU version in DeepSpeed."""
    config, deepspeed = subject.config, engine(subject)
    if not deepspeed or config.run.device != "cpu":
        return
    for name in ("zero_quantized_weights", "zero_quantized_gradients"):
        if getattr(deepspeed, name):
            yield Problem(
                f"deepspeed.{name}",
                f"DeepSpeed has {name} for GPUs only, and run.device is cpu",
                (put(f"deepspeed.{name}", False),),
            )
    kept = asked_optimizer_place(deepspeed) == "none"  # offloaded, Lion has a CPU version
    if deepspeed.enabled and kept and config.training.optimizer in ("lamb", "lion"):
        yield Problem(
            "training.optimizer",
            f"DeepSpeed has {config.training.optimizer} for GPUs only, and run.device is cpu",
            (put("training.optimizer", "adamw"),),
        )


@rule("bucket-memory", "warning")
def bucket_memory(subject: Subject) -> Iterator[Problem]:
    """Communication buckets take a small part of the device's memory."""
    deepspeed, hardware = engine(subject), subject.hardware
    if not deepspeed or hardware is None or not 0 < deepspeed.zero_stage < 3:
        return
    if not (deepspeed.overlap_comm and hardware.memory_bytes):
        return
    # DeepSpeed with overlap_comm holds about 4.5 times both buckets in 16 bits
    # (Hugging Face's guide to ZeRO: 5e8 elements are 9 GB).
    taken = 4.5 * 2 * (deepspeed.allgather_bucket_size + deepspeed.reduce_bucket_size)
    if taken > hardware.memory_bytes / 4:
        fitting = int(hardware.memory_bytes / 10 / (4.5 * 2 * 2) // 1_000_000 * 1_000_000)
        both = {
            "deepspeed.allgather_bucket_size": fitting,
            "deepspeed.reduce_bucket_size": fitting,
        }
        yield Problem(
            subject.blame("deepspeed.reduce_bucket_size", "deepspeed.overlap_comm"),
            f"with overlap_comm the buckets take about {units.size(taken)} of the "
            f"{units.size(hardware.memory_bytes)} of {hardware.title}",
            ((f"both buckets: {fitting}", both), put("deepspeed.overlap_comm", False)),
        )

"""What the system's own loader says to a file: it builds dataclasses from its sections, in order.

A key that a dataclass does not know stops it, and so does one that it needs and misses. The
messages are those of Python for such calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.dialects.deepseek_v3.size import impossible_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Stop:
    """One reason why the loader stops.

    Attributes:
        path: The key; that of the section where one is missing.
        message: What it prints.
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A dataclass that is made from a section."""

    name: str
    section: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_MLA = _Call(
    "MLAConfig",
    "model.mla",
    optional=(
        "d_model", "d_latent", "num_heads", "num_kv_heads", "use_fp8_kv", "max_context_length",
        "use_flash_mla", "flash_mla_backend", "fallback_to_dense", "use_rope", "rope_theta",
        "sliding_window", "attn_dropout",
    ),
)  # fmt: skip
_MOE = _Call(
    "MoEConfig",
    "model.moe",
    optional=(
        "num_experts", "num_experts_per_token", "expert_intermediate_size", "expert_dim",
        "dropout", "num_expert_segments", "expert_segment_sizes", "segment_routing",
        "num_shared_experts", "shared_intermediate_size", "router_aux_loss_weight",
        "router_temperature", "router_noise_std", "router_bias_decay", "capacity_factor",
        "use_aux_loss_free", "balance_loss_type", "min_expert_capacity", "use_deep_ep",
        "deep_ep_fp8", "deep_ep_async",
    ),
)  # fmt: skip
_TRAINING = _Call(
    "TrainingConfig",
    "training",
    optional=(
        "global_batch_size", "micro_batch_size", "seq_length", "tokens_per_parameter_ratio",
        "total_training_tokens", "learning_rate", "min_learning_rate", "lr_warmup_steps",
        "lr_decay_style", "weight_decay", "grad_clip", "use_fp16", "use_bf16", "use_fp8",
        "use_mtp", "num_predict_tokens", "mtp_tokens", "lm_loss_weight", "mtp_loss_weight",
        "mtp_loss_weights", "moe_aux_loss_weight", "audio_loss_weight", "text_loss_weight",
        "train_steps", "eval_interval", "save_interval", "log_interval", "optimizer",
        "adam_beta1", "adam_beta2", "adam_eps",
    ),
)  # fmt: skip
_PARALLEL = (
    "tensor_parallel_size", "pipeline_parallel_size", "expert_parallel_size",
    "data_parallel_size", "zero_stage", "zero_offload", "overlap_grad_reduce",
    "overlap_param_gather",
)  # fmt: skip
_MODEL = (
    "num_layers", "vocab_size", "norm_type", "norm_eps", "tie_word_embeddings", "init_method_std"
)  # fmt: skip
_REST = (
    _Call(
        "DataConfig",
        "data",
        ("dataset_name", "dataset_version", "cache_dir", "preprocessing", "sources"),
    ),
    _Call(
        "DistributedConfig",
        "distributed",
        ("backend", "launcher", *_PARALLEL, "deepspeed", "slurm"),
    ),
    _Call(
        "CheckpointingConfig",
        "checkpointing",
        (
            "save_interval", "save_total_limit", "resume_from_checkpoint", "checkpoint_format",
            "save_optimizer_states",
        ),
    ),
    _Call("LoggingConfig", "logging", ("log_interval", "wandb", "tensorboard")),
    _Call(
        "ValidationConfig", "validation", ("enabled", "eval_interval", "eval_samples", "metrics")
    ),
)  # fmt: skip


def stops(tree: dict[str, Any]) -> list[Stop]:
    """Every reason why the loader refuses a file, in its order: it prints the first and ends."""
    return list(_stops(tree))


def _stops(tree: dict[str, Any]) -> Iterator[Stop]:
    if "model" not in tree:
        yield Stop("model", "KeyError: 'model'")
    model = _mapping(tree.get("model"))
    for call, check in ((_MLA, _check_mla), (_MOE, _check_moe)):
        name = call.section.rpartition(".")[2]
        if name not in model:
            yield Stop(call.section, f"KeyError: {name!r}")
            continue
        section = _mapping(model[name])
        yield from _call(call, section)
        yield from check(section)
    if "training" in tree:
        yield from _call(_TRAINING, _mapping(tree["training"]))
    else:
        yield Stop("training", "KeyError: 'training'")
    if "distributed" in tree:
        yield from _lookups("distributed", _mapping(tree["distributed"]), _PARALLEL)
    else:
        yield Stop("distributed", "KeyError: 'distributed'")
    yield from _lookups("model", model, _MODEL)
    for call in _REST:
        if call.section in tree:
            yield from _call(call, _mapping(tree[call.section]))
        else:
            yield Stop(call.section, f"KeyError: {call.section!r}")
    yield from _lookups("", tree, ("experiment_name", "output_dir", "seed"))
    if impossible_vocabulary(model.get("vocab_size")):
        yield Stop(
            "model.vocab_size",
            "RuntimeError: Trying to create tensor with negative dimension: the code sets 116,000 "
            "rows of a vocabulary above 51,540 aside",
        )


def _call(call: _Call, section: Mapping[str, Any]) -> Iterator[Stop]:
    known = {*call.required, *call.optional}
    for name in section:
        if name not in known:
            yield Stop(
                f"{call.section}.{name}",
                f"TypeError: {call.name}.__init__() got an unexpected keyword argument {name!r}",
            )
    missing = [name for name in call.required if name not in section]
    if missing:
        many = "argument" if len(missing) == 1 else "arguments"
        yield Stop(
            call.section,
            f"TypeError: {call.name}.__init__() missing {len(missing)} required positional "
            f"{many}: {_listed(missing)}",
        )


def _lookups(prefix: str, section: Mapping[str, Any], needed: tuple[str, ...]) -> Iterator[Stop]:
    for name in needed:
        if name not in section:
            yield Stop(prefix or name, f"KeyError: {name!r}")


def _check_mla(section: Mapping[str, Any]) -> Iterator[Stop]:
    width, latent = section.get("d_model", 7168), section.get("d_latent", 1536)
    heads, groups = section.get("num_heads", 128), section.get("num_kv_heads")
    if not all(_is_count(value) for value in (width, latent, heads)):
        return
    if latent >= width:
        yield _value("mla.d_latent", f"d_latent ({latent}) must be < d_model ({width})")
    if width % heads:
        yield _value("mla.num_heads", f"d_model ({width}) must be divisible by num_heads ({heads})")
    if not _is_count(groups):
        return
    if groups > heads:
        yield _value(
            "mla.num_kv_heads",
            f"num_kv_heads ({groups}) cannot be greater than num_heads ({heads})",
        )
    elif heads % groups:
        yield _value(
            "mla.num_kv_heads",
            f"num_heads ({heads}) must be divisible by num_kv_heads ({groups}) for GQA",
        )


def _check_moe(section: Mapping[str, Any]) -> Iterator[Stop]:
    experts, chosen = section.get("num_experts", 256), section.get("num_experts_per_token", 2)
    if _is_count(experts) and _is_count(chosen) and chosen > experts:
        yield _value(
            "moe.num_experts_per_token",
            f"top_k ({chosen}) cannot exceed num_experts ({experts})",
        )
    segments, sizes = section.get("num_expert_segments", 1), section.get("expert_segment_sizes")
    inner = section.get("expert_intermediate_size", 18432)
    if isinstance(segments, int) and segments < 1:
        yield _value("moe.num_expert_segments", f"num_expert_segments ({segments}) must be >= 1")
    if isinstance(sizes, list):
        if len(sizes) != segments:
            yield _value(
                "moe.expert_segment_sizes",
                f"expert_segment_sizes length ({len(sizes)}) must match num_expert_segments "
                f"({segments})",
            )
        elif all(isinstance(size, int) for size in sizes) and sum(sizes) != inner:
            yield _value(
                "moe.expert_segment_sizes",
                f"sum of expert_segment_sizes ({sum(sizes)}) must equal "
                f"expert_intermediate_size ({inner})",
            )
    routing = section.get("segment_routing", "independent")
    if routing not in ("independent", "shared"):
        yield _value(
            "moe.segment_routing",
            f"segment_routing must be 'independent' or 'shared', got: {routing}",
        )


def _value(path: str, message: str) -> Stop:
    return Stop(f"model.{path}", f"ValueError: {message}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(names: list[str]) -> str:
    """Names as Python lists them: 'a', 'b', and 'c'."""
    quoted = [repr(name) for name in names]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"

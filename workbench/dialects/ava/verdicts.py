"""What Ava's own programs do with a key: very little of a file is read by train.py.

``train.py`` builds its settings from its command line, then takes some values over from the file;
every other value of the file is only logged. ``train_rlhf.py`` reads the section ``rlhf`` and the
learning-rate search reads ``lr_finder``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.dialects.base import Verdict

NESTED = (
    "enhanced_features", "deepspeed", "performance", "memory", "lr_finder", "device", "fp16", "bf16"
)  # fmt: skip
"""Sections that some presets keep below ``training``, where train.py does not look for them."""

_READ: dict[str, str] = {
    "training": (
        "batch_size gradient_accumulation gradient_accumulation_steps learning_rate num_epochs "
        "epochs weight_decay optimizer save_steps eval_steps eval_steps_type"
    ),
    "training.adaptive_lr": (
        "batch_loss_window plateau_patience plateau_factor lr_check_interval min_lr max_lr "
        "stability_threshold increase_factor min_improvement divergence_threshold "
        "emergency_factor"
    ),
    "training.dynamic_batching": (
        "enabled min_batch_size max_batch_size target_memory_utilization adjustment_frequency "
        "adjustment_factor warmup_steps smooth_transitions"
    ),
    "data": "data_dir max_length buffer_size max_samples tokenizer_name",
    "tokenizer": "name",
    "deepspeed": (
        "use_deepspeed zero_stage cpu_offload nvme_offload gradient_accumulation_steps "
        "train_batch_size micro_batch_size precision_type"
    ),
    "enhanced_features.architecture": (
        "use_moh use_moa use_cross_attention use_alibi expert_routing_type"
    ),
    "enhanced_features.losses": (
        "use_multi_token_prediction num_future_tokens mtp_weight initial_temperature "
        "adaptive_temperature label_smoothing use_moe_balancing gradient_balance_weight "
        "auxiliary_loss focal_loss contrastive_loss diversity_loss adaptive_loss_scaling"
    ),
    "model": (
        "vocab_size hidden_size num_layers num_attention_heads intermediate_size "
        "max_position_embeddings num_experts num_experts_per_token expert_capacity_factor "
        "router_aux_loss_coef router_jitter_noise attention_dropout hidden_dropout dropout "
        "layer_norm_eps use_flash_attention use_cache rope_theta hidden_act initializer_range "
        "deepspeed_activation_checkpointing deepspeed_partition_activations "
        "deepspeed_moe_param_groups entropy_regularization output_diversity_weight "
        "eos_logit_bias eos_token_id min_sequence_length"
    ),
    "performance": (
        "enable_torch_compile torch_compile_mode torch_compile_fullgraph "
        "torch_compile_disable_cudagraphs"
    ),
    "rlhf": "",  # train_rlhf.py reads the whole section
    "lr_finder": (
        "start_lr end_lr num_iterations beta suggestion_method use_savgol_filter savgol_window "
        "num_runs momentum_cycling track_validation gradient_accumulation_steps"
    ),
}

_OVERWRITTEN = "enhanced_features.architecture decides it"
_UNREAD: dict[str, str] = {
    "deepspeed.enabled": "train.py reads deepspeed.use_deepspeed: DeepSpeed stays off",
    "deepspeed.precision": "train.py reads deepspeed.precision_type, which is bf16 by default",
    "deepspeed.offload_optimizer": "train.py takes eight keys of deepspeed, and not this one",
    "deepspeed": "train.py takes eight keys of deepspeed, and not this one",
    "model.router_type": _OVERWRITTEN,
    "model.use_moh": _OVERWRITTEN,
    "model.use_moa": _OVERWRITTEN,
    "model.use_cross_attention": _OVERWRITTEN,
    "model.use_alibi": _OVERWRITTEN,
    "model.tie_word_embeddings": "the output matrix is never tied",
    "model": "EnhancedMoEConfig has no such field: it is dropped",
    "enhanced_features.include_retrieval_targets": (
        "it stands in enhanced_features by its indentation, and was meant for data"
    ),
    "enhanced_features.retrieval_corpus_path": (
        "it stands in enhanced_features by its indentation, and was meant for data"
    ),
    "enhanced_features.rag": "train.py takes it from --use-rag and its fellows",
    "enhanced_features.gradient": "train.py takes it from --gradient-surgery and its fellows",
    "enhanced_features.memory": "train.py takes it from --use-episodic-memory and its fellows",
    "enhanced_features.quantization": "train.py takes it from --quantization-aware and its fellows",
    "enhanced_features": "train.py takes architecture and losses from here, and not this",
    "training.max_gradient_norm": "train.py clips at --max-gradient-norm, which is 1.0 by default",
    "training.mixed_precision": "train.py always computes in fp16",
    "training.gradient_health": "train.py has thresholds of its own",
    "training.adam_betas": "train.py takes 0.9 and 0.95",
    "training.beta1": "train.py takes 0.9 and 0.95; only the learning-rate search reads it",
    "training.beta2": "train.py takes 0.9 and 0.95; only the learning-rate search reads it",
    "training.eps": "train.py takes PyTorch's 1e-8; only the learning-rate search reads it",
    "training.max_steps": "train.py trains for whole epochs",
    "training": "train.py does not take it over from the file",
    "data": "train.py does not take it over from the file",
    "fp16": "train.py always computes in fp16",
    "bf16": "train.py always computes in fp16",
    "run_management": "train.py takes it from --run-name and its fellows",
    "output": "train.py takes it from --output-dir and its fellows",
    "wandb": "train.py takes it from --use-wandb and its fellows",
    "evaluation": "train.py takes it from its command line",
    "lr_finder": "the learning-rate search does not read it",
    "architecture": "train.py looks for it below enhanced_features",
    "losses": "train.py looks for it below enhanced_features",
    "gradient": "train.py looks for it below enhanced_features",
    "adaptive_mtp": "train.py looks for it below enhanced_features",
    "hardware": "a note for people",
    "compilation": "train.py reads performance.enable_torch_compile",
    "performance.torch_compile": "train.py reads performance.enable_torch_compile",
}
_ELSEWHERE = "no program of Ava's reads it"


def verdict(path: str) -> tuple[Verdict, str]:
    """What Ava's programs do with a key, and why where they do not read it."""
    section, _, name = path.rpartition(".")
    if top(path) != path:
        return "ignored", "train.py looks for it at the top of the file, not below training"
    if path == "rlhf" or path.startswith("rlhf."):
        return "read", "train_rlhf.py reads it; train.py does not"
    if name in _READ.get(section, "").split():
        return "read", ""
    here = path
    while here:
        if here in _UNREAD:
            return "ignored", _UNREAD[here]
        here = here.rpartition(".")[0]
    return "ignored", _ELSEWHERE


def top(path: str) -> str:
    """A key by its name at the top of a file: ``training.deepspeed.x`` is ``deepspeed.x``."""
    first, _, rest = path.partition(".")
    return rest if first == "training" and rest.partition(".")[0] in NESTED else path

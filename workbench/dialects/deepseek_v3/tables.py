"""What each key of the main files means here: the claims that it makes."""

from __future__ import annotations

from typing import Any

from workbench.dialects.building import To
from workbench.dialects.claims import Claim, Claims
from workbench.dialects.deepseek_v3.words import (
    bf16_alone,
    either,
    is_bf16,
    none_is_zero,
    prefers,
    says_nothing,
    switch,
    words,
    zero_is_none,
)

_DECAY = words(
    {"cosine": "cosine", "linear": "linear", "constant": "constant"}, "learning-rate schedule"
)
_BALANCE = words({"entropy": "entropy", "load": "load"}, "balance loss")
_KERNEL = words({"auto": "auto", "sparse": "sparse", "dense": "dense"}, "kernel")
_NORM = words({"rmsnorm": "rmsnorm", "layernorm": "layernorm"}, "norm")
_FORMAT = words(
    {"deepspeed": "deepspeed", "pytorch": "torch", "safetensors": "safetensors"},
    "checkpoint format",
)
_STRATEGY = words({"deepspeed": "deepspeed"}, "strategy")
_CARRIER = words({"nccl": "nccl", "gloo": "gloo", "mpi": "mpi"}, "backend")
_LAUNCHER = words({"deepspeed": "deepspeed", "torchrun": "torchrun", "slurm": "slurm"}, "launcher")
_SCALED = words({"bfloat16": "bf16", "float16": "fp16", "float32": "no"}, "precision")
_DEVICE = words({"cpu": "cpu", "cuda": "cuda", "auto": "auto"}, "device")


def plain(theirs: str, ours: str, *, writes: bool = True, note: str = "") -> Claim:
    """A key whose values are the same on both sides."""
    return Claim(theirs, To(ours, writes=writes, note=note))


def turned(
    theirs: str, ours: str, pair: tuple[Any, Any], *, writes: bool = True, note: str = ""
) -> Claim:
    """A key whose values have to be translated."""
    return Claim(theirs, To(ours, pair[0], pair[1], note=note, writes=writes))


MODEL = (
    plain("model.num_layers", "model.num_layers"),
    plain("model.vocab_size", "model.vocab_size"),
    turned("model.norm_type", "model.norm_type", _NORM),
    plain("model.norm_eps", "model.layer_norm_eps"),
    plain("model.tie_word_embeddings", "model.tie_word_embeddings"),
    plain("model.init_method_std", "model.initializer_range"),
    plain("model.dense_layer_interval", "model.moe.dense_layer_interval"),
    plain("model.mla.d_model", "model.hidden_size"),
    plain("model.mla.d_latent", "model.mla.kv_lora_rank"),
    plain("model.mla.num_heads", "model.num_attention_heads"),
    plain("model.mla.num_kv_heads", "model.num_key_value_heads"),
    plain("model.mla.use_fp8_kv", "model.mla.use_fp8_kv"),
    plain("model.mla.max_context_length", "model.max_position_embeddings"),
    turned("model.mla.flash_mla_backend", "model.mla.backend", _KERNEL),
    plain("model.mla.fallback_to_dense", "model.mla.fallback_to_dense"),
    turned("model.mla.use_rope", "model.position_embedding_type", either("rope", "none")),
    plain("model.mla.rope_theta", "model.rope_theta"),
    plain("model.mla.sliding_window", "model.sliding_window"),
    plain("model.mla.attn_dropout", "model.attention_dropout"),
    plain("model.moe.num_experts", "model.num_experts"),
    plain("model.moe.num_experts_per_token", "model.num_experts_per_token"),
    plain("model.moe.expert_intermediate_size", "model.moe.expert_intermediate_size"),
    plain("model.moe.expert_dim", "model.moe.expert_intermediate_size"),
    plain("model.moe.dropout", "model.expert_dropout"),
    plain("model.moe.num_expert_segments", "model.moe.num_expert_segments"),
    plain("model.moe.expert_segment_sizes", "model.moe.expert_segment_sizes"),
    plain("model.moe.segment_routing", "model.moe.segment_routing"),
    plain("model.moe.num_shared_experts", "model.moe.num_shared_experts"),
    turned(
        "model.moe.shared_intermediate_size",
        "model.moe.shared_intermediate_size",
        (zero_is_none, none_is_zero),
    ),
    plain("model.moe.router_aux_loss_weight", "model.router_aux_loss_coef"),
    plain("model.moe.router_temperature", "model.moe.router_temperature"),
    plain("model.moe.router_noise_std", "model.moe.router_noise_std"),
    plain("model.moe.router_bias_decay", "model.moe_balancing.bias_decay"),
    plain("model.moe.capacity_factor", "model.expert_capacity_factor"),
    turned(
        "model.moe.use_aux_loss_free",
        "model.moe_balancing.method",
        either("loss_free", "aux_loss"),
    ),
    turned("model.moe.balance_loss_type", "model.moe_balancing.loss_type", _BALANCE),
    plain("model.moe.min_expert_capacity", "model.moe.min_expert_capacity"),
    plain("model.moe.use_deep_ep", "parallel.use_deep_ep"),
    plain("model.moe.deep_ep_fp8", "parallel.deep_ep_fp8"),
    plain("model.moe.deep_ep_async", "parallel.deep_ep_async"),
)

TRAINING = (
    plain("training.micro_batch_size", "training.batch_size"),
    plain("training.seq_length", "data.max_length"),
    plain("training.tokens_per_parameter_ratio", "training.tokens_per_parameter_ratio"),
    plain("training.total_training_tokens", "training.total_training_tokens"),
    plain("training.learning_rate", "training.learning_rate"),
    plain("training.min_learning_rate", "training.lr_end"),
    plain("training.lr_warmup_steps", "training.warmup_steps"),
    turned("training.lr_decay_style", "training.lr_scheduler_type", _DECAY),
    plain("training.weight_decay", "training.weight_decay"),
    plain("training.grad_clip", "training.max_gradient_norm"),
    turned("training.use_fp8", "training.mixed_precision", switch("fp8")),
    turned("training.use_fp16", "training.mixed_precision", switch("fp16")),
    Claim(
        "training.use_bf16",
        To("training.mixed_precision", says_nothing, is_bf16),
        alone=bf16_alone,
    ),
    turned("gpu_optimization.autocast_dtype", "training.mixed_precision", _SCALED, writes=False),
    plain("training.use_mtp", "training.mtp.enabled"),
    plain("training.num_predict_tokens", "training.mtp.num_future_tokens"),
    plain("training.mtp_tokens", "training.mtp.num_future_tokens"),
    plain("training.lm_loss_weight", "training.mtp.primary_loss_weight"),
    plain("training.mtp_loss_weight", "training.mtp.loss_weight"),
    plain("training.mtp_loss_weights", "training.mtp.loss_weights"),
    plain("training.train_steps", "training.max_steps"),
    plain("training.eval_interval", "training.eval_steps"),
    plain("validation.eval_interval", "training.eval_steps"),
    plain("training.save_interval", "training.save_steps"),
    plain("checkpointing.save_interval", "training.save_steps"),
    plain("training.log_interval", "training.logging_steps"),
    plain("logging.log_interval", "training.logging_steps"),
    plain("training.optimizer", "training.optimizer"),
    plain("training.adam_beta1", "training.beta1"),
    plain("training.adam_beta2", "training.beta2"),
    plain("training.adam_eps", "training.eps"),
    turned("training.device", "run.device", _DEVICE, writes=False),
    plain("training.gradient_checkpointing", "training.gradient_checkpointing", writes=False),
    plain(
        "memory_optimization.use_gradient_checkpointing",
        "training.gradient_checkpointing",
        writes=False,
    ),
    turned(
        "training.memory_efficient_attention",
        "model.attention_implementation",
        prefers("sdpa", "auto"),
        writes=False,
    ),
    turned(
        "gpu_optimization.flash_attention",
        "model.attention_implementation",
        prefers("flash", "auto"),
        writes=False,
    ),
    plain("gpu_optimization.torch_compile", "training.compile.enabled", writes=False),
)

REST = (
    plain("experiment_name", "run.name"),
    plain("output_dir", "run.runs_dir"),
    plain("seed", "run.seed"),
    plain("data.dataset_name", "data.dataset_name"),
    plain("data.dataset", "data.dataset_name", writes=False),
    plain("data.dataset_version", "data.dataset_config_name"),
    plain("data.version", "data.dataset_config_name", writes=False),
    plain("data.cache_dir", "data.cache_dir"),
    plain("data.max_samples", "data.max_train_examples", writes=False),
    plain("data.preprocessing.num_workers", "data.dataloader_num_workers"),
    plain("data.preprocessing.shuffle", "data.shuffle"),
    plain("data.preprocessing.shuffle_seed", "data.shuffle_seed"),
    plain("data.preprocessing.streaming", "data.streaming"),
    plain("data.preprocessing.buffer_size", "data.buffer_size"),
    plain("data.preprocessing.prefetch_factor", "data.dataloader_prefetch_factor"),
    plain("data.preprocessing.pin_memory", "data.dataloader_pin_memory"),
    turned("distributed.backend", "parallel.backend", _CARRIER, writes=False),
    turned("distributed.backend", "parallel.strategy", _STRATEGY, writes=False),
    turned("distributed.launcher", "parallel.launcher", _LAUNCHER),
    plain("distributed.tensor_parallel_size", "parallel.tensor_parallel_size"),
    plain("distributed.pipeline_parallel_size", "parallel.pipeline_parallel_size"),
    plain("distributed.expert_parallel_size", "parallel.expert_parallel_size"),
    plain("distributed.zero_stage", "deepspeed.zero_stage"),
    plain("distributed.zero_offload", "deepspeed.cpu_offload"),
    plain("distributed.overlap_grad_reduce", "parallel.overlap_grad_reduce"),
    plain("distributed.overlap_param_gather", "parallel.overlap_param_gather"),
    plain("distributed.deepspeed.enabled", "deepspeed.enabled"),
    plain("checkpointing.save_total_limit", "training.save_total_limit"),
    plain("checkpointing.resume_from_checkpoint", "checkpointing.resume_from_checkpoint"),
    turned("checkpointing.checkpoint_format", "checkpointing.format", _FORMAT),
    plain("checkpointing.save_optimizer_states", "checkpointing.save_optimizer_states"),
    plain("checkpointing.load_pretrained_text_model", "model.pretrained_path", writes=False),
    plain("logging.wandb.enabled", "logging.wandb.enabled"),
    plain("logging.wandb.project", "logging.wandb.project"),
    plain("logging.wandb.entity", "logging.wandb.entity"),
    plain("logging.wandb.name", "logging.wandb.name"),
    plain("logging.wandb.tags", "logging.wandb.tags"),
    plain("logging.tensorboard.enabled", "logging.tensorboard.enabled"),
    plain("logging.tensorboard.log_dir", "logging.tensorboard.log_dir"),
    turned("validation.enabled", "training.eval_strategy", either("steps", "no")),
    plain("validation.eval_samples", "data.max_eval_examples"),
    plain("validation.metrics", "evaluation.metrics"),
)

MAIN = Claims((*MODEL, *TRAINING, *REST))
"""Every key of a main file that is a key here, except those that `reading` has to reckon with."""

"""Other spellings of one fact: tables only; `spelling` reads them.

Ava's files, DeepSpeed's, DeepSeek's and our own users say many things in several places. Each fact
has one key in the schema; its other spellings stand here, by the key that they mean. Keys that mean
nothing here are in `retired`.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.config.conversions import (
    Convert,
    enabled,
    flag,
    item,
    listed,
    loss_scale,
    negated,
    number,
    smoothing,
    unless,
    words,
)


@dataclass(frozen=True, slots=True)
class Alias:
    """What a spelling means.

    Attributes:
        target: The key.
        convert: How the value becomes the key's value; None leaves it as it is.
        takes: What may stand there, in words, where that is not what the key takes.
    """

    target: str
    convert: Convert | None = None
    takes: str | None = None


SAME: dict[str, tuple[str, ...]] = {
    "model.pretrained_path": ("model.model_path", "model.pretrained_model_name_or_path"),
    "model.hidden_size": (
        "model.d_model",
        "model.embedding_dim",
        "model.hidden_dim",
        "model.hidden_width",
        "model.mla.d_model",
        "model.n_embd",
    ),
    "model.num_layers": (
        "model.n_layer",
        "model.n_layers",
        "model.num_blocks",
        "model.num_hidden_layers",
    ),
    "model.num_attention_heads": (
        "model.mla.num_heads",
        "model.n_head",
        "model.n_heads",
        "model.num_heads",
    ),
    "model.num_key_value_heads": (
        "model.mla.num_kv_heads",
        "model.n_kv_heads",
        "model.num_groups",
        "model.num_kv_heads",
    ),
    "model.intermediate_size": (
        "model.d_ff",
        "model.ffn_dim",
        "model.ffn_hidden_size",
        "model.intermediate_dim",
        "model.mlp_dim",
    ),
    "model.max_position_embeddings": (
        "model.max_context_length",
        "model.max_context_width",
        "model.max_seq_len",
        "model.max_sequence_length",
        "model.mla.max_context_length",
        "model.n_positions",
    ),
    "model.layer_norm_eps": ("model.layer_norm_epsilon", "model.norm_eps", "model.rms_norm_eps"),
    "model.rope_theta": ("model.mla.rope_theta", "model.rotary_emb_base", "model.theta"),
    "model.partial_rotary_factor": ("model.rotary_pct",),
    "model.sliding_window": ("model.mla.sliding_window",),
    "model.tie_word_embeddings": ("model.tie_embeddings",),
    "model.initializer_range": ("model.init_method_std", "model.init_std"),
    "model.attention_dropout": (
        "model.attn_dropout",
        "model.attn_pdrop",
        "model.mla.attn_dropout",
    ),
    "model.hidden_dropout": ("model.dropout", "model.dropout_prob", "model.resid_pdrop"),
    "model.embedding_dropout": ("model.embd_pdrop",),
    "model.expert_dropout": ("model.moe.dropout", "model.moe_dropout"),
    "model.num_experts": (
        "model.moe.num_experts",
        "model.n_experts",
        "model.n_routed_experts",
        "model.num_local_experts",
    ),
    "model.num_experts_per_token": (
        "model.moe.num_experts_per_token",
        "model.n_activated_experts",
        "model.num_experts_per_tok",
    ),
    "model.expert_capacity_factor": ("model.capacity_factor", "model.moe.capacity_factor"),
    "model.router_type": ("enhanced_features.architecture.expert_routing_type",),
    "model.router_aux_loss_coef": (
        "model.aux_loss_coef",
        "model.moe.router_aux_loss_weight",
        "model.router_aux_loss_weight",
        "training.moe_aux_loss_weight",
    ),
    "model.router_z_loss_coef": ("model.router_z_loss_weight", "model.z_loss_coef"),
    "model.use_moh": ("enhanced_features.architecture.use_moh",),
    "model.use_moa": ("enhanced_features.architecture.use_moa",),
    "model.use_cross_attention": ("enhanced_features.architecture.use_cross_attention",),
    "model.use_episodic_memory": ("enhanced_features.memory.use_episodic_memory",),
    "model.rope_scaling.type": ("model.rope_scaling.rope_type",),
    "model.rope_scaling.factor": ("model.rope_scaling.scaling_factor",),
    "model.rope_scaling.original_max_position_embeddings": (
        "model.rope_scaling.original_context_length",
    ),
    "model.mla.kv_lora_rank": ("model.d_latent", "model.kv_lora_rank", "model.mla.d_latent"),
    "model.mla.q_lora_rank": ("model.q_lora_rank",),
    "model.mla.qk_nope_head_dim": ("model.qk_nope_head_dim",),
    "model.mla.qk_rope_head_dim": ("model.qk_rope_head_dim",),
    "model.mla.v_head_dim": ("model.v_head_dim",),
    "model.mla.backend": ("model.mla.flash_mla_backend",),
    "model.moe.expert_intermediate_size": (
        "model.expert_intermediate_size",
        "model.moe.expert_dim",
        "model.moe_inter_dim",
        "model.moe_intermediate_size",
    ),
    "model.moe.num_shared_experts": ("model.n_shared_experts", "model.num_shared_experts"),
    "model.moe.dense_layer_interval": ("model.dense_layer_interval",),
    "model.moe.num_dense_layers": ("model.first_k_dense_replace", "model.n_dense_layers"),
    "model.moe.num_expert_groups": ("model.n_expert_groups", "model.n_group"),
    "model.moe.num_limited_groups": ("model.n_limited_groups", "model.topk_group"),
    "model.moe.score_function": ("model.score_func", "model.scoring_func"),
    "model.moe.normalize_expert_weights": ("model.norm_topk_prob",),
    "model.moe.routed_scaling_factor": ("model.route_scale", "model.routed_scaling_factor"),
    "model.moe_balancing.bias_decay": ("model.moe.router_bias_decay",),
    "model.moe_balancing.loss_type": ("model.moe.balance_loss_type",),
    "model.moe_balancing.gradient_balance_weight": ("training.losses.gradient_balance_weight",),
    "model.episodic_memory.capacity": (
        "enhanced_features.memory.memory_capacity",
        "model.memory_size",
    ),
    "model.episodic_memory.selection_strategy": (
        "enhanced_features.memory.memory_selection_strategy",
    ),
    "model.episodic_memory.importance_threshold": (
        "enhanced_features.memory.memory_importance_threshold",
    ),
    "model.episodic_memory.retrieval_method": ("enhanced_features.memory.memory_retrieval_method",),
    "model.episodic_memory.replay_ratio": ("enhanced_features.memory.memory_replay_ratio",),
    "model.episodic_memory.replay_strategy": ("enhanced_features.memory.memory_replay_strategy",),
    "model.episodic_memory.adaptation_rate": ("enhanced_features.memory.memory_adaptation_rate",),
    "model.episodic_memory.performance_window": (
        "enhanced_features.memory.memory_performance_window",
    ),
    "model.episodic_memory.task_id": ("enhanced_features.memory.task_id",),
    "training.batch_size": (
        "data.batch_size",
        "data.train_batch_size",
        "training.micro_batch_size",
        "training.per_device_train_batch_size",
        "training.train_micro_batch_size_per_gpu",
    ),
    "training.gradient_accumulation_steps": (
        "training.accumulation_steps",
        "training.grad_accum_steps",
        "training.grad_accumulation_steps",
        "training.gradient_accumulation",
        "training.lr_finder.gradient_accumulation_steps",
    ),
    "training.global_batch_size": ("training.effective_batch_size",),
    "training.max_steps": (
        "training.max_iters",
        "training.max_training_steps",
        "training.num_train_steps",
        "training.total_steps",
        "training.train_steps",
    ),
    "training.num_epochs": ("training.epochs", "training.num_train_epochs"),
    "training.total_training_tokens": ("data.chinchilla_tokens", "training.max_tokens"),
    "training.learning_rate": ("training.lr", "training.max_lr", "training.peak_lr"),
    "training.warmup_steps": ("training.lr_warmup_steps", "training.num_warmup_steps"),
    "training.warmup_ratio": (
        "training.lr_warmup_ratio",
        "training.stability.lr_warmup_ratio",
        "training.warmup",
    ),
    "training.warmup_schedule": ("training.warmup_type",),
    "training.warmup_start_lr": ("training.warmup_min_lr",),
    "training.lr_end": (
        "training.final_lr",
        "training.lr_min",
        "training.min_learning_rate",
        "training.min_lr",
    ),
    "training.lr_end_ratio": (
        "training.min_lr_ratio",
        "training.stability.lr_decay_ratio",
    ),
    "training.lr_decay_steps": ("training.lr_decay_iters",),
    "training.lr_hold_steps": ("training.hold_steps",),
    "training.num_cycles": ("training.lr_num_cycles",),
    "training.beta1": ("training.adam_beta1",),
    "training.beta2": ("training.adam_beta2",),
    "training.eps": ("training.adam_eps", "training.adam_epsilon", "training.epsilon"),
    "training.kahan_summation": (
        "training.stability.use_kahan_summation",
        "training.use_kahan_summation",
    ),
    "training.max_gradient_norm": (
        "training.clip_grad_norm",
        "training.clip_grad_norm_max_norm",
        "training.grad_clip",
        "training.grad_clip_norm",
        "training.gradient_clipping",
        "training.max_grad_norm",
    ),
    "training.float32_matmul_precision": ("performance.float32_matmul_precision",),
    "training.gradient_checkpointing": (
        "deepspeed.activation_checkpointing",
        "fsdp.activation_checkpointing",
        "gradient_checkpointing",
        "memory.gradient_checkpointing",
        "model.deepspeed_activation_checkpointing",
        "model.gradient_checkpointing",
        "output.gradient_checkpointing",
        "training.activation_checkpointing",
    ),
    "training.label_smoothing": ("model.label_smoothing", "training.losses.label_smoothing"),
    "training.repetition_penalty_weight": ("training.losses.ngram_penalty_weight",),
    "training.immediate_repetition_weight": ("training.losses.immediate_repetition_weight",),
    "training.repetition_ngram_size": ("training.losses.ngram_size",),
    "training.min_sequence_length": ("model.min_sequence_length",),
    "training.eval_strategy": ("training.evaluation_strategy",),
    "training.eval_steps": (
        "evaluation.eval_frequency",
        "evaluation.eval_interval",
        "evaluation.eval_steps",
        "training.eval_every",
        "training.eval_frequency",
        "training.eval_interval",
        "training.validation_freq",
        "training.validation_frequency",
    ),
    "training.save_steps": (
        "checkpointing.save_interval",
        "checkpointing.save_steps",
        "output.save_every",
        "output.save_steps",
        "training.checkpoint_freq",
        "training.checkpoint_frequency",
        "training.checkpoint_interval",
        "training.model_save_interval",
        "training.save_every",
        "training.save_interval",
    ),
    "training.save_total_limit": (
        "checkpointing.keep_last_n",
        "checkpointing.save_total_limit",
        "output.save_total_limit",
        "training.keep_last_n",
    ),
    "training.logging_steps": (
        "logging.log_interval",
        "logging.logging_steps",
        "training.log_every",
        "training.log_interval",
        "training.logging_freq",
    ),
    "training.gradient_health.anomaly_detection": (
        "enhanced_features.gradient.gradient_anomaly_detection",
    ),
    "training.gradient_health.norm_tracking": (
        "enhanced_features.gradient.gradient_norm_tracking",
    ),
    "training.gradient_surgery.enabled": ("enhanced_features.gradient.gradient_surgery",),
    "training.gradient_surgery.adaptive": ("enhanced_features.gradient.adaptive_gradient_surgery",),
    "training.gradient_surgery.method": ("enhanced_features.gradient.gradient_surgery_method",),
    "training.gradient_surgery.multi_task": ("multi_task",),
    "training.adaptive_lr.enabled": ("training.use_adaptive_lr",),
    "training.adaptive_lr.check_interval": ("training.adaptive_lr.lr_check_interval",),
    "training.adaptive_lr.loss_window": ("training.adaptive_lr.batch_loss_window",),
    "training.adaptive_lr.plateau_patience": ("training.lr_patience",),
    "training.adaptive_lr.plateau_factor": ("training.lr_reduction_factor",),
    "training.adaptive_lr.min_improvement": ("training.min_loss_reduction",),
    "training.loss_scaling.initial_scale_power": ("deepspeed.fp16.initial_scale_power",),
    "training.loss_scaling.window": ("deepspeed.fp16.loss_scale_window",),
    "training.loss_scaling.hysteresis": ("deepspeed.fp16.hysteresis",),
    "training.loss_scaling.consecutive_hysteresis": ("deepspeed.fp16.consecutive_hysteresis",),
    "training.loss_scaling.min_scale": ("deepspeed.fp16.min_loss_scale",),
    "training.losses.focal_loss": ("training.losses.use_focal_loss",),
    "training.losses.contrastive_loss": ("training.losses.use_contrastive_loss",),
    "training.losses.diversity_loss": ("training.losses.use_diversity_loss",),
    "training.losses.entropy_regularization": (
        "model.entropy_regularization",
        "training.entropy_regularization",
    ),
    "training.losses.output_diversity_weight": (
        "model.output_diversity_weight",
        "training.output_diversity_weight",
    ),
    "training.losses.eos_logit_bias": ("model.eos_logit_bias", "training.eos_logit_bias"),
    "training.mtp.enabled": ("training.losses.use_multi_token_prediction", "training.use_mtp"),
    "training.mtp.num_future_tokens": (
        "training.losses.num_future_tokens",
        "training.mtp.num_prediction_heads",
        "training.mtp_tokens",
        "training.num_predict_tokens",
    ),
    "training.mtp.loss_weight": (
        "training.losses.mtp_weight",
        "training.mtp.additional_loss_base_weight",
        "training.mtp_loss_weight",
    ),
    "training.mtp.loss_weights": ("training.mtp_loss_weights",),
    "training.mtp.primary_loss_weight": ("training.lm_loss_weight",),
    "training.mtp.warmup_epochs": ("training.mtp.mtp_warmup_epochs",),
    "training.mtp.adaptive": ("training.mtp.use_adaptive_mtp",),
    "training.mtp.confidence_threshold": ("training.mtp.confidence_threshold_train",),
    "training.dynamic_batching.enabled": ("training.progressive.enable_dynamic_batch",),
    "training.dynamic_batching.min_batch_size": ("training.progressive.min_batch_size",),
    "training.dynamic_batching.max_batch_size": ("training.progressive.max_batch_size",),
    "training.dynamic_batching.target_memory_utilization": (
        "training.progressive.target_gpu_utilization",
    ),
    "training.dynamic_batching.adjustment_frequency": (
        "training.progressive.batch_size_adaptation_steps",
    ),
    "training.progressive.enabled": ("training.progressive.enable_progressive_training",),
    "training.progressive.score_cache_dir": ("training.progressive.cache_dir",),
    "training.lr_finder.enabled": ("training.lr_finder.run_lr_finder",),
    "training.lr_finder.beta": ("training.lr_finder.smooth_beta",),
    "training.compile.enabled": ("training.torch_compile",),
    "data.path": (
        "data.data_dir",
        "data.data_path",
        "data.dataset_path",
        "data.local_dataset_path",
        "data.train_data",
        "data.train_path",
        "training.data_path",
    ),
    "data.dataset_name": ("data.dataset", "data.dataset_id", "data.hf_dataset"),
    "data.dataset_config_name": ("data.hf_dataset_config",),
    "data.eval_path": ("data.val_data", "data.val_path", "data.validation_path"),
    "data.fallback_paths": ("data.fallback_data_paths", "data_loading.fallback_data_paths"),
    "data.tokenizer_name": (
        "data.tokenizer",
        "data.tokenizer_path",
        "data.tokenizer_type",
        "model.tokenizer_name",
        "training.tokenizer_path",
        "training.tokenizer_type",
    ),
    "data.eos_token_id": ("model.eos_token_id",),
    "data.max_length": (
        "data.max_seq_length",
        "data.max_seq_len",
        "data.seq_length",
        "data.sequence_length",
        "training.max_seq_length",
        "training.seq_length",
        "training.sequence_length",
    ),
    "data.validation_fraction": (
        "data.val_fraction",
        "data.val_split_ratio",
        "data.validation_split",
    ),
    "data.max_eval_examples": (
        "data.max_eval_samples",
        "data.val_max_samples",
        "evaluation.eval_samples",
    ),
    "data.max_train_examples": ("data.max_samples", "data.max_train_samples"),
    "data.eval_batch_size": (
        "data.val_batch_size",
        "evaluation.batch_size",
        "training.eval_batch_size",
        "training.per_device_eval_batch_size",
        "training.validation_batch_size",
    ),
    "data.dataloader_num_workers": ("data.num_workers", "training.dataloader_num_workers"),
    "data.dataloader_prefetch_factor": ("data.prefetch_factor",),
    "data.dataloader_persistent_workers": ("data.persistent_workers",),
    "data.dataloader_pin_memory": ("data.pin_memory", "pin_memory"),
    "data.dataloader_drop_last": (
        "data.drop_last",
        "data.drop_last_batch",
        "deepspeed.dataloader_drop_last",
    ),
    "data.buffer_size": ("data.shuffle_buffer_size",),
    "data.mixture": ("data.domain_weights", "data.mixing_weights"),
    "data.multi_column.enabled": (
        "data.multi_column",
        "data.multi_column.use_multi_column",
        "data.use_multi_column",
    ),
    "evaluation.max_new_tokens": ("evaluation.eval_max_length", "evaluation.max_gen_length"),
    "evaluation.temperature": ("evaluation.eval_temperature",),
    "evaluation.top_p": ("evaluation.eval_top_p",),
    "evaluation.min_new_tokens": ("evaluation.min_length",),
    "run.name": (
        "experiment_name",
        "run.run_name",
        "run_management.experiment_name",
        "run_management.run_name",
    ),
    "run.runs_dir": ("output.output_dir", "output_dir", "run.output_dir", "training.output_dir"),
    "run.seed": ("seed", "training.seed"),
    "run.device": ("device", "rlhf.device", "training.device"),
    "run.deterministic": ("training.deterministic",),
    "run.description": ("run.notes", "run_management.run_description"),
    "parallel.num_nodes": ("parallel.nnodes", "parallel.nodes"),
    "parallel.devices_per_node": (
        "parallel.devices",
        "parallel.gpus_per_node",
        "parallel.nproc_per_node",
        "parallel.num_devices",
        "parallel.num_gpus",
    ),
    "parallel.data_parallel_size": ("parallel.data_parallel_degree", "parallel.dp"),
    "parallel.tensor_parallel_size": ("parallel.tensor_parallel_degree", "parallel.tp"),
    "parallel.pipeline_parallel_size": (
        "deepspeed.pipeline_parallel_size",
        "parallel.pipeline_parallel_degree",
        "parallel.pp",
    ),
    "parallel.expert_parallel_size": ("parallel.ep", "parallel.expert_parallel_degree"),
    "parallel.context_parallel_size": ("parallel.context_parallel_degree", "parallel.cp"),
    "parallel.use_deep_ep": ("model.moe.use_deep_ep",),
    "parallel.deep_ep_fp8": ("model.moe.deep_ep_fp8",),
    "parallel.deep_ep_async": ("model.moe.deep_ep_async",),
    "deepspeed.enabled": ("deepspeed.use_deepspeed",),
    "deepspeed.config_file": ("deepspeed.deepspeed_config",),
    "deepspeed.zero_stage": ("deepspeed.stage", "parallel.zero_stage"),
    "deepspeed.cpu_offload": (
        "memory.enable_cpu_offload",
        "parallel.zero_offload",
        "use_cpu_offload",
    ),
    "deepspeed.moe_param_groups": ("model.deepspeed_moe_param_groups",),
    "deepspeed.grad_accum_dtype": ("deepspeed.data_types.grad_accum_dtype",),
    "deepspeed.activation_checkpointing.partition_activations": (
        "deepspeed.partition_activations",
        "model.deepspeed_partition_activations",
    ),
    "deepspeed.activation_checkpointing.cpu_checkpointing": ("deepspeed.cpu_checkpointing",),
    "deepspeed.activation_checkpointing.contiguous_memory_optimization": (
        "deepspeed.contiguous_memory_optimization",
    ),
    "deepspeed.aio.thread_count": ("deepspeed.aio.intra_op_parallelism",),
    "deepspeed.bf16.master_weights_and_grads": ("deepspeed.bf16.bf16_master_weights_and_grads",),
    "deepspeed.bf16.optimizer_states": ("deepspeed.bf16.bf16_optimizer_states",),
    "deepspeed.one_bit.freeze_step": ("deepspeed.optimizer.params.freeze_step",),
    "deepspeed.one_bit.cuda_aware": ("deepspeed.optimizer.params.cuda_aware",),
    "deepspeed.one_bit.comm_backend_name": ("deepspeed.optimizer.params.comm_backend_name",),
    "checkpointing.resume_from_checkpoint": (
        "output.resume",
        "run.resume_from_checkpoint",
        "run_management.resume_from_checkpoint",
        "training.resume_from_checkpoint",
    ),
    "checkpointing.fresh_start": ("output.fresh_start",),
    "checkpointing.format": ("checkpointing.checkpoint_format",),
    "checkpointing.save_on_each_node": ("output.save_on_each_node",),
    "checkpointing.load_universal": ("deepspeed.checkpoint.load_universal",),
    "checkpointing.keep_best_n": ("training.keep_best_n",),
    "checkpointing.namespace": ("checkpointing.mtc_namespace",),
    "checkpointing.memory_tier.save_steps": ("checkpointing.in_memory_checkpointing_freq",),
    "checkpointing.storage_tier.save_steps": ("checkpointing.s3_checkpointing_freq",),
    "checkpointing.storage_tier.path": ("checkpointing.s3_tier_base_path",),
    "logging.level": ("logging.log_level", "training.log_level"),
    "logging.wall_clock_breakdown": ("deepspeed.wall_clock_breakdown",),
    "logging.memory_breakdown": ("deepspeed.memory_breakdown",),
    "logging.tensorboard.log_dir": ("logging.tensorboard.output_path",),
    "logging.wandb.enabled": (
        "logging.wandb.use_wandb",
        "rlhf.use_wandb",
        "training.use_wandb",
    ),
    "logging.wandb.project": (
        "logging.wandb.wandb_project",
        "rlhf.wandb_project",
        "training.wandb_project",
    ),
    "logging.wandb.entity": ("logging.wandb.team",),
    "logging.wandb.name": (
        "logging.wandb.wandb_name",
        "rlhf.wandb_name",
        "training.wandb_run_name",
    ),
    "logging.wandb.offline": ("logging.wandb.wandb_offline",),
    "logging.wandb.log_freq": ("logging.wandb.wandb_log_freq",),
    "lora.enabled": ("lora.use_lora",),
    "lora.r": ("lora.lora_r", "lora.rank"),
    "lora.alpha": ("lora.lora_alpha",),
    "lora.dropout": ("lora.lora_dropout",),
    "lora.load_in_4bit": ("lora.use_qlora",),
    "rlhf.reward.use_model_to_model_reward": ("rlhf.use_model_to_model_reward",),
    "rlhf.reward.judge_model_path": ("rlhf.judge_model_path",),
    "rlhf.reward.reward_model_path": ("rlhf.reward_model_path",),
    "rlhf.reward.freeze_reward_model": ("rlhf.freeze_reward_model",),
    "rlhf.reward.use_score_scaling": ("rlhf.ppo.use_score_scaling",),
    "rlhf.reward.use_score_norm": ("rlhf.ppo.use_score_norm",),
    "rlhf.reward.whiten_rewards": ("rlhf.ppo.whiten_rewards",),
    "rlhf.reward.clip_reward": ("rlhf.ppo.clip_reward",),
    "rlhf.ppo.gae_lambda": ("rlhf.ppo.lam", "rlhf.ppo.lambda", "rlhf.ppo.lambda_"),
    "rlhf.ppo.init_kl_coef": ("rlhf.ppo.kl_coef",),
    "quantization.quantization_aware": ("quantization.enabled",),
    "quantization.bit_width": ("quantization.bits",),
    "quantization.fp8.format": ("quantization.fp8.fp8_format", "quantization.fp8_format"),
    "quantization.fp8.margin": ("deepspeed.fp8_margin", "quantization.fp8.fp8_margin"),
    "quantization.fp8.interval": ("deepspeed.fp8_interval", "quantization.fp8.fp8_interval"),
    "quantization.fp8.amax_history_len": (
        "deepspeed.fp8_amax_history_len",
        "quantization.fp8.fp8_amax_history_len",
    ),
    "quantization.fp8.amax_compute_algo": (
        "deepspeed.fp8_amax_compute_algo",
        "quantization.fp8.fp8_amax_compute_algo",
    ),
    "quantization.fp8.override_linear_precision": (
        "quantization.fp8.fp8_override_linear_precision",
    ),
    "quantization.fp8.compile": ("training.compile.fp8_compilation",),
    "quantization.nvfp4.enabled": ("quantization.use_nvfp4",),
    "quantization.nvfp4.block_size": ("quantization.nvfp4_block_size",),
    "quantization.nvfp4.mode": ("quantization.nvfp4_mode",),
    "quantization.nvfp4.stochastic_rounding": ("quantization.stochastic_rounding",),
    "quantization.nvfp4.use_hadamard_transform": ("quantization.use_hadamard_transform",),
    "quantization.nvfp4.use_torchao": ("quantization.use_torchao_nvfp4",),
    "quantization.nvfp4.calibration_samples": ("quantization.nvfp4_calibration_samples",),
    "quantization.nvfp4.dynamic_quantization": ("quantization.nvfp4_dynamic_quantization",),
    "quantization.nvfp4.outlier_threshold": ("quantization.nvfp4_outlier_threshold",),
    "quantization.nvfp4.per_channel": ("quantization.nvfp4_per_channel",),
    "rag.enabled": ("model.use_rag", "rag.use_rag"),
    "rag.rag_fusion_type": ("rag.fusion_type",),
    "rag.retrieval_corpus_path": ("enhanced_features.retrieval_corpus_path",),
    "rag.include_retrieval_targets": ("enhanced_features.include_retrieval_targets",),
    "rag.generation_loss_weight": ("training.losses.generation_loss_weight",),
    "rag.retrieval_loss_weight": ("training.losses.retrieval_loss_weight",),
}
"""Each key with the spellings that take the same values."""

# Ava repeats ZeRO's own names with a prefix.
for _name in (
    "allgather_bucket_size",
    "contiguous_gradients",
    "overlap_comm",
    "reduce_bucket_size",
    "reduce_scatter",
    "stage3_gather_16bit_weights_on_model_save",
    "stage3_max_live_parameters",
    "stage3_max_reuse_distance",
    "stage3_param_persistence_threshold",
    "stage3_prefetch_bucket_size",
):
    SAME[f"deepspeed.{_name}"] = (f"deepspeed.zero_{_name}",)

_BUCKETS = (
    "reduce_bucket_size",
    "stage3_param_persistence_threshold",
    "stage3_prefetch_bucket_size",
)
"""Keys for which the transformers library lets a DeepSpeed file say ``auto``."""

_BOOL = "true or false"
_PRECISION = words(
    fp32="no",
    float32="no",
    none="no",
    float16="fp16",
    half="fp16",
    bfloat16="bf16",
    float8="fp8",
)
_FORMAT = "fp32, fp16, bf16 or fp8"
_SHARDING = words(full_shard="full", hybrid_shard="hybrid")
_SCHEDULE = words(
    warmuplr="constant",
    warmupdecaylr="linear",
    warmupcosinelr="cosine",
    onecycle="one_cycle",
    identity="constant",
    plateau="reduce_on_plateau",
    wsd="warmup_stable_decay",
)
_OPTIMIZER = words(
    adamw_torch="adamw",
    fusedadam="adamw",
    adamwfullprecision="adamw",
    morehadamw="moreh_adamw",
)


def _precision_flags(word: str, *spellings: str) -> dict[str, tuple[Alias, ...]]:
    alias = Alias("training.mixed_precision", flag(word, "no"), _BOOL)
    return dict.fromkeys(spellings, (alias,))


CONVERTED: dict[str, tuple[Alias, ...]] = {
    **_precision_flags(
        "fp16", "fp16", "training.fp16", "training.use_fp16", "deepspeed.fp16.enabled"
    ),
    **_precision_flags(
        "bf16", "bf16", "training.bf16", "training.use_bf16", "deepspeed.bf16.enabled"
    ),
    **_precision_flags(
        "fp8",
        "deepspeed.fp8_enabled",
        "quantization.fp8.enabled",
        "quantization.use_fp8",
        "training.fp8",
        "training.use_fp8",
    ),
    **dict.fromkeys(
        (
            "deepspeed.precision",
            "deepspeed.precision_type",
            "model.dtype",
            "training.dtype",
            "training.precision",
            "training.precision_type",
        ),
        (Alias("training.mixed_precision", _PRECISION, _FORMAT),),
    ),
    **dict.fromkeys(
        ("training.adam_betas", "training.betas", "deepspeed.optimizer.params.betas"),
        (
            Alias("training.beta1", item(0), "a list of two numbers"),
            Alias("training.beta2", item(1), "a list of two numbers"),
        ),
    ),
    **dict.fromkeys(
        ("training.optim", "training.optimizer_type", "deepspeed.optimizer.type"),
        (Alias("training.optimizer", _OPTIMIZER),),
    ),
    "training.use_moreh_adamw": (Alias("training.optimizer", flag("moreh_adamw", "adamw"), _BOOL),),
    **dict.fromkeys(
        (
            "deepspeed.scheduler.type",
            "training.lr_decay_style",
            "training.lr_schedule",
            "training.lr_scheduler",
            "training.scheduler",
            "training.scheduler_type",
        ),
        (Alias("training.lr_scheduler_type", _SCHEDULE),),
    ),
    "model.use_alibi": (Alias("model.position_embedding_type", flag("alibi", "rope"), _BOOL),),
    "enhanced_features.architecture.use_alibi": (
        Alias("model.position_embedding_type", flag("alibi", "rope"), _BOOL),
    ),
    "model.mla.use_rope": (Alias("model.position_embedding_type", unless("none", "rope"), _BOOL),),
    "model.positional_embedding_type": (
        Alias("model.position_embedding_type", words(trainable="learned")),
    ),
    "model.weight_tying": (Alias("model.tie_word_embeddings", enabled, "enabled or disabled"),),
    "model.use_flash_attention": (
        Alias("model.attention_implementation", flag("flash", "auto"), _BOOL),
    ),
    "model.attn_implementation": (
        Alias("model.attention_implementation", words(flash_attention_2="flash")),
    ),
    "memory.use_memory_efficient_attention": (
        Alias("model.attention_implementation", flag("sdpa", "auto"), _BOOL),
    ),
    "training.memory_efficient_attention": (
        Alias("model.attention_implementation", flag("sdpa", "auto"), _BOOL),
    ),
    "model.moe.use_aux_loss_free": (
        Alias("model.moe_balancing.method", flag("loss_free", "aux_loss"), _BOOL),
    ),
    "training.losses.use_moe_balancing": (
        Alias("model.moe_balancing.method", flag("loss_free", "aux_loss"), _BOOL),
    ),
    "training.losses.auxiliary_loss": (
        Alias("model.moe_balancing.method", flag("aux_loss", "none"), _BOOL),
    ),
    "training.losses.use_auxiliary_loss": (
        Alias("model.moe_balancing.method", flag("aux_loss", "none"), _BOOL),
    ),
    "training.loss_scaling": (
        Alias("training.loss_scaling.scale", loss_scale, "dynamic or a number"),
    ),
    "deepspeed.fp16.loss_scale": (Alias("training.loss_scaling.scale", number),),
    "evaluation.enabled": (Alias("training.eval_strategy", unless("no", "steps"), _BOOL),),
    "evaluation.eval_during_training": (
        Alias("training.eval_strategy", unless("no", "steps"), _BOOL),
    ),
    "evaluation.eval_metrics": (Alias("evaluation.metrics", listed, "words with commas between"),),
    "run_management.run_tags": (Alias("run.tags", listed, "words with commas between"),),
    "logging.wandb.wandb_tags": (Alias("logging.wandb.tags", listed, "words with commas between"),),
    "logging.wandb.disable_wandb": (Alias("logging.wandb.enabled", negated, _BOOL),),
    "training.stability.loss_smoothing": (Alias("logging.loss_smoothing", smoothing, _BOOL),),
    "training.stability.loss_smoothing_alpha": (Alias("logging.loss_smoothing"),),
    "lora.is_bias_trainable": (Alias("lora.bias", flag("all", "none"), _BOOL),),
    "quantization.fp8.fp8_recipe": (
        Alias("quantization.fp8.recipe", words(delayedscaling="delayed")),
    ),
    "parallel.sharding_strategy": (Alias("fsdp.sharding_strategy", _SHARDING),),
    **{
        f"deepspeed.zero_optimization.{name}": (Alias(f"deepspeed.{name}", number),)
        for name in _BUCKETS
    },
    "deepspeed.micro_batch_size": (Alias("training.batch_size", number),),
    "deepspeed.train_micro_batch_size_per_gpu": (Alias("training.batch_size", number),),
    "deepspeed.train_batch_size": (Alias("training.global_batch_size", number),),
    "deepspeed.gradient_accumulation_steps": (
        Alias("training.gradient_accumulation_steps", number),
    ),
    "deepspeed.gradient_clipping": (Alias("training.max_gradient_norm", number),),
    "deepspeed.steps_per_print": (Alias("training.logging_steps", number),),
    "deepspeed.optimizer.params.lr": (Alias("training.learning_rate", number),),
    "deepspeed.optimizer.params.eps": (Alias("training.eps", number),),
    "deepspeed.optimizer.params.weight_decay": (Alias("training.weight_decay", number),),
    "deepspeed.optimizer.params.momentum": (Alias("training.momentum", number),),
    "deepspeed.scheduler.params.warmup_max_lr": (Alias("training.learning_rate", number),),
    "deepspeed.scheduler.params.warmup_min_lr": (Alias("training.warmup_start_lr", number),),
    "deepspeed.scheduler.params.warmup_num_steps": (Alias("training.warmup_steps", number),),
    "deepspeed.scheduler.params.warmup_type": (Alias("training.warmup_schedule"),),
    "deepspeed.scheduler.params.total_num_steps": (Alias("training.lr_decay_steps", number),),
    "deepspeed.scheduler.params.cos_min_ratio": (Alias("training.lr_end_ratio", number),),
}
"""Spellings whose values have to be translated; a list of two numbers may set two keys."""

SECTIONS: tuple[tuple[str, str], ...] = (
    ("deepspeed.zero_optimization", "deepspeed"),
    ("deepspeed.tensorboard", "logging.tensorboard"),
    ("deepspeed.wandb", "logging.wandb"),
    ("tensorboard", "logging.tensorboard"),
    ("wandb", "logging.wandb"),
    ("lr_finder", "training.lr_finder"),
    ("stability", "training.stability"),
    ("performance.torch_compile", "training.compile"),
    ("compilation", "training.compile"),
    ("training.torch_compile", "training.compile"),
    ("generation", "evaluation"),
    ("validation", "evaluation"),
    ("multi_column_data", "data.multi_column"),
    ("distributed", "parallel"),
    ("fp8_training", "quantization.fp8"),
    ("enhanced_features.adaptive_mtp", "training.mtp"),
    ("enhanced_features.losses", "training.losses"),
    ("enhanced_features.quantization", "quantization"),
    ("enhanced_features.rag", "rag"),
    # Ava's small.yaml has everything one level deeper.
    ("distributed.deepspeed", "deepspeed"),
    ("training.deepspeed", "deepspeed"),
    ("training.enhanced_features", "enhanced_features"),
    ("training.memory", "memory"),
    ("training.performance", "performance"),
)
"""Sections that stand elsewhere: the first for the second, in the order in which they are read."""

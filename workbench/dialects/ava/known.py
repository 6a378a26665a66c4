"""The keys that Ava knows, by section: those of its preset files and of its dataclasses.

Sections that a preset keeps below ``training`` are named as they are named at the top of a file.
"""

from __future__ import annotations

from functools import cache

KEYS: dict[str, str] = {
    "": (
        "bf16 device enable_all_features fp16 gradient_checkpointing multi_task pin_memory "
        "use_cpu_offload"
    ),
    "compilation": "backend dynamic enabled fp8_compilation fullgraph",
    "data": (
        "bucket_boundaries buffer_size data_dir dataloader_drop_last dataloader_num_workers "
        "dataloader_persistent_workers dataloader_pin_memory dataloader_prefetch_factor "
        "default_tokenizer_name distributed drop_last_batch enable_bucketing eval_batch_size "
        "fallback_data_paths format_detection_samples max_bucket_size max_consecutive_repeats "
        "max_eval_examples max_length max_samples max_sequence_repetition_rate "
        "max_train_examples min_sequence_length mixing_temperature multi_column num_workers "
        "padding_side persistent_workers prefetch_factor reshuffle_each_epoch samples_per_file "
        "shuffle shuffle_seed skip_malformed_sequences skip_short_sequences streaming "
        "tokenizer_name train_batch_size truncation use_multi_column use_weighted_mixing "
        "val_max_samples val_split_ratio"
    ),
    "data_loading": "fallback_data_paths format_detection_samples",
    "deepspeed": (
        "activation_checkpointing allgather_partitions allreduce_partitions "
        "communication_data_type config_file contiguous_memory_optimization cpu_checkpointing "
        "cpu_offload enable_mixed_precision enabled fp8_amax_compute_algo fp8_amax_history_len "
        "fp8_enabled fp8_interval fp8_margin gradient_accumulation_steps gradient_clipping "
        "micro_batch_size monitor_config nvme_offload overlap_comm partition_activations "
        "pipeline_parallel_size precision precision_type synchronize_dp_processes tensorboard "
        "train_batch_size use_deepspeed wall_clock_breakdown wandb_config "
        "zero_allgather_bucket_size zero_allow_untested_optimizer zero_contiguous_gradients "
        "zero_force_ds_cpu_optimizer zero_overlap_comm zero_reduce_bucket_size "
        "zero_reduce_scatter zero_stage zero_stage3_gather_16bit_weights_on_model_save "
        "zero_stage3_max_live_parameters zero_stage3_max_reuse_distance "
        "zero_stage3_param_persistence_threshold zero_stage3_prefetch_bucket_size"
    ),
    "deepspeed.offload_optimizer": "device pin_memory",
    "deepspeed.offload_param": "device pin_memory",
    "distributed": "backend enabled",
    "enhanced_features": "include_retrieval_targets retrieval_corpus_path",
    "enhanced_features.adaptive_mtp": (
        "additional_loss_base_weight confidence_reg_strength confidence_threshold_inference "
        "confidence_threshold_train enable_dynamic_prediction gate_activation gate_dropout "
        "gate_hidden_dims head_dropout head_intermediate_size head_type "
        "min_confidence_for_computation mtp_warmup_epochs num_prediction_heads "
        "primary_loss_weight share_projections use_adaptive_mtp use_attention_pooling "
        "use_confidence_weighting"
    ),
    "enhanced_features.architecture": (
        "expert_routing_type use_alibi use_cross_attention use_moa use_moh"
    ),
    "enhanced_features.gradient": (
        "adaptive_gradient_surgery gradient_anomaly_detection gradient_norm_tracking "
        "gradient_surgery gradient_surgery_method"
    ),
    "enhanced_features.losses": (
        "adaptive_loss_scaling adaptive_temperature auxiliary_loss contrastive_loss "
        "contrastive_loss_weight diversity_loss diversity_loss_weight focal_loss "
        "generation_loss_weight gradient_balance_weight immediate_repetition_weight "
        "initial_temperature label_smoothing mtp_weight ngram_penalty_weight ngram_size "
        "num_future_tokens retrieval_loss_weight use_auxiliary_loss use_contrastive_loss "
        "use_diversity_loss use_focal_loss use_immediate_repetition_detector use_moe_balancing "
        "use_multi_token_prediction use_ngram_penalty"
    ),
    "enhanced_features.memory": (
        "enable_auto_grad_accumulation memory_adaptation_rate memory_capacity "
        "memory_importance_threshold memory_performance_window memory_replay_ratio "
        "memory_replay_strategy memory_retrieval_method memory_selection_strategy silent_mode "
        "task_id use_episodic_memory"
    ),
    "enhanced_features.quantization": (
        "bit_width fp8_format nvfp4_block_size nvfp4_calibration_samples "
        "nvfp4_dynamic_quantization nvfp4_mode nvfp4_outlier_threshold nvfp4_per_channel "
        "quantization_aware quantization_schedule quantization_warmup_steps "
        "start_quantization_step stochastic_rounding use_fp8 use_hadamard_transform use_nvfp4 "
        "use_torchao_nvfp4"
    ),
    "enhanced_features.rag": (
        "enabled encoder_dim faiss_index_type knowledge_base_path max_retrieved_docs "
        "rag_fusion_type rerank_retrieved retrieval_batch_size retrieval_dim "
        "similarity_threshold use_advanced_retrieval use_faiss_index use_rag"
    ),
    "evaluation": (
        "batch_size_variance_threshold cache_clear_frequency compare_fp16_performance "
        "comprehensive_eval eval_during_training eval_faithfulness eval_frequency "
        "eval_generation_quality eval_memory_usage eval_metrics eval_quantization_quality "
        "eval_retrieval_quality eval_speed_improvement invalid_batch_rate_threshold "
        "max_inf_loss_logs max_invalid_batch_logs max_nan_loss_logs max_validation_batches "
        "num_test_batches perplexity_overflow_threshold recent_losses_window_size "
        "val_train_ratio_high_threshold val_train_ratio_low_threshold"
    ),
    "evaluation.moe_metrics": (
        "log_frequency track_expert_specialization track_expert_utilization track_load_balance "
        "track_routing_entropy"
    ),
    "fp8_training": (
        "enabled fp8_amax_compute_algo fp8_amax_history_len fp8_format "
        "fp8_override_linear_precision fp8_recipe"
    ),
    "generation": (
        "coherence_excellent_threshold coherence_moderate_threshold distinct_2_threshold "
        "do_sample entropy_threshold eos_penalty eval_max_length eval_temperature eval_top_p "
        "min_length min_tokens_for_trigrams ngram_size no_repeat_ngram_size num_beams "
        "repetition_penalty repetition_threshold sample_display_max_chars temperature "
        "tokenizer_max_length top_k top_p trigram_size use_ngram_blocking"
    ),
    "hardware": (
        "bf16_support compute_capability fp8_support gpu_type memory_bandwidth memory_type "
        "nvlink_support tensor_cores"
    ),
    "lr_finder": (
        "beta enabled end_lr gradient_accumulation_steps momentum_cycling num_iterations "
        "num_runs plot_path run_lr_finder savgol_window smooth_beta start_lr stop_div_threshold "
        "suggestion_method track_validation use_savgol_filter use_suggested_lr"
    ),
    "memory": (
        "a100_memory_optimization clear_cache_frequency critical_threshold emergency_threshold "
        "enable_cpu_offload enable_memory_pool gradient_checkpointing h100_memory_optimization "
        "memory_threshold_gb optimize_for_a100 optimize_for_h100 pool_size_gb silent_mode "
        "target_utilization use_hbm3_optimization use_memory_efficient_attention "
        "warning_threshold"
    ),
    "model": (
        "attention_dropout deepspeed_activation_checkpointing deepspeed_moe_param_groups "
        "deepspeed_partition_activations dropout entropy_regularization eos_logit_bias "
        "eos_token_id expert_capacity_factor expert_dropout hidden_act hidden_dropout "
        "hidden_size initializer_range intermediate_size label_smoothing layer_norm_eps "
        "max_position_embeddings memory_size min_sequence_length moe_dropout "
        "num_attention_heads num_cross_attention_layers num_experts num_experts_per_token "
        "num_layers output_diversity_weight rope_theta router_aux_loss_coef router_jitter_noise "
        "router_type router_z_loss_coef routing_jitter tie_word_embeddings use_alibi use_cache "
        "use_cross_attention use_episodic_memory use_flash_attention use_moa use_moh use_rag "
        "vocab_size"
    ),
    "multi_column_data": (
        "column_names column_roles column_template column_types combine_strategy dataset_config "
        "hf_dataset hf_dataset_config use_multi_column"
    ),
    "output": (
        "fresh_start gradient_checkpointing output_dir resume save_calibration_data save_every "
        "save_on_each_node save_quantized_model save_retrieval_examples save_total_limit"
    ),
    "performance": (
        "cudagraph_dynamic_shape_warn_limit cudagraph_skip_dynamic_shapes enable_torch_compile "
        "express_mode fast_progress float32_matmul_precision minimal_progress no_sync "
        "torch_compile_disable_cudagraphs torch_compile_fullgraph torch_compile_mode "
        "torchinductor_max_autotune ultra_fast_mode"
    ),
    "performance.torch_compile": "backend dynamic enabled fullgraph mode",
    "quantization": "bits enabled",
    "rlhf": (
        "device eval_every eval_prompt_dataset_path freeze_reward_model judge_model_path "
        "log_dir max_prompt_length num_epochs num_eval_prompts num_rollouts_per_epoch "
        "policy_model_path prompt_dataset_path reward_model_path rollout_batch_size save_dir "
        "save_every use_model_to_model_reward use_wandb wandb_name wandb_project"
    ),
    "rlhf.ppo": (
        "adaptive_kl batch_size clip_range clip_range_value clip_reward entropy_coef eval_steps "
        "gamma gradient_accumulation_steps gradient_checkpointing init_kl_coef kl_penalty "
        "lambda lambda_ learning_rate logging_steps max_gen_length max_grad_norm max_steps "
        "mini_batch_size mixed_precision num_train_epochs ppo_epochs save_steps target_kl "
        "temperature top_k top_p use_score_norm use_score_scaling value_loss_coef warmup_steps "
        "whiten_rewards"
    ),
    "run_management": (
        "disable_run_manager experiment_name resume_from_checkpoint run_description run_id "
        "run_name run_tags"
    ),
    "stability": (
        "loss_smoothing loss_smoothing_alpha lr_decay_ratio lr_warmup_ratio "
        "max_grad_norm_before_stop max_loss_before_stop stop_on_nan sync_gradients_each_step "
        "use_kahan_summation use_stable_embedding"
    ),
    "tokenizer": "name",
    "training": (
        "adam_betas adam_epsilon batch_size beta1 beta2 clip_grad_value dataloader_num_workers "
        "early_stopping_patience early_stopping_threshold ema_decay entropy_regularization "
        "eos_logit_bias eos_penalty_weight epochs eps eval_steps eval_steps_type eval_strategy "
        "gradient_accumulation gradient_accumulation_steps gradient_checkpointing "
        "greater_is_better immediate_repetition_weight label_smoothing learning_rate "
        "load_best_model_at_end logging_steps loss_scaling lr_end lr_patience "
        "lr_reduction_factor lr_scheduler_type max_gradient_norm max_steps "
        "metric_for_best_model min_loss_reduction min_lr min_sequence_length mixed_precision "
        "no_decay_patterns num_cycles num_epochs optimizer output_diversity_weight "
        "repetition_penalty_weight save_steps save_strategy save_total_limit use_adaptive_lr "
        "use_ema warmup_ratio warmup_schedule warmup_steps weight_decay"
    ),
    "training.adaptive_lr": (
        "batch_loss_window divergence_threshold emergency_factor enabled increase_factor "
        "lr_check_interval max_lr min_improvement min_lr plateau_factor plateau_patience "
        "stability_threshold warmup_percentage"
    ),
    "training.dynamic_batching": (
        "adjustment_factor adjustment_frequency enabled max_batch_size min_batch_size "
        "smooth_transitions target_memory_utilization warmup_steps"
    ),
    "training.gradient_health": (
        "auto_reduce_lr enabled explosion_threshold explosion_window final_clip_value "
        "grad_norm_history grad_norm_pre_clip_history initial_clip_value lr_reduction_factor "
        "recent_explosions total_explosions total_steps warmup_steps"
    ),
    "training.progressive": (
        "batch_size_adaptation_steps cache_dir cache_version curriculum_metric "
        "enable_binary_search_oom enable_curriculum enable_dry_run_mode enable_dynamic_batch "
        "enable_length_bucketing enable_progressive_training enable_score_caching "
        "enable_sequence_scaling final_seq_length initial_seq_length length_growth_epochs "
        "length_schedule max_batch_size min_batch_size target_gpu_utilization"
    ),
    "wandb": (
        "cache_flush_interval cache_size disable_wandb enabled entity group job_type "
        "log_quantization_histograms log_weight_distributions name notes offline project "
        "resume_policy save_code tags use_wandb wandb_cache_flush_interval wandb_cache_size "
        "wandb_log_freq wandb_name wandb_offline wandb_project wandb_tags"
    ),
}
"""Names by section; the section of single keys at the top is empty."""


@cache
def known() -> frozenset[str]:
    """Every key of Ava by its dotted path."""
    return frozenset(
        f"{section}.{name}" if section else name
        for section, names in KEYS.items()
        for name in names.split()
    )

"""Keys of the seed systems that mean nothing here, each with the reason and what to do instead.

A table only. They are warned about and left out, so that a file made for another trainer can be
used; a key that is in no table is a mistake and an error.
"""

from __future__ import annotations

_DISPLAY = "how progress is shown is the face's affair, not the run's"
_ALLOCATOR = (
    "PyTorch's allocator looks after device memory; to need less, lower training.batch_size or set "
    "training.gradient_checkpointing"
)
_FACTS = "facts about a card are in its profile: name it with run.hardware, such as h100_80gb"
_JUDGEMENT = "the workbench shows the numbers and leaves the judgement to you"
_GATE = "the gate of adaptive multi-token prediction has training.mtp.confidence_threshold only"
_RUN_DIRECTORY = "everything about a run is in its directory below run.runs_dir"
_AUDIO = "the workbench trains language models on text"
_JOBS = "job scripts are not part of a plan"
_SPEED = "the summary.json of each run says how fast it was; compare two runs"
_PREPARED = "a corpus is cleaned and mixed before the run, by tools of its own"

RETIRED: dict[str, str] = {
    "enable_all_features": "name the features that you want, one by one",
    "data.dataset_version": "data.dataset_config_name says it",
    "data.deduplication.*": _PREPARED,
    "data.domain_mixer.*": "data.mixture says it",
    "data.format_detection_samples": "the format of a file follows from its name",
    "data.heuristic_filters.*": _PREPARED,
    "data.pipeline.*": _PREPARED,
    "data.preprocessing.*": _PREPARED,
    "data.quality_filter.*": _PREPARED,
    "data.ranking_filter.*": _PREPARED,
    "data_loading.format_detection_samples": "the format of a file follows from its name",
    "deepspeed.allreduce_partitions": "no release of DeepSpeed reads it",
    "deepspeed.enable_mixed_precision": "training.mixed_precision says it",
    "deepspeed.flops_profiler.*": "logging.wall_clock_breakdown says where the time goes",
    "deepspeed.legacy_stage1": "current DeepSpeed has one stage 1 only",
    "deepspeed.monitor_config": "logging.tensorboard and logging.wandb say it",
    "deepspeed.synchronize_dp_processes": "no release of DeepSpeed reads it",
    "enhanced_features.memory.enable_auto_grad_accumulation": (
        "the batch is what the config says: see training.gradient_accumulation_steps"
    ),
    "enhanced_features.memory.silent_mode": _DISPLAY,
    "evaluation.batch_size_variance_threshold": _JUDGEMENT,
    "evaluation.cache_clear_frequency": _ALLOCATOR,
    "evaluation.coherence_excellent_threshold": _JUDGEMENT,
    "evaluation.coherence_moderate_threshold": _JUDGEMENT,
    "evaluation.compare_fp16_performance": _SPEED,
    "evaluation.distinct_2_threshold": _JUDGEMENT,
    "evaluation.entropy_threshold": _JUDGEMENT,
    "evaluation.eval_faithfulness": "evaluation.metrics lists what is computed",
    "evaluation.eval_generation_quality": "evaluation.metrics lists what is computed",
    "evaluation.eval_memory_usage": "every run measures its memory",
    "evaluation.eval_quantization_quality": "evaluation.metrics lists what is computed",
    "evaluation.eval_retrieval_quality": "evaluation.metrics lists what is computed",
    "evaluation.eval_speed_improvement": _SPEED,
    "evaluation.invalid_batch_rate_threshold": "a batch that is not finite stops the run",
    "evaluation.max_inf_loss_logs": "a loss that is not finite stops the run",
    "evaluation.max_invalid_batch_logs": "a batch that is not finite stops the run",
    "evaluation.max_nan_loss_logs": "a loss that is not finite stops the run",
    "evaluation.max_validation_batches": "data.max_eval_examples says it, in sequences",
    "evaluation.min_tokens_for_trigrams": _JUDGEMENT,
    "evaluation.ngram_size": "evaluation.no_repeat_ngram_size says it",
    "evaluation.num_test_batches": "data.max_eval_examples says it, in sequences",
    "evaluation.perplexity_overflow_threshold": "perplexity is shown as it is",
    "evaluation.recent_losses_window_size": "logging.loss_smoothing says it",
    "evaluation.repetition_threshold": _JUDGEMENT,
    "evaluation.sample_display_max_chars": _DISPLAY,
    "evaluation.tokenizer_max_length": "evaluation.prompt and evaluation.max_new_tokens say it",
    "evaluation.trigram_size": _JUDGEMENT,
    "evaluation.use_ngram_blocking": "evaluation.no_repeat_ngram_size above 0 says it",
    "evaluation.val_train_ratio_high_threshold": _JUDGEMENT,
    "evaluation.val_train_ratio_low_threshold": _JUDGEMENT,
    "hardware.*": _FACTS,
    "logging.tensorboard.job_name": "a run is known by its name: run.name",
    "logging.wandb.log_quantization_histograms": "logging.wandb.watch says it",
    "logging.wandb.log_weight_distributions": "logging.wandb.watch says it",
    "memory.*": _ALLOCATOR,
    "model.audio.*": _AUDIO,
    "model.mla.use_flash_mla": "FlashMLA's kernels are for inference; see model.mla.backend",
    "model.use_cache": "training needs no inference cache, and samples always use one",
    "output.save_calibration_data": _RUN_DIRECTORY,
    "output.save_quantized_model": "checkpoints are safetensors in full precision",
    "output.save_retrieval_examples": _RUN_DIRECTORY,
    "parallel.enabled": "parallel.devices_per_node and parallel.num_nodes say it",
    "parallel.slurm.*": _JOBS,
    "performance.cudagraph_dynamic_shape_warn_limit": "training.compile says it",
    "performance.cudagraph_skip_dynamic_shapes": "training.compile says it",
    "performance.express_mode": _DISPLAY,
    "performance.fast_progress": _DISPLAY,
    "performance.minimal_progress": _DISPLAY,
    "performance.no_sync": "the trainer waits for the device only where it reads a number",
    "performance.torchinductor_max_autotune": "training.compile.mode: max-autotune says it",
    "performance.ultra_fast_mode": "raise training.logging_steps to write less",
    "rlhf.log_dir": _RUN_DIRECTORY,
    "rlhf.save_dir": _RUN_DIRECTORY,
    "run_management.disable_run_manager": _RUN_DIRECTORY,
    "run_management.run_id": "a run is known by its name: run.name",
    "training.audio_loss_weight": _AUDIO,
    "training.checkpoint_dir": _RUN_DIRECTORY,
    "training.eval_steps_type": "steps are optimizer steps everywhere",
    "training.losses.use_immediate_repetition_detector": (
        "training.immediate_repetition_weight above 0 says it"
    ),
    "training.losses.use_ngram_penalty": "training.repetition_penalty_weight above 0 says it",
    "training.lr_finder.savgol_window": "training.lr_finder.beta smooths the curve",
    "training.lr_finder.use_savgol_filter": "training.lr_finder.beta smooths the curve",
    "training.mtp.confidence_reg_strength": _GATE,
    "training.mtp.confidence_threshold_inference": _GATE,
    "training.mtp.enable_dynamic_prediction": _GATE,
    "training.mtp.gate_activation": _GATE,
    "training.mtp.gate_dropout": _GATE,
    "training.mtp.gate_hidden_dims": _GATE,
    "training.mtp.min_confidence_for_computation": _GATE,
    "training.mtp.use_attention_pooling": _GATE,
    "training.mtp.use_confidence_weighting": _GATE,
    "training.progressive.cache_version": "scores are known by the text that they belong to",
    "training.progressive.enable_binary_search_oom": "training.dynamic_batching says it",
    "training.progressive.enable_dry_run_mode": "the largest batch is tried before step 1, always",
    "training.progressive.enable_length_bucketing": "data.enable_bucketing says it",
    "training.progressive.enable_score_caching": "training.progressive.score_cache_dir says it",
    "training.tensorboard_dir": "logging.tensorboard.log_dir says it",
    "training.text_loss_weight": _AUDIO,
}
"""Path, or a section with ``.*``, and the reason; spelled as the aliases of `aliases` resolve."""

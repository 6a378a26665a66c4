"""Keys of the main files that have no place here, and keys that the system itself does not read."""

from __future__ import annotations

from workbench.dialects.building import Keep

_SPEECH = "the workbench trains language models on text"
_CLEANED = "a corpus is cleaned and mixed before the run, by tools of its own"
_JOB = "job scripts are not part of a plan; ava export cluster writes one"
_NOTE = "a note for people"

KEPT: dict[str, Keep] = {
    "model.mla.use_flash_mla": Keep("FlashMLA's kernels are for inference; see model.mla.backend"),
    "model.moe.use_segmented_experts": Keep("model.moe.num_expert_segments says it"),
    "model.audio": Keep(_SPEECH),
    "training.moe_aux_loss_weight": Keep("model.moe.router_aux_loss_weight says it"),
    "training.audio_loss_weight": Keep(_SPEECH),
    "training.text_loss_weight": Keep(_SPEECH),
    "data.chinchilla_tokens": Keep(
        "a note: training.train_steps decides how long the training is"
    ),
    "data.sources": Keep(
        "parts of a dataset by name; data.mixture weighs files or folders, so name those there"
    ),
    "data.preprocessing": Keep(_CLEANED),
    "data.pipeline": Keep(_CLEANED),
    "data.deduplication": Keep(_CLEANED),
    "data.quality_filter": Keep(_CLEANED),
    "data.heuristic_filters": Keep(_CLEANED),
    "data.ranking_filter": Keep(_CLEANED),
    "data.domain_mixer": Keep(_CLEANED),
    "data.sanitization": Keep(_CLEANED),
    "data.max_articles": Keep("it counts articles; data.max_train_examples counts sequences"),
    "data.focus_historical": Keep(_CLEANED),
    "data.boost_hiroshima_content": Keep(_CLEANED),
    **dict.fromkeys(
        (
            "data.dataset_type", "data.tsv_path", "data.audio_root_source",
            "data.audio_root_target", "data.clips_dir", "data.clips_translated_dir", "data.task",
            "data.max_audio_tokens", "data.augment", "vocoder",
        ),
        Keep(_SPEECH),
    ),
    "distributed.deepspeed.config_file": Keep("that file stands by itself: import it as well"),
    "distributed.deepspeed": Keep("DeepSpeed's own settings: import them as a file of their own"),
    "distributed.slurm": Keep(_JOB),
    "gpu_optimization.cuda_graphs": Keep("training.compile.mode: reduce-overhead says it"),
    "gpu_optimization.fused_kernels": Keep("the fastest kernel that fits is chosen by itself"),
    "memory_optimization.clear_cache_interval": Keep(
        "PyTorch's allocator looks after device memory"
    ),
    "memory_optimization.activation_checkpointing_ratio": Keep(
        "recomputation is for all blocks or none"
    ),
    "memory_optimization.cpu_offload": Keep("deepspeed.cpu_offload says it"),
    "memory_optimization.max_memory_mb": Keep("the system gives a process what it asks for"),
    "target_prompts": Keep("evaluation.prompt is one text"),
    "description": Keep(_NOTE),
    "notes": Keep(_NOTE),
    "customization_notes": Keep(_NOTE),
    "use_cases": Keep(_NOTE),
    "domain_distribution": Keep(_NOTE),
    "corpus_info": Keep(_NOTE),
    "citation": Keep(_NOTE),
}  # fmt: skip
"""Keys of a main file that have no place here; a section stands for all its keys."""

IGNORED: dict[str, str] = {
    "model.norm_type": "every norm is an RMSNorm",
    "model.tie_word_embeddings": "the output matrix is never tied",
    "model.mla.num_kv_heads": "the blocks do not hand it on: every head has keys of its own",
    "model.mla.flash_mla_backend": "the blocks do not hand it on",
    "model.mla.fallback_to_dense": "the blocks do not hand it on",
    "model.mla.use_rope": "the attention always has rotary positions",
    "model.mla.sliding_window": "the attention always sees the whole sequence",
    "model.moe.balance_loss_type": "no code reads it",
    "model.moe.expert_dim": "the loader sets it to expert_intermediate_size",
    "model.moe.deep_ep_fp8": "no code reads it",
    "model.moe.deep_ep_async": "no code reads it",
    "model.audio": "the loader does not hand it on",
    "training.use_fp16": "the trainer computes in float32",
    "training.use_bf16": "the trainer computes in float32",
    "training.use_fp8": "the trainer computes in float32",
    "training.use_mtp": "the head for further tokens is always built",
    "training.mtp_tokens": "the loader sets it to num_predict_tokens",
    "training.lr_decay_style": "the schedule is always a cosine",
    "training.optimizer": "the optimizer is always AdamW",
    "training.moe_aux_loss_weight": "deprecated: router_aux_loss_weight says it",
    "training.tokens_per_parameter_ratio": "only printed: train_steps decides",
    "training.total_training_tokens": "only printed: train_steps decides",
    "distributed.tensor_parallel_size": "only printed: every process holds the whole model",
    "distributed.pipeline_parallel_size": "only printed: every process holds the whole model",
    "distributed.expert_parallel_size": "only printed: every process holds the whole model",
    "distributed.data_parallel_size": "only printed: the launcher decides",
    "distributed.zero_stage": "the trainer never calls deepspeed.initialize",
    "distributed.zero_offload": "the trainer never calls deepspeed.initialize",
    "distributed.overlap_grad_reduce": "gradients are not exchanged at all",
    "distributed.overlap_param_gather": "parameters are not sharded",
    "distributed.launcher": "run_training.py always starts with deepspeed",
    "checkpointing.save_interval": "training.save_interval counts",
    "checkpointing.save_total_limit": "every checkpoint is kept",
    "checkpointing.checkpoint_format": "a checkpoint is always one file of torch.save",
    "checkpointing.save_optimizer_states": "they are always saved",
    "logging.log_interval": "training.log_interval counts",
    "logging.tensorboard": "the log goes to a folder of the output directory",
    "validation.eval_interval": "training.eval_interval counts",
    "validation.eval_samples": "no code reads it",
    "validation.metrics": "no code reads it",
    "data.dataset_version": "it is not handed on: data.sources make it v1_6, nothing makes it v1_7",
    "data.preprocessing.streaming": "the text is always streamed",
    "data.preprocessing.buffer_size": "no code reads it",
    "data.preprocessing.prefetch_factor": "no code reads it",
    "gpu_optimization": "the loader does not read the section",
    "memory_optimization": "the loader does not read the section",
    "vocoder": "the loader does not read the section",
    "target_prompts": "the loader does not read it",
}
"""What the system's trainer does not read, although its loader takes it; and why."""

"""Files of the system's alignment stages: the model, fine-tuning, preferences, feedback."""

from __future__ import annotations

from typing import Any

from workbench.dialects.building import Keep
from workbench.dialects.claims import SILENT, Claims
from workbench.dialects.deepseek_v3.others import Kind
from workbench.dialects.deepseek_v3.tables import plain, turned
from workbench.dialects.deepseek_v3.words import either, words
from workbench.dialects.fitting import NoPlace

_ALIGNMENT = (
    "run_alignment.py stops before it reads a file: ImportError: cannot import name "
    "'DeepSeekConfig' from 'src.config.model_config'"
)
_TEMPLATE = "data.format: chat says how a conversation is laid out"
_STABLE = "a setting of stable-baselines3, which trains environments"


def _listed(word: str) -> tuple[Any, Any]:
    """Whether a list of loggers has one of that name."""

    def there(value: Any) -> Any:
        if isinstance(value, list):
            return word in value or SILENT
        raise NoPlace("it is a list of loggers")

    def back(_value: Any) -> Any:
        raise NoPlace("the system lists its loggers")

    return there, back


def _precision(value: Any) -> Any:
    """A switch for half precision, which is bf16 in the system's trainers."""
    if value is True:
        return "bf16"
    return "no" if value is False else value


_MIXED = (_precision, lambda value: {"bf16": True, "no": False}.get(value, value))
_METHOD = words({"adam": "adam", "adamw": "adamw"}, "optimizer")

ALIGNED_MODEL = Kind(
    "a model for alignment",
    Claims(
        (
            plain("d_model", "model.hidden_size"),
            plain("vocab_size", "model.vocab_size"),
            plain("num_layers", "model.num_layers"),
            plain("init_method_std", "model.initializer_range"),
            plain("layer_norm_epsilon", "model.layer_norm_eps"),
            plain("mla.d_latent", "model.mla.kv_lora_rank"),
            plain("mla.num_heads", "model.num_attention_heads"),
            plain("mla.rope_base", "model.rope_theta"),
            plain("mla.max_context_length", "model.max_position_embeddings"),
            plain("mla.use_fp8_kv", "model.mla.use_fp8_kv"),
            plain("moe.num_experts", "model.num_experts"),
            plain("moe.num_experts_per_token", "model.num_experts_per_token"),
            plain("moe.expert_intermediate_size", "model.moe.expert_intermediate_size"),
            plain("moe.num_shared_experts", "model.moe.num_shared_experts"),
            plain("moe.shared_intermediate_size", "model.moe.shared_intermediate_size"),
            plain("moe.num_expert_segments", "model.moe.num_expert_segments"),
            plain("moe.segment_routing", "model.moe.segment_routing"),
            plain("moe.router_aux_loss_weight", "model.router_aux_loss_coef"),
            turned(
                "moe.use_aux_loss_free",
                "model.moe_balancing.method",
                either("loss_free", "aux_loss"),
            ),
            plain("moe.router_temperature", "model.moe.router_temperature"),
            plain("moe.router_noise_std", "model.moe.router_noise_std"),
            plain("moe.router_bias_decay", "model.moe_balancing.bias_decay"),
            plain("moe.capacity_factor", "model.expert_capacity_factor"),
            plain("moe.use_deep_ep", "parallel.use_deep_ep"),
            plain("ffn.intermediate_size", "model.intermediate_size"),
            plain("ffn.activation", "model.hidden_act"),
            plain("ffn.dropout", "model.hidden_dropout"),
            plain("mtp.enabled", "training.mtp.enabled"),
            plain("mtp.num_predict_tokens", "training.mtp.num_future_tokens"),
            plain("training.lm_loss_weight", "training.mtp.primary_loss_weight"),
            plain("training.mtp_loss_weight", "training.mtp.loss_weight"),
            plain("training.gradient_checkpointing", "training.gradient_checkpointing"),
            turned("training.mixed_precision", "training.mixed_precision", _MIXED),
            plain("training.compile_model", "training.compile.enabled"),
            plain("training.micro_batch_size", "training.batch_size"),
            plain("training.gradient_accumulation_steps", "training.gradient_accumulation_steps"),
            plain("training.learning_rate", "training.learning_rate"),
            plain("training.warmup_steps", "training.warmup_steps"),
            plain("training.eval_interval", "training.eval_steps"),
            plain("training.save_interval", "training.save_steps"),
        )
    ),
    kept={
        "mla.num_kv_heads": Keep("latent attention makes keys and values for every head"),
        "mla.use_flash_mla": Keep("FlashMLA's kernels are for inference"),
        "training.audio_loss_weight": Keep("the workbench trains language models on text"),
        "training.text_loss_weight": Keep("the workbench trains language models on text"),
        "audio": Keep("the workbench trains language models on text"),
    },
    derived={"model.mla.enabled": True, "model.tie_word_embeddings": False},
    refused=_ALIGNMENT,
)

_STAGE = (
    plain("dataset_name", "data.dataset_name"),
    plain("max_seq_length", "data.max_length"),
    plain("weight_decay", "training.weight_decay"),
    plain("warmup_steps", "training.warmup_steps"),
    plain("num_epochs", "training.num_epochs"),
    plain("gradient_accumulation_steps", "training.gradient_accumulation_steps"),
    plain("save_dir", "run.runs_dir"),
    plain("save_steps", "training.save_steps"),
    plain("save_total_limit", "training.save_total_limit"),
    plain("eval_steps", "training.eval_steps"),
    plain("eval_samples", "data.max_eval_examples"),
    plain("gradient_checkpointing", "training.gradient_checkpointing"),
    turned("mixed_precision", "training.mixed_precision", _MIXED),
    plain("compile_model", "training.compile.enabled"),
    plain("num_workers", "data.dataloader_num_workers"),
    plain("pin_memory", "data.dataloader_pin_memory"),
    plain("logging_steps", "training.logging_steps"),
    plain("project_name", "logging.wandb.project"),
    turned("report_to", "logging.wandb.enabled", _listed("wandb"), writes=False),
    turned("report_to", "logging.tensorboard.enabled", _listed("tensorboard"), writes=False),
    plain("max_grad_norm", "training.max_gradient_norm"),
)

SFT = Kind(
    "supervised fine-tuning",
    Claims(
        (
            *_STAGE,
            plain("learning_rate", "training.learning_rate"),
            plain("batch_size", "training.batch_size"),
            plain("moe_loss_weight", "model.router_aux_loss_coef"),
            plain("pretrained_checkpoint", "model.pretrained_path"),
        )
    ),
    kept={
        "max_turns": Keep("a conversation is cut at data.max_length"),
        "mask_prompt": Keep("only answers count in the formats instruction and chat"),
        "response_template": Keep(_TEMPLATE),
        "instruction_template": Keep(_TEMPLATE),
        "system_template": Keep(_TEMPLATE),
        "system_prompt": Keep(_TEMPLATE),
        "maintain_load_balance": Keep("model.moe_balancing.method says how experts are balanced"),
    },
    derived={"run.objective": "finetune", "data.format": "chat"},
    refused=_ALIGNMENT,
)

DPO = Kind(
    "preference optimization (DPO)",
    Claims(
        (
            *_STAGE,
            plain("learning_rate", "training.learning_rate"),
            plain("batch_size", "training.batch_size"),
            plain("beta", "rlhf.dpo.beta"),
            plain("label_smoothing", "rlhf.dpo.label_smoothing"),
            turned("ipo_grad_norm", "rlhf.dpo.loss_type", either("ipo", "sigmoid")),
            plain("reference_model_path", "model.pretrained_path"),
        )
    ),
    kept={
        "sft_loss_weight": Keep("the loss is that of the pairs alone"),
        "average_log_prob": Keep("log-probabilities of an answer are added up"),
    },
    derived={
        "run.objective": "rlhf",
        "rlhf.enabled": True,
        "rlhf.algorithm": "dpo",
        "data.format": "preference",
    },
    refused=_ALIGNMENT,
)

PPO = Kind(
    "reinforcement learning (PPO)",
    Claims(
        (
            plain("max_seq_length", "data.max_length"),
            plain("max_new_tokens", "rlhf.ppo.max_gen_length"),
            plain("learning_rate", "rlhf.ppo.learning_rate"),
            plain("n_steps", "rlhf.num_rollouts_per_epoch"),
            plain("batch_size", "rlhf.ppo.mini_batch_size"),
            plain("n_epochs", "rlhf.ppo.ppo_epochs"),
            plain("gamma", "rlhf.ppo.gamma"),
            plain("gae_lambda", "rlhf.ppo.gae_lambda"),
            plain("clip_range", "rlhf.ppo.clip_range"),
            plain("clip_range_vf", "rlhf.ppo.clip_range_value"),
            plain("vf_coef", "rlhf.ppo.value_loss_coef"),
            plain("ent_coef", "rlhf.ppo.entropy_coef"),
            plain("kl_coef", "rlhf.ppo.init_kl_coef"),
            plain("target_kl", "rlhf.ppo.target_kl"),
            plain("reward_model_path", "rlhf.reward.reward_model_path"),
            plain("temperature", "rlhf.ppo.temperature"),
            plain("top_p", "rlhf.ppo.top_p"),
            plain("top_k", "rlhf.ppo.top_k"),
            turned("optimizer", "training.optimizer", _METHOD),
            plain("adam_eps", "training.eps"),
            plain("max_grad_norm", "rlhf.ppo.max_grad_norm"),
            plain("reference_model_path", "rlhf.policy_model_path"),
            plain("save_dir", "run.runs_dir"),
            turned(
                "device", "run.device", words({"cpu": "cpu", "cuda": "cuda"}, "device")
            ),
            plain("normalize_advantage", "rlhf.reward.whiten_rewards"),
            plain("log_interval", "rlhf.ppo.logging_steps"),
            plain("tensorboard_log", "logging.tensorboard.log_dir"),
        )
    ),
    kept={
        "reward_scale": Keep("rlhf.reward.use_score_scaling scales by itself"),
        "reward_baseline": Keep("rlhf.reward.use_score_norm subtracts the mean"),
        "repetition_penalty": Keep("answers are drawn by temperature, top_k and top_p"),
        "total_timesteps": Keep("it counts tokens of an environment, not optimizer steps"),
        "eval_freq": Keep("it counts tokens of an environment, not optimizer steps"),
        "save_freq": Keep("it counts tokens of an environment, not optimizer steps"),
        "save_best_model": Keep("checkpointing.keep_best_n says it"),
        "verbose": Keep("logging.level says it"),
        **dict.fromkeys(
            (
                "save_replay_buffer", "n_envs", "use_sde", "use_clipped_value_loss",
                "target_update_interval", "policy_kwargs",
            ),
            Keep(_STABLE),
        ),
    },
    derived={"run.objective": "rlhf", "rlhf.enabled": True, "rlhf.algorithm": "ppo"},
    refused=_ALIGNMENT,
)  # fmt: skip

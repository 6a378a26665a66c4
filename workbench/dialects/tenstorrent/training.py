"""``training_config`` and its neighbours, in both generations of tt-train's schema."""

from __future__ import annotations

from typing import Any, Final

from workbench.dialects.building import NoPlace
from workbench.dialects.tenstorrent.saying import Says, word
from workbench.dialects.tenstorrent.words import DEFAULTS as MODEL_DEFAULTS

_T: Final = "training_config."
_O: Final = "training_config.optimizer."
_S: Final = "scheduler_config."
_E: Final = "eval_config."
_G: Final = "training_config.grpo_config."

_FLAT: Final = "today's train_nanogpt.py reads training_config.optimizer and not this; 2025's did"
_UNREAD: Final = "train_nanogpt.py reads no such key"

OPTIMIZERS: Final = {
    "adamw": "adamw",
    "adamwfullprecision": "adamw",
    "adamwcomposite": "adamw",
    "morehadamw": "moreh_adamw",
    "sgd": "sgd",
    "sgdcomposite": "sgd",
    "muon": "muon",
}
_CANONICAL: Final = {"adamw": "AdamW", "moreh_adamw": "MorehAdamW", "sgd": "SGD", "muon": "Muon"}


def _optimizer(value: Any) -> str:
    """A type of optimizer; one that we write in another word stays residue beside ours."""
    name = OPTIMIZERS.get(str(value).lower())
    if name is None or _CANONICAL[name] != value:
        raise NoPlace(f"{value} is a variant of Tenstorrent's")
    return name


def _told_optimizer(value: Any) -> str:
    if value not in _CANONICAL:
        raise NoPlace("tt-train has AdamW, MorehAdamW, SGD and Muon")
    return _CANONICAL[value]


def told_schedule(value: Any) -> str:
    """Our kind of schedule in tt-train's words; it raises `NoPlace` where there is none."""
    if value == "constant":
        return "identity"
    if value == "linear":
        return "warmup_linear"
    raise NoPlace("tt-train has identity and warmup_linear")


def _path(value: Any) -> Any:
    if value in ("", None):
        raise NoPlace("an empty path is tt-train's own data folder")
    return value


def _level(value: Any) -> str:
    return str(value).lower()


_STRATEGIES: Final = word(steps="steps", step="steps", epoch="epoch", no="no", none="no")

TABLE: Final = (
    Says(_T + "seed", "run.seed"),
    Says(_T + "num_epochs", "training.num_epochs"),
    Says(_T + "max_steps", "training.max_steps"),
    Says(_T + "gradient_accumulation_steps", "training.gradient_accumulation_steps"),
    Says(_T + "validation_batch_size", "data.eval_batch_size"),
    Says(_T + "model_save_interval", "training.save_steps"),
    Says(_T + "checkpoint_frequency", "training.save_steps", ignored=_UNREAD),
    Says(_T + "eval_every", "training.eval_steps"),
    Says(_T + "validation_frequency", "training.eval_steps", ignored=_UNREAD),
    Says(_T + "logging_interval", "training.logging_steps"),
    Says(_T + "data_path", "data.path", _path),
    Says(_T + "tokenizer_path", "data.tokenizer_name"),
    Says(_O + "lr", "training.learning_rate"),
    Says(_O + "beta1", "training.beta1"),
    Says(_O + "beta2", "training.beta2"),
    Says(_O + "epsilon", "training.eps"),
    Says(_O + "weight_decay", "training.weight_decay"),
    Says(_O + "amsgrad", "training.amsgrad"),
    Says(_O + "stochastic_rounding", "training.stochastic_rounding"),
    Says(_O + "kahan_summation", "training.kahan_summation"),
    Says(_O + "momentum", "training.momentum"),
    Says(_O + "nesterov", "training.nesterov"),
    Says(_O + "type", "training.optimizer", _optimizer, _told_optimizer),
    Says(_S + "max_lr", "training.learning_rate", shy=True),
    Says(_S + "min_lr", "training.lr_end", shy=True),
    Says(_S + "warmup_steps", "training.warmup_steps", shy=True),
    Says(_S + "hold_steps", "training.lr_hold_steps", shy=True),
    Says(_T + "learning_rate", "training.learning_rate", ignored=_FLAT),
    Says(_T + "weight_decay", "training.weight_decay", ignored=_FLAT),
    Says(_T + "beta1", "training.beta1", ignored=_FLAT),
    Says(_T + "beta2", "training.beta2", ignored=_FLAT),
    Says(_T + "eps", "training.eps", ignored=_FLAT),
    Says(_T + "momentum", "training.momentum"),
    Says(
        _T + "use_moreh_adamw",
        "training.optimizer",
        lambda on: "moreh_adamw" if on is True else "adamw",
        lambda name: name == "moreh_adamw",
        ignored=_FLAT,
    ),
    Says(_T + "use_kahan_summation", "training.kahan_summation", ignored=_FLAT),
    Says(_T + "log_level", "logging.level", _level, lambda level: level.upper(), ignored=_UNREAD),
    Says(_T + "use_wandb", "logging.wandb.enabled", ignored=_UNREAD),
    Says(_T + "wandb_project", "logging.wandb.project", ignored=_UNREAD),
    Says(_T + "wandb_run_name", "logging.wandb.name", ignored=_UNREAD),
    Says(_T + "save_strategy", "training.save_strategy", _STRATEGIES, ignored=_UNREAD),
    Says(_T + "keep_best_n", "checkpointing.keep_best_n", ignored=_UNREAD),
    Says(_T + "model_source", "rlhf.policy_model_path"),
    Says(_E + "repetition_penalty", "evaluation.repetition_penalty"),
    Says(_E + "temperature", "evaluation.temperature"),
    Says(_E + "top_k", "evaluation.top_k"),
    Says(_E + "top_p", "evaluation.top_p"),
    Says(_G + "epsilon", "rlhf.grpo.epsilon"),
    Says(_G + "num_iterations", "rlhf.grpo.num_iterations"),
    Says(_G + "num_generations", "rlhf.grpo.num_generations"),
    Says(_G + "per_device_train_batch_size", "rlhf.ppo.mini_batch_size"),
    Says(_G + "gradient_accumulation_steps", "rlhf.ppo.gradient_accumulation_steps"),
    Says(_G + "logging_steps", "rlhf.ppo.logging_steps"),
    Says(_G + "checkpoint_interval", "rlhf.ppo.save_steps"),
    Says(_G + "temperature", "rlhf.ppo.temperature"),
    Says(_G + "max_completion_length", "rlhf.ppo.max_gen_length"),
    Says(_G + "warmup_steps", "rlhf.ppo.warmup_steps"),
    Says("lora_config.r", "lora.r"),
    Says("lora_config.lora_alpha", "lora.alpha"),
    Says("lora_config.lora_dropout", "lora.dropout"),
    Says("lora_config.is_bias_trainable", "lora.bias",
         lambda on: "all" if on else "none", lambda word: word != "none"),
    Says("lora_config.target_modules", "lora.target_modules"),
    Says("multihost_config.pipeline_parallel_config.num_blocks", "model.num_layers", shy=True),
)  # fmt: skip
"""Keys that say one key of ours, in both generations; the first that a file has counts."""

KEPT: Final = {
    _T + "project_name": "a label; run.name names a run here",
    _T + "model_config": "the model's own file",
    _T + "multihost_config": "the file of the machines",
    _T + "checkpoint_dir": "a run keeps its checkpoints in its own directory",
    _T + "output_dir": "a run has its own directory",
    _O + "dampening": "the trainer's SGD has none",
    _S + "beta1_start": "beta1 does not change here",
    _S + "beta1_end": "beta1 does not change here",
    _S + "beta1_warmup_steps": "beta1 does not change here",
    "device_config.device_ids": "which chips of the machine are used; every process takes the next",
    "device_config.device_type": "run.hardware says it",
    "device_config.moe_axis": "which axis of the mesh shares the experts",
    "device_config.enable_sp": "sequence parallelism on the tensor-parallel chips",
    "device_config.cp_backward": "which of Tenstorrent's kernels is taken",
    "device_config.cp_shift_transport": "which of Tenstorrent's kernels is taken",
    "device_config.cp_layout": "which of Tenstorrent's kernels is taken",
    "device_config.cp_rows_per_block_tiles": "which of Tenstorrent's kernels is taken",
    "multihost_config.socket_type": "parallel.backend is chosen by the hardware here",
}
"""Keys without a place here, and why."""

DEFAULTS: Final[dict[str, Any]] = {
    "training.max_steps": 5000,
    "training.learning_rate": 3e-4,
    "training.beta2": 0.999,
    "training.weight_decay": 0.01,
    "training.lr_scheduler_type": "constant",
    "training.save_steps": 500,
    "training.eval_steps": 200,
    "run.seed": 5489,
}
"""What tt-train takes for what a training file leaves out, in our words."""

ALWAYS: Final = frozenset(
    {
        "run.seed",
        "training.beta1",
        "training.beta2",
        "training.eps",
        "training.gradient_accumulation_steps",
        "training.learning_rate",
        "training.max_steps",
        "training.optimizer",
        "training.save_steps",
        "training.weight_decay",
    }
)
"""What a new file always says: our defaults are not tt-train's."""

SPARE: Final[dict[str, Any]] = {
    _T + "max_steps": 5000, _T + "num_epochs": 1, _T + "seed": 5489,
    _T + "model_save_interval": 500, _T + "eval_every": 200,
    _T + "gradient_accumulation_steps": 1, _T + "scheduler_type": "identity",
    _T + "use_clip_grad_norm": False, _O + "lr": 3e-4, _O + "beta1": 0.9, _O + "beta2": 0.999,
    _O + "epsilon": 1e-8, _O + "weight_decay": 0.01, _O + "type": "AdamW",
    "device_config.mesh_shape": [1, 1], "device_config.enable_ddp": False,
    "device_config.enable_tp": False, "device_config.enable_fsdp": False,
    **{f"transformer_config.{name}": value for name, value in MODEL_DEFAULTS.items()},
}  # fmt: skip
"""tt-train's own defaults by key: what need not be written."""

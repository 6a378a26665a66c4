"""tt-blacksmith's first schema, of 2024: ``model``, ``data_loading`` and ``training_config``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.tenstorrent.blacksmith import put_network, read_dtype, tell_dtype
from workbench.dialects.tenstorrent.saying import Says, understand, word

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.dialects.building import Builder

_D: Final = "data_loading."
_T: Final = "training_config."
_OPTIMS: Final = word(AdamW="adamw", adamw="adamw", Adam="adam", adam="adam", SGD="sgd", sgd="sgd")
_STRATEGY: Final = word(steps="steps", epoch="epoch", no="no")
_NAMES: Final = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def _told_optimizer(name: Any) -> Any:
    return _NAMES.get(name, name)


TABLE: Final = (
    Says("experiment_name", "run.name"),
    Says("tags", "run.tags"),
    Says("model.model_id", "data.tokenizer_name"),
    Says("model.dtype", "training.mixed_precision", read_dtype,
         lambda name: tell_dtype(name).removeprefix("torch.")),
    Says("model.rank", "lora.r"),
    Says("model.alpha", "lora.alpha"),
    Says("model.lora_attn_modules", "lora.target_modules"),
    Says(_D + "dataset_id", "data.dataset_name"),
    Says(_D + "cache_dir", "data.cache_dir"),
    Says(_D + "max_length", "data.max_length"),
    Says(_D + "batch_size", "training.batch_size"),
    Says(_D + "train_sample", "data.max_train_examples"),
    Says(_D + "validation_sample", "data.max_eval_examples"),
    Says(_T + "epochs", "training.num_epochs"),
    Says(_T + "optimizer", "training.optimizer", _OPTIMS, _told_optimizer),
    Says(_T + "optimizer_kwargs.lr", "training.learning_rate"),
    Says(_T + "lr", "training.learning_rate"),
    Says(_T + "optimizer_kwargs.weight_decay", "training.weight_decay"),
    Says(_T + "save_strategy", "training.save_strategy", _STRATEGY),
    Says(_T + "save_steps", "training.save_steps"),
)  # fmt: skip


def read(builder: Builder) -> Reading:
    """Understand the first schema: LoRA on a model of the Hugging Face hub."""
    understand(builder, TABLE)
    builder.put("run.objective", "finetune")
    if builder.has("model.rank"):
        builder.put("lora.enabled", True)
    put_network(builder, "model.model_id")
    builder.keep(_T + "output_dir", "a run has its own directory; run.runs_dir says where")
    return builder.reading(rest="the workbench has no such key")

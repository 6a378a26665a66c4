"""Which of Tenstorrent's schemas a tree is in."""

from __future__ import annotations

from typing import Any, Final, Literal

from workbench.dialects.base import Guess
from workbench.errors import ConfigError

Shape = Literal["tt-train", "toolkit", "blacksmith", "bert", "optimizer", "logger"]

SECTIONS: Final = (
    "training_config",
    "transformer_config",
    "device_config",
    "eval_config",
    "scheduler_config",
    "multihost_config",
    "lora_config",
)
_TOOLKIT: Final = ("model_config", "data_config", "output_config")
_BLACKSMITH: Final = ("dataset_id", "model_name", "training_model_type", "training_type",
                      "lora_r", "lora_rank", "mesh_axis_names", "steps_freq", "keep_best_n",
                      "wandb_watch_mode", "use_tt", "checkpoint_metric", "storage_backend",
                      "framework", "mesh", "optimization_level")  # fmt: skip
_NESTED: Final = ("logging", "metrics", "checkpoint", "custom_dataset")
_BERT: Final = ("embedding_dim", "num_blocks", "num_heads")
_LOGGER: Final = ("log_hyperparameters", "log_train_loss", "log_gradients", "log_weights")

_OTHER: Final = {
    "dit_config": "a diffusion transformer (DiT), which makes images",
    "diffusion_config": "a diffusion transformer (DiT), which makes images",
    "mlp_config": "a small network for digits (MNIST)",
    "net_config": "a small network for digits (MNIST)",
}


def shape_of(tree: dict[str, Any]) -> Shape | None:
    """The schema of a tree; None where it is none of Tenstorrent's."""
    inner = tree.get("model_config")
    if isinstance(inner, dict) and isinstance(tree.get("training_config"), dict):
        return "toolkit"
    if any(isinstance(tree.get(name), dict) for name in SECTIONS):
        return "tt-train"
    if any(name in tree for name in _LOGGER):
        return "logger"
    flat = sum(name in tree for name in _BLACKSMITH)
    if flat > 2 or (flat and any(isinstance(tree.get(name), dict) for name in _NESTED)):
        return "blacksmith"
    if "model_name" in tree and "dataset_id" in tree:
        return "blacksmith"
    if all(name in tree for name in _BERT):
        return "bert"
    if isinstance(tree.get("type"), str) and "lr" in tree and len(tree) < 12:
        return "optimizer"
    return None


def refuse_others(tree: dict[str, Any], name: str) -> None:
    """Refuse configs of networks that are no language models.

    Raises:
        ConfigError: It is one.
    """
    training = tree.get("training_config")
    training = training if isinstance(training, dict) else {}
    named = str(training.get("model_config", ""))
    what = next((text for key, text in _OTHER.items() if key in tree), None)
    if what is None and "/dit_" in f"/{named}":
        what = _OTHER["dit_config"]
    if what is None and ("mlp_config" in named or "logging_interval" in training):
        what = _OTHER["mlp_config"]
    if what is not None:
        raise ConfigError(
            f"this trains {what}",
            where=name,
            why="the workbench trains language models",
            fix="nothing of it can be imported",
        )


def recognise(tree: dict[str, Any]) -> Guess | None:
    """How much a tree looks like a config of Tenstorrent's."""
    found = [name for name in ("dit_config", "mlp_config") if name in tree]
    if found:
        return Guess(0.8, f"it has the section {found[0]}")
    shape = shape_of(tree)
    sections = [name for name in (*SECTIONS, *_TOOLKIT) if isinstance(tree.get(name), dict)]
    if shape == "toolkit":
        return Guess(0.95, "it has the sections model_config and training_config of the toolkit")
    if shape == "tt-train":
        score = 0.97 if set(sections) & {"training_config", "transformer_config"} else 0.85
        return Guess(score, f"it has the section {' and '.join(sections[:2])} of tt-train")
    if shape == "blacksmith":
        known = [name for name in _BLACKSMITH if name in tree][:2]
        return Guess(0.9, f"it has the keys {' and '.join(known)} of tt-blacksmith")
    if shape == "logger":
        return Guess(0.6, "it has the keys of tt-blacksmith's logger")
    if shape == "bert":
        return Guess(0.5, "it has embedding_dim, num_blocks and num_heads, as tt-train's BERT has")
    if shape == "optimizer":
        return Guess(0.4, "it has type and lr, as tt-train's optimizer files have")
    return None

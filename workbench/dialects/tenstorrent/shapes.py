"""Which of Tenstorrent's schemas a tree is in."""

from __future__ import annotations

from typing import Any, Final, Literal

from workbench.dialects.base import Guess
from workbench.errors import ConfigError

Shape = Literal["tt-train", "toolkit", "blacksmith", "early", "bert", "optimizer", "logger"]

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
_FEW: Final = 12
_SEVERAL: Final = 2
_LOGGER: Final = ("log_hyperparameters", "log_train_loss", "log_gradients", "log_weights")

_OTHER: Final = {
    "dit_config": "a diffusion transformer (DiT), which makes images",
    "diffusion_config": "a diffusion transformer (DiT), which makes images",
    "mlp_config": "a small network for digits (MNIST)",
    "net_config": "a small network for digits (MNIST)",
}


_BY_KEYS: Final = {
    "a radiance field (NeRF), which makes images": ("netdepth", "netwidth"),
    "a radiance field (NeRF) that makes images": ("N_samples", "N_importance"),
    "a network on graphs": ("in_channels", "hidden_channels", "out_channels"),
}


def _has_all(tree: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether the tree, or one of its sections, has all of the keys."""
    places = [tree, *(value for value in tree.values() if isinstance(value, dict))]
    return any(all(key in place for key in keys) for place in places)


def shape_of(tree: dict[str, Any]) -> Shape | None:
    """The schema of a tree; None where it is none of Tenstorrent's."""
    found: tuple[tuple[Shape, bool], ...] = (
        ("toolkit", _is_toolkit(tree)),
        ("early", _is_early(tree)),
        ("tt-train", any(isinstance(tree.get(name), dict) for name in SECTIONS)),
        ("logger", any(name in tree for name in _LOGGER)),
        ("blacksmith", _is_blacksmith(tree)),
        ("bert", all(name in tree for name in _BERT)),
        ("optimizer", isinstance(tree.get("type"), str) and "lr" in tree and len(tree) < _FEW),
    )
    return next((shape for shape, fits in found if fits), None)


def _is_toolkit(tree: dict[str, Any]) -> bool:
    return all(isinstance(tree.get(name), dict) for name in ("model_config", "training_config"))


def _is_early(tree: dict[str, Any]) -> bool:
    model = tree.get("model")
    return (
        isinstance(tree.get("data_loading"), dict)
        and isinstance(tree.get("training_config"), dict)
        and isinstance(model, dict)
        and "model_id" in model
    )


def _is_blacksmith(tree: dict[str, Any]) -> bool:
    flat = sum(name in tree for name in _BLACKSMITH)
    nested = any(isinstance(tree.get(name), dict) for name in _NESTED)
    return flat > _SEVERAL or bool(flat and nested) or {"model_name", "dataset_id"} <= tree.keys()


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
    if what is None:
        what = next((text for text, keys in _BY_KEYS.items() if _has_all(tree, keys)), None)
    if what is not None:
        raise ConfigError(
            f"this trains {what}",
            where=name,
            why="the workbench trains language models",
            fix="nothing of it can be imported",
        )


def guess_of(tree: dict[str, Any]) -> Guess | None:
    """How much a tree looks like a config of Tenstorrent's."""
    found = [name for name in ("dit_config", "mlp_config") if name in tree]
    if found:
        return Guess(0.8, f"it has the section {found[0]}")
    shape = shape_of(tree)
    sections = [name for name in (*SECTIONS, *_TOOLKIT) if isinstance(tree.get(name), dict)]
    whole = bool(set(sections) & {"training_config", "transformer_config"})
    known = [name for name in _BLACKSMITH if name in tree][:2]
    guesses = {
        "toolkit": (0.95, "the sections model_config and training_config of the toolkit"),
        "tt-train": (
            0.97 if whole else 0.85,
            f"the section {' and '.join(sections[:2])} of tt-train",
        ),
        "blacksmith": (0.9, f"the keys {' and '.join(known)} of tt-blacksmith"),
        "early": (0.9, "the sections data_loading and training_config of the first tt-blacksmith"),
        "logger": (0.6, "the keys of tt-blacksmith's logger"),
        "bert": (0.5, "embedding_dim, num_blocks and num_heads, as tt-train's BERT has"),
        "optimizer": (0.4, "type and lr, as tt-train's optimizer files have"),
    }
    if shape is None:
        return None
    score, what = guesses[shape]
    return Guess(score, f"it has {what}")

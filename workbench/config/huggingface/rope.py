"""Rotary positions in a Hugging Face config: today's ``rope_parameters``, yesterday's pair of keys.

Written is the older form, ``rope_theta`` and ``rope_scaling``: every version reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.words import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig

_NUMBERS = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": (
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ),
    "yarn": (
        "factor",
        "beta_fast",
        "beta_slow",
        "attention_factor",
        "mscale",
        "mscale_all_dim",
        "original_max_position_embeddings",
    ),
}
"""What each recipe has, under names that are theirs and ours."""


def read_rope(hf: Mapping[str, Any], default_theta: float = 10000.0) -> dict[str, Any]:
    """Base, recipe and share of the turned features, as keys of ``model``.

    Raises:
        UnsupportedError: The recipe is not built.
    """
    said = dict(hf.get("rope_parameters") or hf.get("rope_scaling") or {})
    theta = said.get("rope_theta", hf.get("rope_theta", default_theta))
    keys: dict[str, Any] = {"position_embedding_type": "rope", "rope_theta": float(theta)}
    if (part := said.get("partial_rotary_factor", hf.get("partial_rotary_factor"))) is not None:
        keys["partial_rotary_factor"] = float(part)
    kind = said.get("rope_type", said.get("type", "default"))
    longest = hf.get("max_position_embeddings")
    if longest is not None:
        keys["max_position_embeddings"] = longest
    if kind in ("default", None):
        return keys
    if kind not in _NUMBERS:
        raise UnsupportedError(f"rotary positions of the kind {kind} are not built")
    if said.get("truncate", True) is not True:
        raise UnsupportedError("yarn with truncate: false is not built")
    keys["rope_scaling.type"] = kind
    for name in _NUMBERS[kind]:
        if said.get(name) is not None:
            keys[f"rope_scaling.{name}"] = said[name]
    if kind == "dynamic" and longest is not None:
        # Theirs is the length that the model was trained for, ours the longest it is meant for.
        keys["rope_scaling.original_max_position_embeddings"] = longest
        keys["max_position_embeddings"] = int(longest * said["factor"])
    if kind == "yarn" and "factor" not in said:
        keys["rope_scaling.factor"] = longest / said["original_max_position_embeddings"]
    return keys


def write_rope(model: ModelConfig) -> dict[str, Any]:
    """The same in their words."""
    scaling, longest = model.rope_scaling, model.max_position_embeddings
    keys: dict[str, Any] = {"rope_theta": model.rope_theta, "max_position_embeddings": longest}
    if model.partial_rotary_factor != 1:
        keys["partial_rotary_factor"] = model.partial_rotary_factor
    if scaling.type == "none":
        return keys
    numbers = {name: getattr(scaling, name) for name in _NUMBERS[scaling.type]}
    trained = scaling.original_max_position_embeddings or longest
    if "original_max_position_embeddings" in numbers:
        numbers["original_max_position_embeddings"] = trained
    if scaling.type == "dynamic":
        keys["max_position_embeddings"] = trained
    said = {name: value for name, value in numbers.items() if value is not None}
    return keys | {"rope_scaling": {"rope_type": scaling.type, **said}}

"""Qwen2: biases on queries, keys and values. Qwen3: a norm on each query and key head instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.huggingface.family import Family
from workbench.models.huggingface.llama import (
    IGNORED,
    pieces,
    read_common,
    read_window,
    write_common,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _window(model: ModelConfig) -> dict[str, Any]:
    window, layers = model.sliding_window, model.num_layers
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": layers if window is None else 0,
        "layer_types": ["full_attention" if window is None else "sliding_attention"] * layers,
    }


def _read_2(hf: Mapping[str, Any]) -> dict[str, Any]:
    biases = {"attention_bias": True, "attention_out_bias": False}
    return read_common(hf) | read_window(hf) | biases


def _write_2(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | _window(model)


def _read_3(hf: Mapping[str, Any]) -> dict[str, Any]:
    common = read_common(hf)
    # Their default is 128, whatever the width.
    common["head_dim"] = hf.get("head_dim", 128)
    return (
        common
        | read_window(hf)
        | {
            "attention_bias": hf.get("attention_bias", False),
            "qk_norm": True,
        }
    )


def _write_3(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | _window(model) | {"attention_bias": model.attention_bias}


QWEN2 = Family("qwen2", "Qwen2ForCausalLM", _read_2, _write_2, pieces, "model.", IGNORED)
QWEN3 = Family("qwen3", "Qwen3ForCausalLM", _read_3, _write_3, pieces, "model.", IGNORED)

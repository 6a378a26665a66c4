"""GPT-J: attention and feed-forward side by side behind one norm, neighbours turned as pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.gpt2 import read_gpt, write_gpt
from workbench.config.huggingface.words import UnsupportedError, Words
from workbench.config.linears import head_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    turned = hf.get("rotary_dim", 64)
    return read_gpt(hf, positions=2048, dropout=0.0, tied=False) | {
        "position_embedding_type": "rope",
        "rope_interleaved": True,
        "partial_rotary_factor": 1.0 if turned is None else turned * hf["n_head"] / hf["n_embd"],
        "residual_type": "parallel_shared_norm",
        "lm_head_bias": True,
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    return write_gpt(model) | {"rotary_dim": _turned(model)}


def _turned(model: ModelConfig) -> int:
    width = int(head_width(model) * model.partial_rotary_factor)
    if width % 2 or not width:
        raise UnsupportedError(f"rotary positions turn pairs of features, and {width} is odd or 0")
    return width


GPTJ = Words("gptj", "GPTJForCausalLM", _read, _write)

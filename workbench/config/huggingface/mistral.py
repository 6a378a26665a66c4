"""Mistral: a Llama whose layers look back over a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.llama import read_common, read_window, write_common
from workbench.config.huggingface.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    return read_common(hf) | read_window(hf)


def _write(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | {"sliding_window": model.sliding_window}


MISTRAL = Words("mistral", "MistralForCausalLM", _read, _write)

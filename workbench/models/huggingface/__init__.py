"""Weights and configs of Hugging Face models, both ways.

    config_from_hf   config.json as keys of ``model``
    hf_config        ``model`` as config.json
    load_pretrained  weights into a network
    save_pretrained  a network as a folder that transformers opens
    save_adapter     LoRA adapters as a folder that peft opens

``table.FAMILIES`` lists what can be read and written; one file per family says how.
"""

from __future__ import annotations

from workbench.models.huggingface.adapter import save_adapter
from workbench.models.huggingface.configs import config_from_hf, hf_config
from workbench.models.huggingface.family import UnsupportedError
from workbench.models.huggingface.loading import load_pretrained
from workbench.models.huggingface.saving import save_pretrained, save_weights

__all__ = [
    "UnsupportedError",
    "config_from_hf",
    "hf_config",
    "load_pretrained",
    "save_adapter",
    "save_pretrained",
    "save_weights",
]

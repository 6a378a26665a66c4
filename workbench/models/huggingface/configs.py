"""The family of a network with its tensors; `workbench.config.huggingface` has the configs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import configs
from workbench.config.huggingface.configs import (
    Disagreement,
    config_from_hf,
    disagreements,
    hf_config,
    model_config,
    network,
)
from workbench.models.huggingface.table import FAMILIES

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.models.huggingface.family import Family

__all__ = [
    "Disagreement",
    "config_from_hf",
    "disagreements",
    "family_of",
    "hf_config",
    "model_config",
    "network",
]


def family_of(model: ModelConfig) -> Family:
    """The first family that can hold the network: what it writes, it reads back unchanged.

    Raises:
        UnsupportedError: There is none.
    """
    return FAMILIES[configs.family_of(model).name]

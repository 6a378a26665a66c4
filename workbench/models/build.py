"""From the config to a network, whatever its family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.models.decoder import Decoder

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig
    from workbench.models.base import LanguageModel, Recompute


def build_model(
    config: ModelConfig,
    *,
    compute_dtype: torch.dtype = torch.float32,
    recompute: Recompute = "none",
    mtp: MtpConfig | None = None,
) -> LanguageModel:
    """The network of ``model.model_type``, on the current device, with uninitialised weights.

    Args:
        config: Its shape.
        compute_dtype: Dtype of the residual stream and of the matrix products; weights stay fp32.
        recompute: What the backward pass computes again.
        mtp: Multi-token prediction, for a decoder.

    Raises:
        ValueError: The shape contradicts itself, or asks for what is not built.
    """
    del mtp
    if config.model_type != "decoder":
        raise ValueError(f"model.model_type {config.model_type} is not built: use decoder")
    return Decoder(config, compute_dtype=compute_dtype, recompute=recompute)

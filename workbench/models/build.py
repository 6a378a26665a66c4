"""From the config to a network, whatever its family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.models.bert import Bert
from workbench.models.decoder import Decoder
from workbench.models.t5 import T5

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
    if config.model_type == "decoder":
        return Decoder(config, compute_dtype=compute_dtype, recompute=recompute, mtp=mtp)
    for key, wanted in {
        "model.num_experts": config.num_experts > 1,
        "model.mla.enabled": config.mla.enabled,
        "training.mtp.enabled": mtp is not None and mtp.enabled,
    }.items():
        if wanted:
            raise ValueError(f"{key} is built for decoders only, not for {config.model_type}")
    family = Bert if config.model_type == "bert" else T5
    return family(config, compute_dtype=compute_dtype, recompute=recompute)

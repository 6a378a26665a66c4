"""The first weights, as a pure function of the seed and each parameter's name.

| parameter | value |
|---|---|
| norm weights | 1 |
| biases, and buffers (the bias that balances experts) | 0 |
| projections back into the residual stream | normal, std = range / sqrt(2 * num_layers) |
| queries of a t5, whose scores are not divided | normal, std = range / sqrt(head width) |
| everything else, position tables too | normal, std = range, the config's initializer_range |

The 2 * num_layers additions to the residual stream would otherwise make its variance grow with
depth (GPT-2 report, section 2.3). A generator per name means that adding a layer, or building only
a shard, leaves every other weight as it was.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import torch

from workbench.models.attention import head_width

if TYPE_CHECKING:
    from workbench.models.base import LanguageModel

_BACK_INTO_RESIDUAL = ("o_proj", "down_proj")


@torch.no_grad()
def init_weights(model: LanguageModel, seed: int) -> None:
    """Fill every parameter, the same on any device and with any number of threads."""
    std = model.config.initializer_range
    residual_std = std / math.sqrt(2 * model.config.num_layers)
    query_std = (
        std / math.sqrt(head_width(model.config)) if model.config.model_type == "t5" else std
    )
    for name, parameter in model.named_parameters():
        owner = name.rsplit(".", 2)[-2:]
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            own_std = query_std if "q_proj" in owner else std
            if any(part in _BACK_INTO_RESIDUAL for part in owner):
                own_std = residual_std
            digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=7).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest))
            values = torch.empty(parameter.shape)
            values.normal_(0.0, own_std, generator=generator)
            parameter.copy_(values)
    for buffer in model.buffers():
        buffer.zero_()

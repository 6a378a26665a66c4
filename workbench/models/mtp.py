"""Multi-token prediction: beside the next token, also those after it (training only).

The kind ``block`` is DeepSeek-V3's (arXiv 2412.19437, section 2.2): module k joins what module
k - 1 knows about a position with the embedding of the token k places further on, and runs a block
of its own, so the chain of causes is kept. ``linear`` and ``mlp`` predict all distances from the
same hidden state (arXiv 2404.19737; Medusa, arXiv 2401.10774, section 2.1.1). Embedding and output
matrix are those of the model. The heads are left out of evaluation, sampling and exports.

Shapes: B sequences, T positions, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.feed_forward import activate
from workbench.models.linear import Linear
from workbench.models.norm import make_norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig
    from workbench.models.attention import Where
    from workbench.models.moe import Routing


class AheadBlock(nn.Module):
    """One module of DeepSeek-V3's chain.

    Args:
        config: The shape of the model.
        mtp: The shape of the heads.
        block: The block that it runs.
    """

    def __init__(self, config: ModelConfig, mtp: MtpConfig, block: nn.Module) -> None:
        super().__init__()
        width = config.hidden_size
        self.embedding_norm = make_norm(config)
        self.hidden_norm = make_norm(config)
        self.join_proj = Linear(2 * width, width)
        self.block = block
        self.norm = make_norm(config)
        self.dropout = mtp.head_dropout

    def forward(
        self, hidden_BTD: torch.Tensor, ahead_BTD: torch.Tensor, where: Where
    ) -> tuple[torch.Tensor, Routing | None]:
        """Know one token more.

        Args:
            hidden_BTD: What is known so far about each position.
            ahead_BTD: The embedding of the token to be known besides.
            where: What every layer has to know about the positions.
        """
        # In this order in DeepSeek's weights; the paper's equation 21 names them the other way.
        both = (self.embedding_norm(ahead_BTD), self.hidden_norm(hidden_BTD))
        x_BTD, routing = self.block(self.join_proj(torch.cat(both, dim=-1)), where)
        x_BTD = F.dropout(x_BTD, self.dropout, self.training)
        return self.norm(x_BTD), routing


class AheadHead(nn.Module):
    """A matrix, or a network of two, from the hidden state to that of a later token.

    It is added to what goes in, so that an untrained head is about the model's own.
    """

    def __init__(self, config: ModelConfig, mtp: MtpConfig) -> None:
        super().__init__()
        width = config.hidden_size
        inner = mtp.head_intermediate_size or width
        self.up_proj = Linear(width, inner, bias=True) if mtp.head_type == "mlp" else None
        self.down_proj = Linear(width if self.up_proj is None else inner, width, bias=True)
        self.dropout = mtp.head_dropout

    def forward(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """The hidden state of the later token."""
        y_BTD = hidden_BTD
        if self.up_proj is not None:
            y_BTD = activate(self.up_proj(hidden_BTD), "silu")
        y_BTD = F.dropout(self.down_proj(y_BTD), self.dropout, self.training)
        return hidden_BTD + y_BTD


def make_heads(
    config: ModelConfig, mtp: MtpConfig, make_block: Callable[[], nn.Module]
) -> nn.ModuleList:
    """One head for each distance, nearest first.

    Args:
        config: The shape of the model.
        mtp: The shape of the heads.
        make_block: Makes a block like those of the model.

    Raises:
        ValueError: There are fewer weights than distances.
    """
    count = mtp.num_future_tokens
    if mtp.loss_weights is not None and len(mtp.loss_weights) != count:
        raise ValueError(
            f"training.mtp.loss_weights has {len(mtp.loss_weights)} weights, but "
            f"training.mtp.num_future_tokens is {count}"
        )
    if mtp.head_type == "block":
        return nn.ModuleList(AheadBlock(config, mtp, make_block()) for _ in range(count))
    return nn.ModuleList(AheadHead(config, mtp) for _ in range(count))


def shifted(embedded_BTD: torch.Tensor, distance: int) -> torch.Tensor:
    """The embedding of the token ``distance`` places further on; zeros where there is none."""
    return F.pad(embedded_BTD[:, distance:], (0, 0, 0, min(distance, embedded_BTD.shape[1])))

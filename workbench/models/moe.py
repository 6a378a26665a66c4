"""A mixture of experts: each token visits a few of many feed-forward networks.

A router (`moe_router`) chooses for every token. The (token, choice) slots are then sorted by
expert, so that each expert (`moe_experts`) multiplies one contiguous piece, and the same
permutation backwards brings the results home: no atomic addition, so the same numbers every time.
Shared experts see every token besides. `moe_balance` keeps all of them busy.

Shapes: B sequences, T positions, in this file's functions T tokens of all sequences, D width,
E experts, K choices of a token, S = T*K slots, R slots that go to an expert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.feed_forward import FeedForward
from workbench.models.moe_balance import balance_experts
from workbench.models.moe_experts import Experts
from workbench.models.moe_router import Router, Routing

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

__all__ = ["MixtureOfExperts", "Routing", "balance_experts", "has_experts"]


def has_experts(config: ModelConfig, layer: int) -> bool:
    """Whether a layer, counted from 0, has experts instead of one feed-forward network."""
    interval = config.moe.dense_layer_interval
    return (
        config.num_experts > 1
        and layer >= config.moe.num_dense_layers
        and (interval is None or layer % interval != 0)
    )


class MixtureOfExperts(nn.Module):
    """The feed-forward half of a block with experts.

    Args:
        config: The shape of the model.

    Raises:
        ValueError: The shape contradicts itself, or asks for a router that is not built.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        moe = config.moe
        self.count = config.num_experts
        self.router = Router(config)
        self.experts = Experts(config)
        self.dropout = config.expert_dropout
        # Networks of one kind beside each other, added up, are one network as wide as all of them.
        inner = (
            moe.shared_intermediate_size or moe.expert_intermediate_size or config.intermediate_size
        )
        self.shared = (
            FeedForward(config, moe.num_shared_experts * inner) if moe.num_shared_experts else None
        )

    def forward(
        self, x_BTD: torch.Tensor, present_BT: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Routing]:
        """Route every token, apply its experts, and add their results weighted by the gates.

        Args:
            x_BTD: The input.
            present_BT: False for padding, which visits no routed expert; None: there is none.
        """
        x_TD = x_BTD.flatten(0, 1)
        present_T = None if present_BT is None else present_BT.flatten()
        choice, routing = self.router(x_TD, len(x_BTD), present_T)
        expert_S, order_S = choice.expert_TK.flatten().sort(stable=True)  # E sorts to the tail
        place_S = torch.empty_like(order_S)
        place_S[order_S] = torch.arange(len(order_S), device=order_S.device)
        ends_E = torch.bincount(expert_S, minlength=self.count + 1)[:-1].cumsum(0).to(torch.int32)
        rows = len(expert_S) if choice.all_kept else int(ends_E[-1])

        x_RD: torch.Tensor = _ToExperts.apply(x_TD, order_S, place_S, rows)  # type: ignore[no-untyped-call]
        y_RD = self.experts(x_RD, expert_S[:rows], ends_E)
        y_RD = F.dropout(y_RD, self.dropout, self.training)
        y_TD: torch.Tensor = _ToTokens.apply(y_RD, choice.gate_TK, order_S, place_S)  # type: ignore[no-untyped-call]
        y_BTD = y_TD.view_as(x_BTD)
        return y_BTD if self.shared is None else y_BTD + self.shared(x_BTD), routing


class _ToExperts(torch.autograd.Function):
    """Copy each token to its slots, sorted by expert; backwards, the slots' gradients add up."""

    @staticmethod
    def forward(
        ctx: Any, x_TD: torch.Tensor, order_S: torch.Tensor, place_S: torch.Tensor, rows: int
    ) -> torch.Tensor:
        ctx.save_for_backward(place_S)
        ctx.tokens = len(x_TD)
        return x_TD.index_select(0, order_S[:rows] // (len(order_S) // len(x_TD)))

    @staticmethod
    def backward(ctx: Any, grad_RD: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (place_S,) = ctx.saved_tensors
        return (
            _back(grad_RD, place_S).view(ctx.tokens, -1, grad_RD.shape[1]).sum(1),
            None,
            None,
            None,
        )


class _ToTokens(torch.autograd.Function):
    """Bring the slots' results back to their tokens and add them up, weighted, in fp32."""

    @staticmethod
    def forward(
        ctx: Any,
        y_RD: torch.Tensor,
        gate_TK: torch.Tensor,
        order_S: torch.Tensor,
        place_S: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(y_RD, gate_TK, order_S, place_S)
        y_TKD = _back(y_RD, place_S).view(*gate_TK.shape, -1)
        y_TD = y_TKD[:, 0] * gate_TK[:, :1]
        for choice in range(1, gate_TK.shape[1]):
            y_TD.addcmul_(y_TKD[:, choice], gate_TK[:, choice : choice + 1])
        return y_TD.to(y_RD.dtype)

    @staticmethod
    def backward(ctx: Any, grad_TD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        y_RD, gate_TK, order_S, place_S = ctx.saved_tensors
        token_R = order_S[: len(y_RD)] // gate_TK.shape[1]
        grad_RD = grad_TD.index_select(0, token_R)
        # What a slot that was dropped would have added is not known: its gate learns nothing.
        if y_RD.dtype == torch.float32:
            gain_R = torch.linalg.vecdot(grad_RD, y_RD)
        else:
            gain_R = (grad_RD * y_RD).sum(dim=-1, dtype=torch.float32)
        gain_TK = _back(gain_R[:, None], place_S).view_as(gate_TK)
        gate_R1 = gate_TK.flatten()[order_S[: len(y_RD)], None]
        return grad_RD.mul_(gate_R1), gain_TK, None, None


def _back(y_RD: torch.Tensor, place_S: torch.Tensor) -> torch.Tensor:
    """The rows in the order of the slots (S, D): zeros for those that went to no expert."""
    if len(y_RD) < len(place_S):
        y_RD = F.pad(y_RD, (0, 0, 0, 1))
        place_S = place_S.clamp(max=len(y_RD) - 1)
    return y_RD.index_select(0, place_S)

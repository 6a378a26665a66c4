"""A mixture of experts: each token visits a few of many feed-forward networks.

The router gives every token a probability per expert. ``switch`` (arXiv 2101.03961) sends it to the
best one and scales by that probability; ``topk`` (arXiv 1701.06538) to the best K and scales by
their renormalised probabilities. The (token, choice) slots are then sorted by expert, so that each
expert multiplies one contiguous piece, and the same permutation backwards brings the results home:
no atomic addition, so the same numbers every time.

Shapes: T tokens of all sequences, D width, F inner width, E experts, K choices of a token,
S = T*K slots, R slots that were not dropped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from ava_kernels import grouped_matmul
from torch import nn

from workbench.models.feed_forward import is_gated

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class Routing(NamedTuple):
    """What one layer's router did with one micro-batch."""

    loss: torch.Tensor
    """The weighted auxiliary losses, to be added to the loss per token."""
    balance: torch.Tensor
    """Switch equation 4 without its weight, per choice: 1 when all experts are equally busy."""
    counts_E: torch.Tensor
    """Slots that asked for each expert, before any were dropped."""
    dropped: torch.Tensor
    """Slots that found no room."""


class Router(nn.Module):
    """Chooses experts, in fp32: a rounded logit can change the choice."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.choices = config.num_experts_per_token
        self.switch = config.router_type == "switch"
        self.aux_coef = config.router_aux_loss_coef
        self.z_coef = config.router_z_loss_coef
        self.jitter = config.router_jitter_noise
        self.capacity_factor = config.expert_capacity_factor
        if config.router_type not in {"switch", "topk"}:
            raise ValueError(f"model.router_type {config.router_type} is not built: use topk")
        if self.choices > config.num_experts:
            raise ValueError(
                f"model.num_experts_per_token {self.choices} is more than "
                f"model.num_experts {config.num_experts}"
            )
        if self.switch and self.choices != 1:
            raise ValueError(
                "model.router_type switch sends each token to one expert, but "
                f"model.num_experts_per_token is {self.choices}: use 1, or router_type topk"
            )
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.hidden_size))

    def forward(self, x_TD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Routing]:
        """Choose.

        Returns:
            The gates (T, K) in fp32, the experts (T, K) where E stands for "dropped", and what
            happened.
        """
        x_TD = x_TD.float()
        if self.training and self.jitter:
            x_TD = x_TD * torch.empty_like(x_TD).uniform_(1 - self.jitter, 1 + self.jitter)
        logits_TE = F.linear(x_TD, self.weight)
        p_TE = logits_TE.softmax(dim=-1)
        gate_TK, expert_TK = p_TE.topk(self.choices, dim=-1)
        # A single gate renormalised would be the constant 1, and the router would never learn.
        if not self.switch and self.choices > 1:
            gate_TK = gate_TK / gate_TK.sum(dim=-1, keepdim=True)

        experts = len(self.weight)
        counts_E = torch.bincount(expert_TK.flatten(), minlength=experts)
        # f: share of the slots, P: mean probability. Dividing by the slots, not the tokens, makes
        # perfect balance read 1 for any K (HF's Mixtral reads K).
        balance = experts * ((counts_E / expert_TK.numel()) * p_TE.mean(dim=0)).sum()
        z = logits_TE.logsumexp(dim=-1).square().mean()
        dropped = torch.zeros_like(counts_E[0])
        # Evaluation and sampling never drop: what a token gets must not depend on its neighbours.
        if self.training and self.capacity_factor is not None:
            room = math.ceil(self.capacity_factor * expert_TK.numel() / experts)
            expert_TK = drop_beyond(expert_TK, counts_E, room)
            dropped = (expert_TK == experts).sum()
        loss = self.aux_coef * balance + self.z_coef * z
        return gate_TK, expert_TK, Routing(loss, balance.detach(), counts_E, dropped)


def drop_beyond(expert_TK: torch.Tensor, counts_E: torch.Tensor, room: int) -> torch.Tensor:
    """Mark with E the slots that come after an expert's first ``room``.

    All first choices come before any second choice, and earlier tokens before later ones, as in
    GShard (arXiv 2006.16668, algorithm 1).
    """
    tokens, choices = expert_TK.shape
    expert_S = expert_TK.t().reshape(-1)
    order_S = expert_S.argsort(stable=True)
    start_E = counts_E.cumsum(0) - counts_E
    place_S = torch.empty_like(order_S)
    place_S[order_S] = torch.arange(len(order_S), device=order_S.device)
    place_S -= start_E[expert_S]
    kept_S = torch.where(place_S < room, expert_S, len(counts_E))
    return kept_S.view(choices, tokens).t()


class _ToSlots(torch.autograd.Function):
    """Copy each token to its K slots, sorted by expert; backwards, the K gradients add up."""

    @staticmethod
    def forward(
        ctx: Any, x_TD: torch.Tensor, order_S: torch.Tensor, inverse_S: torch.Tensor, choices: int
    ) -> torch.Tensor:
        ctx.save_for_backward(inverse_S)
        ctx.choices = choices
        return x_TD[order_S // choices]

    @staticmethod
    def backward(ctx: Any, grad_SD: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (inverse_S,) = ctx.saved_tensors
        grad_TD = grad_SD[inverse_S].view(-1, ctx.choices, grad_SD.shape[1]).sum(1)
        return grad_TD, None, None, None


def _to_slots(
    x_TD: torch.Tensor, order_S: torch.Tensor, inverse_S: torch.Tensor, choices: int
) -> torch.Tensor:
    x_SD: torch.Tensor = _ToSlots.apply(x_TD, order_S, inverse_S, choices)  # type: ignore[no-untyped-call]
    return x_SD


class _ToTokens(torch.autograd.Function):
    """Bring the slots home and add up each token's K; backwards, the gradient goes to all K."""

    @staticmethod
    def forward(
        ctx: Any, y_SD: torch.Tensor, order_S: torch.Tensor, inverse_S: torch.Tensor, choices: int
    ) -> torch.Tensor:
        ctx.save_for_backward(order_S)
        ctx.choices = choices
        return y_SD[inverse_S].view(-1, choices, y_SD.shape[1]).sum(1)

    @staticmethod
    def backward(ctx: Any, grad_TD: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (order_S,) = ctx.saved_tensors
        return grad_TD[order_S // ctx.choices], None, None, None


class Experts(nn.Module):
    """E feed-forward networks whose matrices are stacked, applied to rows sorted by expert."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        experts, width, inner = config.num_experts, config.hidden_size, config.intermediate_size
        gated, bias = is_gated(config), config.mlp_bias

        def matrix(out_width: int, in_width: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(experts, out_width, in_width))

        def vector(out_width: int) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(experts, out_width)) if bias else None

        self.gate_proj = matrix(inner, width) if gated else None
        self.up_proj = matrix(inner, width)
        self.down_proj = matrix(width, inner)
        self.gate_bias = vector(inner) if gated else None
        self.up_bias = vector(inner)
        self.down_bias = vector(width)

    def forward(
        self, x_SD: torch.Tensor, expert_S: torch.Tensor, ends_E: torch.Tensor
    ) -> torch.Tensor:
        """Apply to each row its expert; rows past ``ends_E[-1]`` are left out."""
        expert_R = expert_S[: int(ends_E[-1])]

        def project(
            x: torch.Tensor, weight: nn.Parameter, bias: nn.Parameter | None
        ) -> torch.Tensor:
            y = grouped_matmul(x, weight.to(x.dtype), ends_E)
            return y if bias is None else y + F.embedding(expert_R, bias).to(x.dtype)

        up_RF = project(x_SD, self.up_proj, self.up_bias)
        if self.gate_proj is None:
            inner_RF = F.gelu(up_RF)
        else:
            inner_RF = F.silu(project(x_SD, self.gate_proj, self.gate_bias)) * up_RF
        return project(inner_RF, self.down_proj, self.down_bias)


class MixtureOfExperts(nn.Module):
    """The feed-forward half of a block with experts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.router = Router(config)
        self.experts = Experts(config)

    def forward(self, x_BTD: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        """Route every token, apply its experts, and add their results weighted by the gates."""
        x_TD = x_BTD.flatten(0, 1)
        gate_TK, expert_TK, routing = self.router(x_TD)
        choices = self.router.choices
        expert_S = expert_TK.flatten()
        order_S = expert_S.argsort(stable=True)  # dropped slots carry E and sort to the tail
        inverse_S = order_S.argsort()
        kept_E = torch.bincount(expert_S, minlength=len(self.router.weight) + 1)[:-1]
        ends_E = kept_E.cumsum(0).to(torch.int32)

        x_SD = _to_slots(x_TD, order_S, inverse_S, choices)
        gate_S1 = _to_slots(gate_TK.reshape(-1, 1), order_S, inverse_S, 1)
        y_RD = self.experts(x_SD, expert_S[order_S], ends_E)
        y_RD = y_RD.float() * gate_S1[: len(y_RD)]
        y_SD = F.pad(y_RD, (0, 0, 0, len(expert_S) - len(y_RD)))
        y_TD: torch.Tensor = _ToTokens.apply(y_SD, order_S, inverse_S, choices)  # type: ignore[no-untyped-call]
        return y_TD.to(x_BTD.dtype).view_as(x_BTD), routing

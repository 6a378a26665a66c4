"""The router: which experts each token visits, and how much each of them counts.

Every expert gets a score per token: its share in a softmax, or a sigmoid of its own (DeepSeek-V3,
arXiv 2412.19437, section 2.1.2). ``switch`` (arXiv 2101.03961) sends a token to the best expert and
scales by that score; ``topk`` (arXiv 1701.06538) to the best K, whose scores may be made to add up
to one. The experts may be divided into groups, of which a token may visit only the best.

Shapes: T tokens of all sequences, B sequences, D width, E experts, K choices of a token, G groups.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.moe_balance import Balance

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import ModelConfig


class Routing(NamedTuple):
    """What one layer's router did with one micro-batch. Padding is not counted."""

    loss: torch.Tensor
    """The weighted auxiliary losses, to be added to the loss per token."""
    balance: torch.Tensor
    """Switch equation 4 without its weight, per choice: 1 when all experts are equally busy."""
    counts_E: torch.Tensor
    """Slots that asked for each expert, before any were dropped: their largest over their mean is
    the imbalance, and an expert with none is dead."""
    dropped: torch.Tensor
    """Slots that found no room."""
    z_loss: torch.Tensor | None = None
    """Mean squared size of the logits, without its weight; None: nobody asked for it."""

    def detached(self) -> Routing:
        """The same numbers without their history."""
        loss, balance, counts_E, dropped, z_loss = self
        return Routing(
            loss.detach(),
            balance.detach(),
            counts_E.detach(),
            dropped.detach(),
            None if z_loss is None else z_loss.detach(),
        )


class Choice(NamedTuple):
    """Where each token goes."""

    gate_TK: torch.Tensor
    """What each chosen expert's result is multiplied by, fp32."""
    expert_TK: torch.Tensor
    """The chosen experts; E where a token goes nowhere."""
    all_kept: bool
    """Whether no slot can be E: then nobody has to ask the device how many are."""


class Router(nn.Module):
    """Chooses experts, in fp32: a rounded logit can change the choice.

    Args:
        config: The shape of the model.

    Raises:
        ValueError: The shape contradicts itself, or asks for a router that is not built.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        moe = config.moe
        self.choices = config.num_experts_per_token
        self.sigmoid = moe.score_function == "sigmoid"
        # A single gate made to add up to one would be the constant 1, and the router never learn.
        self.normalise = moe.normalize_expert_weights and self.choices > 1
        self.scale = moe.routed_scaling_factor
        self.groups, self.groups_visited = moe.num_expert_groups, moe.num_limited_groups
        self.temperature = moe.router_temperature
        self.jitter, self.noise = config.router_jitter_noise, moe.router_noise_std
        self.capacity_factor = config.expert_capacity_factor
        self.least_room = moe.min_expert_capacity
        self.balance = Balance(config)
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.hidden_size))

    def forward(
        self, x_TD: torch.Tensor, sequences: int = 1, present_T: torch.Tensor | None = None
    ) -> tuple[Choice, Routing]:
        """Choose.

        Args:
            x_TD: The tokens, one sequence after another.
            sequences: How many sequences they are.
            present_T: False for padding, which visits no expert; None: there is none.
        """
        x_TD = x_TD.float()
        if self.training and self.jitter:
            x_TD = x_TD * torch.empty_like(x_TD).uniform_(1 - self.jitter, 1 + self.jitter)
        logits_TE = F.linear(x_TD, self.weight.float()) / self.temperature
        if self.training and self.noise:
            logits_TE = logits_TE + self.noise * torch.randn_like(logits_TE)
        score_TE = logits_TE.sigmoid() if self.sigmoid else logits_TE.softmax(dim=-1)
        expert_TK = self._choose(score_TE.detach())
        gate_TK = score_TE.gather(1, expert_TK)
        if self.normalise:
            gate_TK = gate_TK / (gate_TK.sum(dim=-1, keepdim=True) + 1e-20)
        gate_TK = gate_TK * self.scale

        experts = len(self.weight)
        if present_T is not None:
            expert_TK = expert_TK.where(present_T[:, None], experts)
        counts_E = torch.bincount(expert_TK.flatten(), minlength=experts + 1)[:experts]
        share_TE = score_TE / score_TE.sum(dim=-1, keepdim=True) if self.sigmoid else score_TE
        loss, evenness, z_loss = self.balance(logits_TE, share_TE, expert_TK, counts_E, sequences)
        dropped = torch.zeros_like(counts_E[0])
        # Evaluation and sampling never drop: what a token gets must not depend on its neighbours.
        drops = self.training and self.capacity_factor is not None
        if drops:
            before = (expert_TK == experts).sum()
            expert_TK = drop_beyond(expert_TK, self._room(expert_TK.numel()), experts)
            dropped = (expert_TK == experts).sum() - before
        choice = Choice(gate_TK, expert_TK, all_kept=present_T is None and not drops)
        z_loss = None if z_loss is None else z_loss.detach()
        return choice, Routing(loss, evenness.detach(), counts_E, dropped, z_loss)

    def _choose(self, score_TE: torch.Tensor) -> torch.Tensor:
        """The best experts (T, K): the bias that evens the load has its say here, and only here."""
        if self.balance.bias is not None:
            score_TE = score_TE + self.balance.bias
        if self.groups > 1:
            score_TE = self._in_best_groups(score_TE)
        return score_TE.topk(self.choices, dim=-1).indices

    def _in_best_groups(self, score_TE: torch.Tensor) -> torch.Tensor:
        """Scores of minus infinity outside the best groups.

        A group is as good as its best expert (DeepSeek-V2, arXiv 2405.04434, section 2.1.3); with
        sigmoid scores as its best two together (DeepSeek-V3, section 2.1.2).
        """
        score_TGE = score_TE.view(len(score_TE), self.groups, -1)
        best = min(2, score_TGE.shape[-1]) if self.sigmoid else 1
        group_TG = score_TGE.topk(best, dim=-1).values.sum(dim=-1)
        visited_TG = torch.zeros_like(group_TG, dtype=torch.bool).scatter(
            1, group_TG.topk(self.groups_visited, dim=-1).indices, value=True
        )
        return score_TGE.masked_fill(~visited_TG[..., None], -math.inf).flatten(1)

    def _room(self, slots: int) -> int:
        """How many slots an expert takes: a multiple of its fair share."""
        assert self.capacity_factor is not None
        return max(self.least_room, math.ceil(self.capacity_factor * slots / len(self.weight)))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], *args: Any) -> Router:
        super()._apply(fn, *args)  # type: ignore[no-untyped-call]
        self.balance.stay_exact()
        return self


def drop_beyond(expert_TK: torch.Tensor, room: int, experts: int) -> torch.Tensor:
    """Mark with E the slots that come after an expert's first ``room``.

    All first choices come before any second choice, and earlier tokens before later ones, as in
    GShard (arXiv 2006.16668, algorithm 1).
    """
    tokens, choices = expert_TK.shape
    expert_S = expert_TK.t().reshape(-1)
    counts_E = torch.bincount(expert_S, minlength=experts + 1)
    order_S = expert_S.argsort(stable=True)
    start_E = counts_E.cumsum(0) - counts_E
    place_S = torch.empty_like(order_S)
    place_S[order_S] = torch.arange(len(order_S), device=order_S.device)
    place_S -= start_E[expert_S]
    kept_S = torch.where(place_S < room, expert_S, experts)
    return kept_S.view(choices, tokens).t()


def _check(config: ModelConfig) -> None:
    experts, choices, moe = config.num_experts, config.num_experts_per_token, config.moe
    if config.router_type not in {"switch", "topk"}:
        raise ValueError(f"model.router_type {config.router_type} is not built: use topk")
    if choices > experts:
        raise ValueError(
            f"model.num_experts_per_token {choices} is more than model.num_experts {experts}"
        )
    if config.router_type == "switch" and choices != 1:
        raise ValueError(
            "model.router_type switch sends each token to one expert, but "
            f"model.num_experts_per_token is {choices}: use 1, or router_type topk"
        )
    groups, visited = moe.num_expert_groups, moe.num_limited_groups
    if groups == 1:
        return
    if experts % groups:
        raise ValueError(
            f"model.num_experts {experts} cannot be divided into "
            f"model.moe.num_expert_groups {groups} equal groups"
        )
    if visited > groups or visited * (experts // groups) < choices:
        raise ValueError(
            f"model.moe.num_limited_groups {visited} of {groups} groups of {experts // groups} "
            f"experts cannot offer model.num_experts_per_token {choices}"
        )

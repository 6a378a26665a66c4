"""What keeps the experts of a mixture equally busy: losses, or a bias without a loss.

``aux_loss`` adds a term to the loss that is smallest when all experts get the same share. It also
pulls at the router's weights for a reason that is not the text. ``loss_free`` (arXiv 2408.15664)
adds a bias to the scores that choose, never to those that weigh, and after each step moves it up
for an expert that had too little to do and down for one that had too much.

Shapes: T tokens of all sequences, B sequences, E experts, K choices of a token, L layers with
experts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class Balance(nn.Module):
    """The auxiliary losses and the bias of one router.

    Attributes:
        bias: What is added to the scores that choose, fp32, part of every checkpoint; None unless
            ``model.moe_balancing.method`` is loss_free.
        load: The running mean of the experts' loads; None where the last step alone counts.
    """

    bias: torch.Tensor | None
    load: torch.Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        balancing = config.moe_balancing
        self.coefficient = config.router_aux_loss_coef if balancing.method == "aux_loss" else 0.0
        self.entropy = balancing.loss_type == "entropy"
        self.z_coefficient = config.router_z_loss_coef
        self.sequence_coefficient = balancing.sequence_loss_coef
        self.rate, self.decay = balancing.bias_update_rate, balancing.bias_decay
        loss_free = balancing.method == "loss_free"
        remembers = loss_free and self.decay > 0
        self.register_buffer("bias", torch.empty(config.num_experts) if loss_free else None)
        self.register_buffer("load", torch.empty(config.num_experts) if remembers else None)

    def forward(
        self,
        logits_TE: torch.Tensor,
        share_TE: torch.Tensor,
        expert_TK: torch.Tensor,
        counts_E: torch.Tensor,
        sequences: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The weighted losses, as a mean per token, the measure of balance, and the z loss.

        The last two without their weights; None: nobody asked for a z loss.

        Args:
            logits_TE: The router's logits.
            share_TE: The scores, made to add up to one.
            expert_TK: The chosen experts; E for padding.
            counts_E: How often each was chosen.
            sequences: How many sequences the tokens are.
        """
        experts = share_TE.shape[1]
        present_T = (expert_TK[:, 0] < experts).float()
        weight_T = present_T / present_T.sum().clamp(min=1)
        mean_E = (weight_T[None] @ share_TE)[0]
        # f: share of the slots, P: mean probability (arXiv 2101.03961, equations 4 to 6). Dividing
        # by the slots, not the tokens, makes perfect balance read 1 for any K (HF's Mixtral reads
        # K).
        fraction_E = counts_E / counts_E.sum().clamp(min=1)
        balance = experts * (fraction_E * mean_E).sum()
        loss, z_loss = torch.zeros_like(balance), None
        if self.coefficient:
            term = math.log(experts) - _entropy(mean_E) if self.entropy else balance
            loss = loss + self.coefficient * term
        if self.z_coefficient:  # ST-MoE, arXiv 2202.08906, equation 5
            z_loss = (weight_T * logits_TE.logsumexp(dim=-1).square()).sum()
            loss = loss + self.z_coefficient * z_loss
        if self.sequence_coefficient:
            term = _within_sequences(share_TE, expert_TK, present_T, sequences)
            loss = loss + self.sequence_coefficient * term
        return loss, balance, z_loss

    @torch.no_grad()
    def move(self, counts_E: torch.Tensor) -> None:
        """Move the bias once, by the loads of a whole step (arXiv 2408.15664, algorithm 1).

        Args:
            counts_E: Slots that asked for each expert, over all micro-batches and devices.
        """
        if self.bias is None:
            return
        load_E = counts_E.to(self.bias)
        if self.load is not None:
            self.load.lerp_(load_E, 1 - self.decay)
            load_E = self.load
        self.bias += self.rate * (load_E.mean() - load_E).sign()

    def stay_exact(self) -> None:
        """Go back to fp32 after the module was cast: steps of 0.001 are lost in bf16."""
        if self.bias is not None:
            self.bias = self.bias.float()
        if self.load is not None:
            self.load = self.load.float()


def _entropy(p_E: torch.Tensor) -> torch.Tensor:
    return -torch.xlogy(p_E, p_E).sum()


def _within_sequences(
    share_TE: torch.Tensor, expert_TK: torch.Tensor, present_T: torch.Tensor, sequences: int
) -> torch.Tensor:
    """The balance of each single sequence, averaged (arXiv 2412.19437, equations 17 to 20).

    It counts the choices as they were made, with the bias; the paper's equation 18 leaves it out.
    """
    experts, choices = share_TE.shape[1], expert_TK.shape[1]
    place_TK = torch.arange(sequences, device=expert_TK.device).repeat_interleave(
        len(expert_TK) // sequences
    )[:, None] * (experts + 1)
    counts_BE = torch.bincount(
        (place_TK + expert_TK).flatten(), minlength=sequences * (experts + 1)
    ).view(sequences, -1)[:, :experts]
    present_BT = present_T.view(sequences, -1)
    length_B1 = present_BT.sum(dim=1, keepdim=True).clamp(min=1)
    fraction_BE = counts_BE / (choices * length_B1)
    share_BTE = share_TE.view(sequences, -1, experts)
    mean_BE = (present_BT[:, None] @ share_BTE)[:, 0] / length_B1
    balance_B = experts * (fraction_BE * mean_BE).sum(dim=1)
    some_B = (present_BT.sum(dim=1) > 0).float()
    return (balance_B * some_B).sum() / some_B.sum().clamp(min=1)


def balance_experts(model: nn.Module, counts_LE: torch.Tensor | None) -> None:
    """Move the bias of every router, once per optimizer step.

    Args:
        model: The network.
        counts_LE: Slots that asked for each expert of each layer in the whole step, over all
            micro-batches and devices, in the order of ``ModelOutput.routings``; None for a dense
            model. They come from the step and not from a counter in the module: recomputing a
            block in the backward pass would count twice.
    """
    if counts_LE is None:
        return
    routers = [each for each in model.modules() if isinstance(each, Balance)]
    for balance, counts_E in zip(routers, counts_LE, strict=True):
        balance.move(counts_E)

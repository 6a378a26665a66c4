"""Lion: the sign of the momentum (arXiv 2302.06675, algorithm 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.training.optim.per_tensor import PerTensorOptimizer

if TYPE_CHECKING:
    from workbench.training.optim.per_tensor import Group


class Lion(PerTensorOptimizer):
    """Every number moves by the learning rate, up or down; weight decay is decoupled.

    One fp32 number of state per parameter. It wants a learning rate of a third to a tenth of
    AdamW's, and a weight decay as many times larger.
    """

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        state: dict[str, torch.Tensor],
        group: Group,
    ) -> None:
        """Move one tensor in place."""
        if "exp_avg" not in state:
            state["exp_avg"] = torch.zeros_like(parameter)
        mean, (beta1, beta2) = state["exp_avg"], group["betas"]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(mean.lerp(gradient, 1 - beta1).sign_(), alpha=-group["lr"])
        mean.lerp_(gradient, 1 - beta2)

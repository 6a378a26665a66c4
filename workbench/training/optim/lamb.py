"""LAMB: Adam whose step is measured by the size of each matrix (arXiv 1904.00962, algorithm 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.training.optim.per_tensor import PerTensorOptimizer, adam_direction, count_step

if TYPE_CHECKING:
    from workbench.training.optim.per_tensor import Group


class Lamb(PerTensorOptimizer):
    """For very large batches: the update of a matrix is scaled to the norm of the matrix.

    Norms and biases take plain Adam steps, as in the authors' code: a bias begins at zero, and a
    step in proportion to it would never leave it.
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
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        update = adam_direction(
            gradient,
            state["exp_avg"],
            state["exp_avg_sq"],
            step=count_step(state),
            betas=group["betas"],
            eps=group["eps"],
        )
        update.add_(parameter, alpha=group["weight_decay"])
        if group["decayed"]:
            size = torch.linalg.vector_norm(parameter)
            length = torch.linalg.vector_norm(update)
            # A matrix of zeros, or one that stands still, takes the plain step.
            ratio = torch.where((size > 0) & (length > 0), size / length, 1.0)
            update.mul_(ratio)
        parameter.add_(update, alpha=-group["lr"])

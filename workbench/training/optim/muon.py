"""Muon: matrices move along the orthogonal matrix nearest to their momentum.

Keller Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024; the size of a step
is that of arXiv 2502.16982, section 2.2.

Shapes: R rows, C columns of a matrix; a stack of experts is treated matrix by matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.training.optim.per_tensor import PerTensorOptimizer, adam_direction, count_step
from workbench.training.optim.shards import spread_like, whole

if TYPE_CHECKING:
    from workbench.training.optim.per_tensor import Group

# The quintic that lifts small singular values fastest without leaving [0.7, 1.2] (Jordan, 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_AS_LARGE_AS_ADAMW = 0.2
"""Root mean square of AdamW's update as a rule, so that its learning rates and decay carry over."""


class Muon(PerTensorOptimizer):
    """Muon for the hidden matrices; AdamW for embeddings, the output matrix, norms and biases.

    A group says by ``hidden`` which of the two its parameters are. ``beta1`` is the memory of the
    momentum. One fp32 number of state per hidden parameter.
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
            if not group["hidden"]:
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        if not group["hidden"]:
            update = adam_direction(
                gradient,
                state["exp_avg"],
                state["exp_avg_sq"],
                step=count_step(state),
                betas=group["betas"],
                eps=group["eps"],
            )
            parameter.add_(update, alpha=-group["lr"])
            return
        beta = group["betas"][0]
        mean = state["exp_avg"].lerp_(gradient, 1 - beta)
        ahead = gradient.lerp(mean, beta) if group["nesterov"] else mean
        rows, columns = parameter.shape[-2:]
        # A shard has no singular values of the whole: every device orthogonalises the whole matrix.
        update = spread_like(orthogonal(whole(ahead)).to(parameter.dtype), parameter)
        parameter.add_(update, alpha=-group["lr"] * _AS_LARGE_AS_ADAMW * max(rows, columns) ** 0.5)


def orthogonal(x_RC: torch.Tensor) -> torch.Tensor:
    """About U V^T of the singular value decomposition U S V^T, by Newton-Schulz iterations in bf16.

    Args:
        x_RC: One matrix or a stack of them, ``(..., R, C)``.
    """
    y_RC: torch.Tensor = x_RC.bfloat16()
    tall = y_RC.shape[-2] > y_RC.shape[-1]
    if tall:
        y_RC = y_RC.mT
    y_RC = y_RC / torch.linalg.matrix_norm(y_RC, keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram_RR = y_RC @ y_RC.mT
        y_RC = _A * y_RC + (_B * gram_RR + _C * gram_RR @ gram_RR) @ y_RC
    return y_RC.mT if tall else y_RC

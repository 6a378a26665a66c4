"""Adafactor: squared gradients by row and column sums only (arXiv 1804.04235, algorithm 4).

Shapes: R rows, C columns of the last two dimensions of a matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.training.optim.per_tensor import PerTensorOptimizer, count_step
from workbench.training.optim.shards import local, part_of, spread_like, whole

if TYPE_CHECKING:
    from workbench.training.optim.per_tensor import Group

# Section 8 of the paper: memory 1 - t^-0.8, updates of a root mean square of 1 at most, and 1e-30
# under the root.
_DECAY_POWER, _LARGEST_UPDATE, _UNDER_ROOT = -0.8, 1.0, 1e-30


class Adafactor(PerTensorOptimizer):
    """Almost no state: R + C numbers for a matrix of R x C.

    The learning rate is the schedule's, as for every other optimizer here, and not one in
    proportion to the weights; there is no momentum. Weight decay is decoupled.
    """

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        state: dict[str, torch.Tensor],
        group: Group,
    ) -> None:
        """Move one tensor in place."""
        new = 1 - (1 - count_step(state) ** _DECAY_POWER)
        square = gradient.square().add_(_UNDER_ROOT)
        if gradient.dim() >= 2:
            # Sums over rows and columns are small: every device keeps all of them.
            rows_R, columns_C = whole(square.mean(dim=-1)), whole(square.mean(dim=-2))
            del square
            for name, found in (("rows", rows_R), ("columns", columns_C)):
                before = whole(state[name]) if name in state else torch.zeros_like(found)
                state[name] = before.lerp_(found, new)
            # Equation 4: the outer product of both, divided by their common mean.
            rows_R, columns_C = state["rows"], state["columns"]
            rows_R = (rows_R / rows_R.mean(dim=-1, keepdim=True)).rsqrt_()
            columns_C = columns_C.rsqrt()
            # Devices share the first dimension; of a matrix that is the rows.
            rows_R = local(spread_like(rows_R, parameter))
            if gradient.dim() > 2:
                columns_C = local(spread_like(columns_C, parameter))
            # On this device's part, for broadcasting would make a dimension of 1 whole everywhere.
            update = (local(gradient) * rows_R.unsqueeze(-1)).mul_(columns_C.unsqueeze(-2))
            update = part_of(update, parameter)
        else:
            if "exp_avg_sq" not in state:
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            update = state["exp_avg_sq"].lerp_(square, new).rsqrt().mul_(gradient)
            del square
        size = whole(torch.linalg.vector_norm(update)) / parameter.numel() ** 0.5
        local(update).div_((size / _LARGEST_UPDATE).clamp_(min=1.0))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"])

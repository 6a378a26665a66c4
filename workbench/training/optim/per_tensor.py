"""What our own optimizers have in common: they treat one tensor after the other.

Weights, gradients and state may be shards (DTensors): every rule is written in operations that
torch defines for both, and says where it needs a whole tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Group = dict[str, Any]
"""Parameters that are treated alike, and how."""


class PerTensorOptimizer(torch.optim.Optimizer):
    """An optimizer with a rule for a single tensor.

    Args:
        groups: Parameter groups; ``decayed`` tells matrices from norms and biases.
        defaults: What holds for groups that do not say it themselves.
    """

    def __init__(self, groups: Iterable[Group], **defaults: Any) -> None:
        super().__init__(list(groups), {"decayed": True, **defaults})

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        state: dict[str, torch.Tensor],
        group: Group,
    ) -> None:
        """Move one tensor in place; ``state`` is empty the first time."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every tensor that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss


def count_step(state: dict[str, torch.Tensor]) -> int:
    """Count one more step of a tensor, beginning with 1."""
    # On the host, where it can be read without waiting for the device.
    state["step"] = state["step"].cpu() + 1 if "step" in state else torch.ones(())
    return int(state["step"].item())


def adam_direction(
    gradient: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    *,
    step: int,
    betas: tuple[float, float],
    eps: float,
) -> torch.Tensor:
    """Adam's update before the learning rate (arXiv 1412.6980, algorithm 1).

    Args:
        gradient: Of this step.
        mean: Its moving mean; updated in place.
        square: The moving mean of its square; updated in place.
        step: Number of this step, from 1, for the correction of the bias.
        betas: Memories of the two means.
        eps: What is added to the root.
    """
    beta1, beta2 = betas
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    root = (square / (1 - beta2**step)).sqrt_().add_(eps)
    return (mean / (1 - beta1**step)).div_(root)

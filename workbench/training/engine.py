"""What the loop needs from a strategy of parallel training, and the strategy of one device.

DDP, FSDP and DeepSpeed differ from this file and from nothing else: the loop asks for a backward
pass, a sum over devices, a gradient norm and an update, and does not know who computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from workbench.training.optim import make_optimizer

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig
    from workbench.models.base import LanguageModel

Tensors = dict[str, torch.Tensor]

_ADAMW_STATE = ("step", "exp_avg", "exp_avg_sq")


class Engine(Protocol):
    """One training strategy."""

    model: LanguageModel
    device: torch.device
    world_size: int

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradient of a micro-batch; ``last`` says that the step's next act is the norm."""

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over all devices."""

    def gradient_norm(self) -> torch.Tensor:
        """The global norm of the step's gradient."""

    def update(self, *, learning_rate: float, gradient_norm: torch.Tensor) -> None:
        """Clip, let the optimizer act once, and free the gradients."""

    def discard_gradients(self) -> None:
        """Free the gradients without an update."""

    def state(self) -> dict[str, Tensors]:
        """The tensors of a checkpoint: one set called ``model``, one called ``optimizer``."""

    def load_state(self, state: dict[str, Tensors]) -> None:
        """Go back to what ``state`` returned."""


class SingleEngine:
    """One process, one device."""

    world_size = 1

    def __init__(self, model: LanguageModel, config: TrainingConfig, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.max_norm = config.max_gradient_norm
        self.optimizer = make_optimizer(model, config)

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:  # noqa: ARG002 - one device
        """Add the gradient of a micro-batch."""
        loss.backward()  # type: ignore[no-untyped-call]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """One device's values are the sum."""
        return values

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm over all parameters."""
        return torch.nn.utils.get_total_norm(self._gradients())

    def update(self, *, learning_rate: float, gradient_norm: torch.Tensor) -> None:
        """Clip, let the optimizer act once, and free the gradients."""
        if self.max_norm > 0:
            torch.nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.max_norm, gradient_norm
            )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.discard_gradients()

    def discard_gradients(self) -> None:
        """Free the gradients without an update."""
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensors]:
        """Parameters by name, and the optimizer's numbers as ``<parameter>.<what>``."""
        optimizer = {
            f"{name}.{what}": self.optimizer.state[parameter][what]
            for name, parameter in self.model.named_parameters()
            for what in _ADAMW_STATE
        }
        return {"model": dict(self.model.named_parameters()), "optimizer": optimizer}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensors]) -> None:
        """Go back to what ``state`` returned."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(state["model"][name])
            self.optimizer.state[parameter] = {
                what: state["optimizer"][f"{name}.{what}"].to(self.device) for what in _ADAMW_STATE
            }

    def _gradients(self) -> list[torch.Tensor]:
        return [each.grad for each in self.model.parameters() if each.grad is not None]

"""What the loop needs from a strategy of training.

The loop asks for the gradient of a micro-batch, the norm of the step's gradient, and an update; it
does not know who computes them or where the weights are. Every strategy gives the same numbers, up
to the order in which they are added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from workbench.models.lora import adapters

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

    from workbench.models.base import Batch, LanguageModel
    from workbench.training.distributed import World
    from workbench.training.objective import Losses, Objective

Tensors = dict[str, torch.Tensor]
"""Tensors by name."""

State = dict[str, Tensors]
"""The tensors of a checkpoint: ``model`` holds weights and buffers by their names in the model,
``optimizer`` the optimizer's numbers as ``<parameter>.<what>``. Whole tensors on the host, whatever
the strategy: any strategy on any number of devices can go on from them."""


def named_tensors(model: LanguageModel) -> Tensors:
    """The weights and lasting buffers of a model by name; what is shared has one name.

    Without those that adapters freeze: they are what the run's own beginning gives them.
    """
    lasting = model.state_dict(keep_vars=True).keys()
    buffers = {name: value for name, value in model.named_buffers() if name in lasting}
    adapted = any(True for _ in adapters(model))
    weights = {
        name: value
        for name, value in model.named_parameters()
        if value.requires_grad or not adapted
    }
    return {**weights, **buffers}


def all_tensors(module: nn.Module) -> Tensors:
    """Everything of a module that has memory, by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


class Engine(Protocol):
    """One training strategy. Every method is called by all processes together.

    Attributes:
        name: What it is called in ``parallel.strategy``.
        objective: The model and its loss, unwrapped.
        world: This process among the others.
        device: The device of this process.
        optimizer: Who updates the weights.
        loss_scale: What the next losses are multiplied by before the backward pass, against
            underflow in fp16; ``gradient_norm`` takes it out of the gradients again.
    """

    name: str
    objective: Objective
    world: World
    device: torch.device
    optimizer: torch.optim.Optimizer
    loss_scale: float

    @property
    def model(self) -> LanguageModel:
        """The model, unwrapped; its weights may be shards."""

    def losses(self, batch: Batch) -> Losses:
        """The loss of a micro-batch, forward only; the caller switches gradients off."""

    def accumulate(self, batch: Batch, *, targets: int, last: bool) -> Losses:
        """Add the gradient of a micro-batch to the step's.

        Args:
            batch: The micro-batch.
            targets: Targets of the whole step, over all micro-batches and processes: what the loss
                is divided by.
            last: Whether it is the last one of the step.
        """

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm of the step's gradient over all parameters, the same on every process."""

    def update(self, *, learning_rate: float, gradient_norm: torch.Tensor, max_norm: float) -> None:
        """Scale the gradient down to ``max_norm`` (0: leave it), update, and free the gradients."""

    def discard_gradients(self) -> None:
        """Free the gradients without an update."""

    def whole_model(self) -> AbstractContextManager[LanguageModel | None]:
        """The model with whole weights on rank 0, to be called there alone, as a sampler does.

        None on the others. Where weights are sharded it is a copy, which is gone afterwards.
        """

    def state(self) -> State:
        """The tensors of a checkpoint, on rank 0; the others get empty sets."""

    def load_state(self, state: State) -> None:
        """Go back to what ``state`` returned. Rank 0 gives it, the others give empty sets.

        Raises:
            KeyError: A tensor is missing.
            RuntimeError: A tensor has another shape.
        """

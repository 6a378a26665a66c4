"""One process, one device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from workbench.training.engines.base import named_tensors
from workbench.training.optim import make_optimizer
from workbench.training.optim.clipping import clip_norm, clip_values, total_norm
from workbench.training.optim.shards import local, spread_like

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config
    from workbench.models.base import Batch, LanguageModel
    from workbench.training.distributed import World
    from workbench.training.engines.base import State
    from workbench.training.objective import Losses, Objective


class SingleEngine:
    """The plain way; the strategies of several devices differ from it where they must."""

    name = "single"

    def __init__(
        self, objective: Objective, config: Config, device: torch.device, world: World
    ) -> None:
        self.objective = objective
        self.device = device
        self.world = world
        self.optimizer: torch.optim.Optimizer = make_optimizer(
            objective.model, config.training, strategy=self.name, seed=config.run.seed
        )
        self.loss_scale = 1.0
        self._largest_value = config.training.clip_grad_value

    @property
    def model(self) -> LanguageModel:
        """The model."""
        return self.objective.model

    def losses(self, batch: Batch) -> Losses:
        """The loss of a micro-batch, forward only."""
        return self.objective(batch)

    def accumulate(self, batch: Batch, *, targets: int, last: bool) -> Losses:  # noqa: ARG002 - one device
        """Add the gradient of a micro-batch to the step's."""
        losses = self.objective(batch)
        ((losses.loss_sum + losses.auxiliary) / targets * self.loss_scale).backward()  # type: ignore[no-untyped-call]
        return losses

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm over all parameters, once their gradients are no longer scaled."""
        if self.loss_scale != 1.0:
            torch._foreach_mul_(self._parts(), 1 / self.loss_scale)
        return total_norm(self._gradients())

    def update(self, *, learning_rate: float, gradient_norm: torch.Tensor, max_norm: float) -> None:
        """Clip, let the optimizer act once, and free the gradients."""
        if max_norm > 0:
            self._clip(max_norm, gradient_norm)
        if self._largest_value is not None:
            clip_values(self.optimizer, self._parts(), self._largest_value)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.discard_gradients()

    def discard_gradients(self) -> None:
        """Free the gradients without an update."""
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def whole_model(self) -> Iterator[LanguageModel | None]:
        """The model itself, on rank 0."""
        yield self.model if self.world.leads else None

    def state(self) -> State:
        """Weights and buffers by name, and the optimizer's numbers."""
        optimizer = {
            f"{name}.{what}": value
            for name, parameter in self.model.named_parameters()
            for what, value in self.optimizer.state.get(parameter, {}).items()
        }
        return {"model": named_tensors(self.model), "optimizer": optimizer}

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Go back to what ``state`` returned."""
        missing = named_tensors(self.model)
        for name, value in self.world.spread(state.get("model", {})):
            tensor = missing.pop(name)
            tensor.copy_(self._like(tensor, value))
        if missing:
            raise KeyError(f"no {', '.join(missing)}")
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for key, value in self.world.spread(state.get("optimizer", {})):
            name, _, what = key.rpartition(".")
            parameter = parameters[name]
            number = value.to(parameter.device)
            # What there is one of, such as the step, is plain everywhere.
            self.optimizer.state[parameter][what] = (
                spread_like(number, parameter) if number.dim() else number
            )

    def _like(self, tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """A whole tensor in the place and the parts of one of the model's."""
        if tensor.shape != value.shape:
            raise RuntimeError(f"shape {list(value.shape)} where {list(tensor.shape)} is needed")
        return value.to(tensor.device)

    def _gradients(self) -> list[torch.Tensor]:
        return [each.grad for each in self.model.parameters() if each.grad is not None]

    def _parts(self) -> list[torch.Tensor]:
        """What of the gradients is on this device."""
        return [local(each) for each in self._gradients()]

    def _clip(self, max_norm: float, norm: torch.Tensor) -> None:
        clip_norm(self.optimizer, self._parts(), max_norm, norm)

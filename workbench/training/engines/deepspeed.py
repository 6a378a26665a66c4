"""DeepSpeed's engine: ZeRO stages 0 to 3, with offload to host memory and NVMe.

DeepSpeed owns the backward pass, the exchange of gradients and the update; the loss, the learning
rate and the limit of the gradient stay ours. Its version is pinned: the norm and the cleanup before
an update have no public interface, so this file uses what DeepSpeed's own ``step()`` uses.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from workbench.config.offload import asked_optimizer_place
from workbench.training.engines.base import all_tensors, named_tensors
from workbench.training.engines.deepspeed_masters import masters_of
from workbench.training.engines.deepspeed_settings import deepspeed_settings
from workbench.training.engines.deepspeed_start import load_deepspeed, refused
from workbench.training.engines.host import kept_on_host
from workbench.training.optim import make_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config
    from workbench.models.base import Batch, LanguageModel
    from workbench.training.distributed import World
    from workbench.training.engines.base import State
    from workbench.training.objective import Losses, Objective

_PRECISION = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


class DeepspeedEngine:
    """ZeRO. One per process: DeepSpeed keeps state outside of its engines."""

    name = "deepspeed"

    def __init__(
        self, objective: Objective, config: Config, device: torch.device, world: World
    ) -> None:
        self.objective = objective
        self.device = device
        self.world = world
        self.loss_scale = 1.0
        self.stage = config.deepspeed.zero_stage
        self._keep_on_host = (
            config.training.gradient_checkpointing
            and config.deepspeed.activation_checkpointing.cpu_checkpointing
        )
        model = objective.model
        self._skeleton = copy.deepcopy(model).to("meta")
        exact = {name: value.detach().cpu().clone() for name, value in all_tensors(model).items()}
        settings = deepspeed_settings(config, world.size, _PRECISION[model.compute_dtype])
        if asked_optimizer_place(config.deepspeed) != "none" and device.type == "cpu":
            # DeepSpeed's CPU optimizers are compiled at their first use, for a minute; where the
            # device is the host anyway, torch's do the same.
            settings["zero_force_ds_cpu_optimizer"] = False
        self._deepspeed = load_deepspeed(device)
        try:
            self.engine, _, _, _ = self._deepspeed.initialize(
                model=objective,
                optimizer=make_optimizer(
                    model, config.training, strategy=self.name, seed=config.run.seed
                ),
                config=settings,
            )
        except (AssertionError, ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            raise refused(error) from None
        if self.stage > 0:
            _keep_groups(self.engine, self.stage)
        self.optimizer: torch.optim.Optimizer = self.engine.optimizer
        self._masters = masters_of(self.engine, self.stage)
        _restore_buffers(model, exact, device)
        if model.compute_dtype != torch.float32:
            # DeepSpeed rounds the model first and makes the fp32 weights from what is left.
            weights: dict[str, torch.Tensor] = dict(model.named_parameters())
            self._masters.set_weights(((name, exact[name]) for name in weights), weights)

    @property
    def model(self) -> LanguageModel:
        """The model; with stage 3 its weights are shards."""
        return self.objective.model

    def losses(self, batch: Batch) -> Losses:
        """The loss of a micro-batch, forward only."""
        losses: Losses = self.engine(batch)
        return losses

    def accumulate(self, batch: Batch, *, targets: int, last: bool) -> Losses:
        """Add the gradient of a micro-batch to the step's."""
        self.engine.set_gradient_accumulation_boundary(last)
        with kept_on_host() if self._keep_on_host else nullcontext():
            losses = self.losses(batch)
        # DeepSpeed takes the mean over the devices, and the gradient of the step is their sum.
        loss = (losses.loss_sum + losses.auxiliary) / targets * self.world.size
        if self.model.compute_dtype == torch.float16:
            loss = loss * self._masters.use_loss_scale(self.loss_scale)
        self.engine.backward(loss, scale_wrt_gas=False)
        return losses

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm over all parameters; not finite where DeepSpeed's is its mark for that, -1."""
        norm = self._masters.gradient_norm()
        return torch.where(norm < 0, torch.full_like(norm, torch.inf), norm)

    def update(self, *, learning_rate: float, gradient_norm: torch.Tensor, max_norm: float) -> None:  # noqa: ARG002 - DeepSpeed computes it again
        """Clip, let the optimizer act once, and free the gradients."""
        self._masters.limit_gradient(max_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.engine.step()

    def discard_gradients(self) -> None:
        """Free the gradients without an update."""
        self._masters.discard_gradients()

    @contextmanager
    def whole_model(self) -> Iterator[LanguageModel | None]:
        """The model on rank 0; with stage 3 a copy with whole weights."""
        if self.stage < 3:
            yield self.model if self.world.leads else None
            return
        model = None
        if self.world.leads:
            model = copy.deepcopy(self._skeleton).to_empty(device=self.device)
        places = {} if model is None else all_tensors(model)
        with torch.no_grad():
            for name, value in all_tensors(self.model).items():
                with self._deepspeed.zero.GatheredParameters([value]):
                    if model is not None:
                        places[name].copy_(value)
        yield model

    def state(self) -> State:
        """fp32 weights and the optimizer's numbers, made whole one after another, on rank 0."""
        found: State = {"model": {}, "optimizer": {}}
        for name, tensor in named_tensors(self.model).items():
            weight, numbers = self._masters.whole(tensor)
            if self.world.leads:
                found["model"][name] = weight.cpu()
                found["optimizer"] |= {f"{name}.{key}": n.cpu() for key, n in numbers.items()}
        return found

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Go back to what ``state`` returned."""
        tensors = named_tensors(self.model)
        self._masters.set_weights(self.world.spread(state.get("model", {})), tensors)
        self._masters.set_numbers(
            self.world.spread(state.get("optimizer", {})), dict(self.model.named_parameters())
        )


def _keep_groups(engine: Any, stage: int) -> None:
    """Take Adagrad as it was made.

    DeepSpeed makes it anew with one group for all pieces, and then updates group by group: it would
    find no second one.
    """
    made = engine.basic_optimizer
    if not isinstance(made, torch.optim.Adagrad):
        return
    made.state.clear()  # of whole weights; that of the pieces comes with their first update
    engine.optimizer.optimizer = made
    if stage < 3:
        engine.optimizer._link_all_hp_params()  # noqa: SLF001 - it has found one group, too


def _restore_buffers(
    model: LanguageModel, exact: dict[str, torch.Tensor], device: torch.device
) -> None:
    """DeepSpeed rounds buffers with the weights, and a balancing bias moves by a thousandth."""
    for name, module in model.named_modules():
        for key, buffer in module.named_buffers(recurse=False):
            before = exact[f"{name}.{key}" if name else key]
            if buffer.dtype != before.dtype:
                module._buffers[key] = before.to(device)  # noqa: SLF001 - there is no other way

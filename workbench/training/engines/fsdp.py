"""Fully sharded data parallelism (torch's second generation, ``fully_shard``).

Every parameter is cut along its first dimension over the devices; a block's parameters are whole
only while it computes. What is left of the model, embedding and output matrix with the loss, is a
unit of its own and stays in fp32, for the loss adds up its gradient in the matrix's own format.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from workbench.models.moe_router import Router
from workbench.training.engines.base import all_tensors
from workbench.training.engines.host import kept_on_host
from workbench.training.engines.single import SingleEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.distributed.device_mesh import DeviceMesh

    from workbench.config.schema import Config
    from workbench.models.base import Batch, LanguageModel
    from workbench.training.distributed import World
    from workbench.training.engines.base import State
    from workbench.training.objective import Losses, Objective

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class FsdpEngine(SingleEngine):
    """PyTorch's fully_shard.

    The objective comes with its weights on rank 0 and, on the others, with or without.
    """

    name = "fsdp"

    def __init__(
        self, objective: Objective, config: Config, device: torch.device, world: World
    ) -> None:
        self._offload_activations = config.fsdp.offload_activations
        self._on_host = config.fsdp.cpu_offload
        whole = all_tensors(objective) if world.leads else {}
        self._skeleton = copy.deepcopy(objective.model.to("meta"))
        shard(objective, config, device, world)
        objective.to_empty(device="cpu" if self._on_host else device)
        for module in objective.modules():  # buffers are no shards, and are never fetched
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.empty_like(buffer, device=device))
        super().__init__(objective, config, device, world)
        places = all_tensors(objective)
        with torch.no_grad():
            for name, value in world.spread(whole):
                places[name].copy_(self._like(places[name], value))

    def losses(self, batch: Batch) -> Losses:
        """The loss of a micro-batch, forward only."""
        return self.objective(batch)

    def accumulate(self, batch: Batch, *, targets: int, last: bool) -> Losses:  # noqa: ARG002 - shards are small
        """Add the gradient of a micro-batch, added up over the devices, to the step's shards."""
        with kept_on_host() if self._offload_activations else nullcontext():
            losses = self.objective(batch)
        # FSDP takes the mean over the devices, and the gradient of the step is their sum.
        loss = (losses.loss_sum + losses.auxiliary) / targets * self.loss_scale
        (loss * self.world.size).backward()  # type: ignore[no-untyped-call]
        return losses

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm over all shards of all parameters."""
        norm = super().gradient_norm()
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    @contextmanager
    def whole_model(self) -> Iterator[LanguageModel | None]:
        """A copy of the model with whole weights, on rank 0."""
        self._give_back()
        model = None
        if self.world.leads:
            model = copy.deepcopy(self._skeleton).to_empty(device=self.device)
        places = {} if model is None else all_tensors(model)
        with torch.no_grad():
            for name, value in all_tensors(self.model).items():
                whole = _whole(value)
                if model is not None:
                    places[name].copy_(whole)
        yield model

    def state(self) -> State:
        """Each tensor made whole, one after another, and kept on rank 0's host."""
        self._give_back()
        found: State = {"model": {}, "optimizer": {}}
        for kind, tensors in super().state().items():
            for name, value in tensors.items():
                whole = _whole(value)
                if self.world.leads:
                    found[kind][name] = whole.cpu()
        return found

    def load_state(self, state: State) -> None:
        """Go back to what ``state`` returned."""
        self._give_back()
        super().load_state(state)

    def _give_back(self) -> None:
        """Be left with shards: a forward pass without a backward one may keep whole weights."""
        for module in self.objective.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def _like(self, tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        value = super()._like(tensor, value)
        if not isinstance(tensor, DTensor):
            return value
        # Every process has the whole value, so each takes its own part and nothing travels.
        return distribute_tensor(value, tensor.device_mesh, tensor.placements, src_data_rank=None)


def shard(objective: Objective, config: Config, device: torch.device, world: World) -> None:
    """Cut the parameters of each block, and then what is left, over the devices."""
    fsdp = config.fsdp
    mesh = _mesh(config, device, world)
    reduce_dtype = _DTYPES[fsdp.reduce_dtype]
    compute_dtype = objective.model.compute_dtype
    param_dtype = compute_dtype if fsdp.param_dtype is None else _DTYPES[fsdp.param_dtype]
    offload = (
        CPUOffloadPolicy(pin_memory=device.type == "cuda") if fsdp.cpu_offload else OffloadPolicy()
    )
    reshard = fsdp.reshard_after_forward and fsdp.sharding_strategy != "shard_grad_op"
    exact = MixedPrecisionPolicy(reduce_dtype=reduce_dtype, cast_forward_inputs=False)
    short = MixedPrecisionPolicy(param_dtype, reduce_dtype, cast_forward_inputs=False)
    for block in objective.model.block_list():
        for module in block.modules():
            if isinstance(module, Router):  # a rounded logit can change the choice
                fully_shard(
                    module,
                    mesh=mesh,
                    reshard_after_forward=reshard,
                    mp_policy=exact,
                    offload_policy=offload,
                )
        fully_shard(
            block, mesh=mesh, reshard_after_forward=reshard, mp_policy=short, offload_policy=offload
        )
    fully_shard(
        objective, mesh=mesh, reshard_after_forward=reshard, mp_policy=exact, offload_policy=offload
    )


def _mesh(config: Config, device: torch.device, world: World) -> DeviceMesh:
    """One row of all devices, or rows whose devices share one copy of the model."""
    strategy, parallel = config.fsdp.sharding_strategy, config.parallel
    if strategy == "hybrid":
        shape: tuple[int, ...] = (parallel.num_nodes, parallel.devices_per_node)
    elif strategy == "no_shard":
        shape = (world.size, 1)
    else:
        return init_device_mesh(device.type, (world.size,), mesh_dim_names=("shard",))
    return init_device_mesh(device.type, shape, mesh_dim_names=("copy", "shard"))


def _whole(value: torch.Tensor) -> torch.Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value

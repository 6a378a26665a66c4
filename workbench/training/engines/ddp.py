"""Data-parallel copies: every device holds the whole model and sees other sequences.

Gradients are added up in buckets while the backward pass goes on, or after it
(``parallel.overlap_grad_reduce``), and once per step however many micro-batches it has.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from torch.nn.parallel import DistributedDataParallel

from workbench.training.engines.single import SingleEngine

if TYPE_CHECKING:
    import torch

    from workbench.config.schema import Config
    from workbench.models.base import Batch
    from workbench.training.distributed import World
    from workbench.training.engines.base import State
    from workbench.training.objective import Losses, Objective

_WHOLE_MODEL_MB = 2**20
"""A bucket that holds any model: nothing is sent before the backward pass is done."""


class DdpEngine(SingleEngine):
    """PyTorch's DistributedDataParallel."""

    name = "ddp"

    def __init__(
        self, objective: Objective, config: Config, device: torch.device, world: World
    ) -> None:
        super().__init__(objective, config, device, world)
        overlap = config.parallel.overlap_grad_reduce
        self.wrapped = DistributedDataParallel(
            objective,
            device_ids=[device.index] if device.type == "cuda" else None,
            # Buffers change by what all processes have agreed on, so they are equal anyway.
            forward_sync_buffers=False,
            bucket_cap_mb=None if overlap else _WHOLE_MODEL_MB,
            gradient_as_bucket_view=True,
        )

    def accumulate(self, batch: Batch, *, targets: int, last: bool) -> Losses:
        """Add the gradient of a micro-batch; the last one's backward pass adds up the devices'."""
        with nullcontext() if last else self.wrapped.no_sync():
            losses: Losses = self.wrapped(batch)
            loss = (losses.loss_sum + losses.auxiliary) / targets * self.loss_scale
            # DDP takes the mean over the devices, and the gradient of the step is their sum.
            (loss * self.world.size).backward()  # type: ignore[no-untyped-call]
        return losses

    def state(self) -> State:
        """Weights and optimizer of rank 0, which are those of all."""
        return super().state() if self.world.leads else {"model": {}, "optimizer": {}}

"""The trainer, whose second process meets a loss that is not a number in its third step."""

from __future__ import annotations

import math
import sys

import torch

from workbench.models.base import Batch
from workbench.training import __main__, loop
from workbench.training.engines.ddp import DdpEngine
from workbench.training.objective import Losses

accumulate, take_step = DdpEngine.accumulate, loop.take_step
steps = 0


def count(session: loop.Session) -> None:
    global steps  # noqa: PLW0603 - one process, one run
    steps += 1
    take_step(session)


def poisoned(self: DdpEngine, batch: Batch, *, targets: int, last: bool) -> Losses:
    losses = accumulate(self, batch, targets=targets, last=last)
    if steps == 3 and self.world.rank == 1 and last:
        return losses._replace(loss_sum=torch.tensor(math.nan))
    return losses


loop.take_step = count
DdpEngine.accumulate = poisoned  # type: ignore[method-assign]
sys.exit(__main__.main())

"""The loss on text that is never trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from workbench.data.batches import IGNORE
from workbench.training.step import to_device

if TYPE_CHECKING:
    from workbench.data.batches import MicroBatch
    from workbench.training.engines.base import Engine


class HeldOut(Protocol):
    """Micro-batches of text that is never trained on."""

    def __len__(self) -> int:
        """How many there are; at least one."""

    def batch(self, index: int, /) -> MicroBatch:
        """One of them, the same at every evaluation."""


@torch.no_grad()
def validation_loss(engine: Engine, held_out: HeldOut) -> float:
    """The mean loss in nats per target.

    Dropout, jitter and capacity are off, and no auxiliary loss is added. The processes take turns,
    and the sum does not depend on how many they are. A process without a turn computes on a blank
    one: gathering sharded weights needs all of them.
    """
    objective, world = engine.objective, engine.world
    was_training = objective.training
    objective.eval()
    loss_sum, targets = torch.zeros((), device=engine.device), 0
    for first in range(0, len(held_out), world.size):
        place = first + world.rank
        micro = held_out.batch(place) if place < len(held_out) else _blank(held_out.batch(0))
        loss_sum += engine.losses(to_device(micro, engine.device)).loss_sum
        targets += micro.targets
    objective.train(was_training)
    total, count = world.sum([loss_sum.item(), float(targets)])
    return total / max(1.0, count)


def _blank(micro: MicroBatch) -> MicroBatch:
    return micro._replace(targets_BT=np.full_like(micro.targets_BT, IGNORE))

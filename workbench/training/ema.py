"""A slowly moving average of the weights, for evaluation (Polyak averaging).

``average = decay * average + (1 - decay) * weight`` after every update, in the weights' own format
and place, sharded as they are. It begins at the first weights.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import TrainingConfig
    from workbench.training.engines.base import Engine, State, Tensors


class WeightAverage:
    """The average of an engine's trained weights.

    Args:
        engine: Whose weights.
        decay: Memory of the average.
    """

    def __init__(self, engine: Engine, decay: float) -> None:
        self.decay = decay
        self._engine = engine
        self._weights = [each for each in engine.model.parameters() if each.requires_grad]
        self._averages = [each.detach().clone() for each in self._weights]
        self._in_place = False

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the weights of a step."""
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.lerp_(weight.detach(), 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averages for weights; the weights lie where the averages were."""
        if self._in_place:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> Tensors:
        """The averages by the names of their weights, as `Engine.state` gives weights."""
        with self.in_place():
            tensors = self._engine.state()["model"]
            # Those of one device are the weights themselves, which are about to change back.
            return {name: value.detach().clone() for name, value in tensors.items()}

    def load_state(self, state: State) -> None:
        """Go back to what ``state`` returned, in the set ``ema``; the model's weights are lost."""
        self._engine.load_state({"model": state["ema"]} if "ema" in state else {})
        with torch.no_grad():
            for average, weight in zip(self._averages, self._weights, strict=True):
                average.copy_(weight)

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange averages and weights, one after the other: no second copy of all of them."""
        for average, weight in zip(self._averages, self._weights, strict=True):
            kept = weight.detach().clone()
            weight.copy_(average)
            average.copy_(kept)
            del kept
        self._in_place = not self._in_place


def weight_average(engine: Engine, config: TrainingConfig) -> WeightAverage | None:
    """The average that the config asks for; None when it asks for none.

    Raises:
        ConfigError: DeepSpeed has the weights.
    """
    if not config.use_ema:
        return None
    if engine.name == "deepspeed":
        raise ConfigError(
            "training.use_ema does not go with DeepSpeed",
            where="training.use_ema",
            why="DeepSpeed keeps the exact weights to itself, cut and in formats of its own",
            fix="use --training.use_ema false, or --deepspeed.enabled false with "
            "--parallel.strategy fsdp",
        )
    return WeightAverage(engine, config.ema_decay)

"""`training.gradient_health`: a clip that tightens smoothly, and a learning rate that yields.

Everything here is decided by the gradient norm of a step, which all processes know, so all of them
decide the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig
    from workbench.config.schema.training.gradient_health import GradientHealthConfig


def clip_norm(config: TrainingConfig, step: int) -> float:
    """The largest gradient norm of a step (from 1); 0 stands for any.

    Half a cosine wave leads from ``initial_clip_value`` at the first step to ``final_clip_value``
    once ``warmup_steps`` steps are done. Without ``gradient_health`` it is ``max_gradient_norm``.
    """
    health = config.gradient_health
    if not health.enabled:
        return config.max_gradient_norm
    done = min(1.0, (step - 1) / health.warmup_steps) if health.warmup_steps else 1.0
    share = 0.5 * (1 + math.cos(math.pi * done))
    return health.final_clip_value + (health.initial_clip_value - health.final_clip_value) * share


class GradientHealth:
    """Counts explosions and lowers the learning rate when a window is full of them.

    The window is one of *steps*: spikes that are far apart never add up. A cut begins a new window,
    so that the next one can come ``explosion_window`` steps later at the earliest.

    Attributes:
        factor: What the schedule's learning rate is multiplied by. It is no part of the schedule,
            so the schedule cannot undo it.
    """

    def __init__(self, config: GradientHealthConfig) -> None:
        self.config = config
        self.factor = 1.0
        self._explosions: list[int] = []

    def seen(self, step: int, norm: float) -> list[dict[str, Any]]:
        """Look at the norm of a step before clipping.

        Args:
            step: The step.
            norm: Its norm; one that is not finite is an explosion too.

        Returns:
            What happened, as events with a name.
        """
        config = self.config
        if not config.enabled:
            return []
        window = step - config.explosion_window
        self._explosions = [each for each in self._explosions if each > window]
        if norm <= config.explosion_threshold:
            return []
        self._explosions.append(step)
        count = len(self._explosions)
        happened = [{"event": "gradient_explosion", "norm": norm, "in_window": count}]
        if config.auto_reduce_lr and count == config.explosion_window:
            self.factor *= config.lr_reduction_factor
            self._explosions.clear()
            happened.append({"event": "lr_reduced", "why": "explosions", "factor": self.factor})
        return happened

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"factor": self.factor, "explosions": list(self._explosions)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.factor = float(state["factor"])
        self._explosions = list(state["explosions"])

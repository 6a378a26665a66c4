"""What the trainer does by itself when a training goes well or badly, and what it remembers for it.

One place holds all of it, so that a checkpoint has it with one key and a resumed run goes on as if
nothing had happened. All decisions follow from numbers that every process has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.training.adaptive_lr import AdaptiveLr
from workbench.training.early_stopping import EarlyStopping
from workbench.training.gradient_health import GradientHealth
from workbench.training.loss_scale import LossScale
from workbench.training.plateau import Plateau
from workbench.training.schedule import learning_rate

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig


class Reactions:
    """The parts, and the learning rate that comes of them.

    Args:
        config: The section, with the real number of steps.
        scale_loss: Whether gradients are in fp16, and nobody else scales the loss.
    """

    def __init__(self, config: TrainingConfig, *, scale_loss: bool = False) -> None:
        self.config = config
        self.health = GradientHealth(config.gradient_health)
        self.adaptive = AdaptiveLr(config)
        self.plateau = Plateau(config)
        self.stopping = EarlyStopping(config)
        self.loss_scale = LossScale(config.loss_scaling, needed=scale_loss)
        self.skipped = 0
        """Steps left out in a row because something was not finite."""

    def configure(self, config: TrainingConfig) -> None:
        """Go on with another learning rate."""
        self.config = config
        self.adaptive.peak = config.learning_rate

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step: what the schedule says, times what has been learned."""
        scheduled = self.plateau.rate(learning_rate(self.config, step))
        return self.adaptive.rate(scheduled) * self.health.factor

    def updated(self, step: int, *, loss: float, norm: float) -> list[dict[str, Any]]:
        """A step changed the weights. Returns what happened, as events with a name."""
        self.skipped = 0
        self.loss_scale.went_well()
        scheduled = self.plateau.rate(learning_rate(self.config, step))
        return self.health.seen(step, norm) + self.adaptive.seen(step, loss, scheduled)

    def evaluated(self, step: int, val_loss: float) -> list[dict[str, Any]]:
        """The held-out text was measured. Returns what happened, as events with a name."""
        self.stopping.evaluated(step, val_loss)
        return self.plateau.evaluated(val_loss, learning_rate(self.config, step))

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        parts = {name: getattr(self, name).state() for name in _PARTS}
        return parts | {"skipped": self.skipped}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        for name in _PARTS:
            if name in state:  # a checkpoint of before this part was built has none of it
                getattr(self, name).load_state(state[name])
        self.skipped = state["skipped"]


_PARTS = ("health", "adaptive", "plateau", "stopping", "loss_scale")

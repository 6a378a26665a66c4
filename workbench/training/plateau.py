"""`training.lr_scheduler_type: reduce_on_plateau`: a learning rate that follows the held-out loss.

After more than `PATIENCE` evaluations in a row that are no better than the best, the learning rate
is multiplied by `FACTOR`, and the count begins again; it never falls below `training.lr_end`.
Better is lower by a share of `LEAST_GAIN`. The three are the defaults of PyTorch's
``ReduceLROnPlateau``, so that a schedule taken over from there is the same one here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig

PATIENCE, FACTOR, LEAST_GAIN = 10, 0.1, 1e-4


class Plateau:
    """Multiplies the schedule's learning rate by what the evaluations call for.

    Attributes:
        factor: What the schedule's learning rate is multiplied by, before the limit.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.enabled = config.lr_scheduler_type == "reduce_on_plateau"
        self.least = config.lr_end or config.learning_rate * (config.lr_end_ratio or 0.0)
        self.factor = 1.0
        self._best = math.inf
        self._waiting = 0

    def rate(self, scheduled: float) -> float:
        """The learning rate in place of the schedule's."""
        if self.factor == 1:
            return scheduled
        return max(scheduled * self.factor, min(scheduled, self.least))

    def evaluated(self, val_loss: float, scheduled: float) -> list[dict[str, Any]]:
        """Look at an evaluation.

        Args:
            val_loss: What it found; one that is no number is no improvement.
            scheduled: The learning rate by the schedule.

        Returns:
            What happened, as events with a name.
        """
        if not self.enabled:
            return []
        if val_loss < self._best * (1 - LEAST_GAIN):
            self._best, self._waiting = val_loss, 0
            return []
        self._waiting += 1
        if self._waiting <= PATIENCE:
            return []
        before, self._waiting = self.rate(scheduled), 0
        self.factor *= FACTOR
        if self.rate(scheduled) == before:
            return []
        return [{"event": "lr_reduced", "why": "plateau", "factor": self.factor}]

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        best = self._best if math.isfinite(self._best) else None
        return {"factor": self.factor, "best": best, "waiting": self._waiting}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.factor, self._waiting = float(state["factor"]), state["waiting"]
        self._best = math.inf if state["best"] is None else state["best"]

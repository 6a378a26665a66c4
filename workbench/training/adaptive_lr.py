"""`training.adaptive_lr`: a learning rate that follows the loss.

Every ``check_interval`` steps the mean loss of the last ``loss_window`` steps is compared with that
of the ``loss_window`` steps before, and the look is one of three:

- *falling*: lower by ``min_improvement`` or more, relative. ``stability_threshold`` of them in a
  row: times ``increase_factor``.
- *rising*: higher. ``divergence_threshold`` of them in a row: times ``emergency_factor``.
- neither.

A look that is not falling is on a plateau, and after ``plateau_patience`` steps of such looks in a
row: times ``plateau_factor``. Whatever was counted up to a change begins again after it.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig


class AdaptiveLr:
    """Multiplies the schedule's learning rate by what the loss calls for.

    Attributes:
        factor: What the schedule's learning rate is multiplied by, before the limits.
        peak: The highest learning rate of the schedule.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config.adaptive_lr
        self.factor = 1.0
        self.peak = config.learning_rate
        self._from = round(config.adaptive_lr.warmup_percentage * config.max_steps)
        self._losses: deque[float] = deque(maxlen=2 * config.adaptive_lr.loss_window)
        self._falling = self._rising = self._plateau_steps = 0

    def rate(self, scheduled: float) -> float:
        """The learning rate in place of the schedule's, within ``min_lr`` and ``max_lr``.

        The limits bound what is done here: the schedule itself may end below ``min_lr``.
        """
        limit = self.peak if self.config.max_lr is None else self.config.max_lr
        if self.factor < 1:
            return max(scheduled * self.factor, min(scheduled, self.config.min_lr))
        return min(scheduled * self.factor, max(scheduled, limit))

    def seen(self, step: int, loss: float, scheduled: float) -> list[dict[str, Any]]:
        """Look at the loss of a step.

        Args:
            step: The step.
            loss: Its loss, finite.
            scheduled: Its learning rate by the schedule.

        Returns:
            What happened, as events with a name.
        """
        config = self.config
        if not config.enabled:
            return []
        self._losses.append(loss)
        full = len(self._losses) == self._losses.maxlen
        if step % config.check_interval or step <= self._from or not full:
            return []
        change = self._look()
        factor, why = self._decide(change)
        if factor is None:
            return []
        before = self.rate(scheduled)
        self.factor *= factor
        # What the limits hold back is not saved up: the way back would lead through it.
        if scheduled > 0:
            self.factor = self.rate(scheduled) / scheduled
        after = self.rate(scheduled)
        if after == before:
            return []
        name = "lr_raised" if after > before else "lr_reduced"
        return [{"event": name, "why": why, "factor": self.factor}]

    def _look(self) -> float:
        """The relative fall of the loss; negative where it rises."""
        window = self.config.loss_window
        before = sum(islice(self._losses, window)) / window
        recent = sum(islice(self._losses, window, None)) / window
        return (before - recent) / max(abs(before), 1e-12)

    def _decide(self, fall: float) -> tuple[float | None, str]:
        config = self.config
        falling, rising = fall >= config.min_improvement and fall > 0, fall < 0
        self._falling = self._falling + 1 if falling else 0
        self._rising = self._rising + 1 if rising else 0
        self._plateau_steps = 0 if falling else self._plateau_steps + config.check_interval
        if self._rising >= config.divergence_threshold:
            decision: tuple[float | None, str] = config.emergency_factor, "divergence"
        elif self._plateau_steps >= config.plateau_patience:
            decision = config.plateau_factor, "plateau"
        elif self._falling >= config.stability_threshold:
            decision = config.increase_factor, "steady fall"
        else:
            return None, ""
        self._falling = self._rising = self._plateau_steps = 0
        return decision

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "factor": self.factor,
            "losses": list(self._losses),
            "falling": self._falling,
            "rising": self._rising,
            "plateau_steps": self._plateau_steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.factor = float(state["factor"])
        self._losses.clear()
        self._losses.extend(state["losses"])
        self._falling, self._rising = state["falling"], state["rising"]
        self._plateau_steps = state["plateau_steps"]

"""When further training no longer pays, and which evaluation was the best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig

_LOSS = ("loss", "eval_loss", "val_loss", "validation_loss")
_PERPLEXITY = ("perplexity", "eval_perplexity", "val_perplexity", "ppl")


class EarlyStopping:
    """Follows ``training.metric_for_best_model`` over the evaluations.

    Attributes:
        best: The best value so far; None before the first evaluation.
        best_step: The step it was found at.
        best_loss: The held-out loss there.
        waiting: Evaluations since the last improvement by more than
            ``training.early_stopping_threshold``.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.best: float | None = None
        self.best_step: int | None = None
        self.best_loss: float | None = None
        self.waiting = 0
        # What the patience is measured from: small gains do not add up to a new start each time.
        self._mark: float | None = None

    def evaluated(self, step: int, val_loss: float) -> bool:
        """Look at an evaluation.

        Returns:
            Whether none before it was better.
        """
        value = metric_value(self.config.metric_for_best_model, val_loss)
        sign = 1.0 if self.config.greater_is_better else -1.0
        gain = math.inf if self._mark is None else sign * (value - self._mark)
        # A value that is no number is no improvement.
        if gain > self.config.early_stopping_threshold:
            self._mark, self.waiting = value, 0
        else:
            self.waiting += 1
        is_best = not math.isnan(value) and (self.best is None or sign * (value - self.best) >= 0)
        if is_best:
            self.best, self.best_step, self.best_loss = value, step, val_loss
        return is_best

    @property
    def over(self) -> bool:
        """Whether the patience is at its end."""
        patience = self.config.early_stopping_patience
        return patience is not None and self.waiting >= patience

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "waiting": self.waiting,
            "mark": self._mark,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        self.best, self.best_step = state["best"], state["best_step"]
        self.best_loss = state.get("best_loss")
        self.waiting, self._mark = state["waiting"], state["mark"]


def metric_value(name: str, val_loss: float) -> float:
    """The metric of that name; one that is not measured is the loss, and the plan has said so."""
    if name.lower() in _PERPLEXITY:
        return math.exp(val_loss) if val_loss < 709 else math.inf  # e^709 is the largest float
    return val_loss

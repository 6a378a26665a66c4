"""How far a run has come: everything in a checkpoint that is not a tensor."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch


@dataclass
class Progress:
    """Where the run stands after a step.

    Attributes:
        step: Steps done.
        tokens: Tokens trained on.
        seconds: Time in the loop, evaluations and saving included.
        step_seconds: Time in the steps themselves.
        val_loss: The last validation loss.
        best_val_loss: The smallest one.
        evaluated_at: The step of the last one.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    val_loss: float | None = None
    best_val_loss: float | None = None
    evaluated_at: int = 0
    loss_average: float = 0.0
    loss_weight: float = 0.0

    def advance(self, *, loss: float, tokens: int, seconds: float, smoothing: float = 0.9) -> None:
        """Count one more step.

        Args:
            loss: Of the step.
            tokens: Trained on in it.
            seconds: That it took.
            smoothing: Weight of the past in the smoothed loss.
        """
        self.step += 1
        self.tokens += tokens
        self.step_seconds += seconds
        if math.isfinite(loss):  # a step that was left out says nothing
            self.loss_average = smoothing * self.loss_average + (1 - smoothing) * loss
            self.loss_weight = smoothing * self.loss_weight + (1 - smoothing)

    def evaluated(self, val_loss: float) -> None:
        """Remember a validation loss."""
        self.val_loss = val_loss
        self.evaluated_at = self.step
        best = self.best_val_loss
        self.best_val_loss = val_loss if best is None else min(val_loss, best)

    @property
    def smoothed_loss(self) -> float | None:
        """The debiased moving average of the loss; None before the first step."""
        return self.loss_average / self.loss_weight if self.loss_weight else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def rng_state(device: torch.device) -> dict[str, str]:
    """The state of torch's random numbers, which dropout and router jitter draw from."""
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {
        name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()
    }


def set_rng_state(states: dict[str, str], device: torch.device) -> None:
    """Go back to what ``rng_state`` returned."""
    decoded = {
        name: torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
        for name, text in states.items()
    }
    torch.set_rng_state(decoded["torch"])
    if device.type == "cuda" and "cuda" in decoded:
        torch.cuda.set_rng_state(decoded["cuda"], device)

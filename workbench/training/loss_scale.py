"""`training.loss_scaling`: keeping small fp16 gradients from rounding to zero.

fp16 holds nothing smaller than 6e-8 and nothing larger than 65,504. The loss is multiplied by a
factor before the backward pass and the gradients are divided by it after (arXiv 1710.03740,
section 3.2), so that most of them fall between. Too large a factor shows as an overflow: that step
is left out, and the factor shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema.training.loss_scaling import LossScalingConfig


class LossScale:
    """The factor: fixed, or found by itself with the rule of DeepSpeed and Megatron.

    Attributes:
        factor: What the next loss is multiplied by.
    """

    def __init__(self, config: LossScalingConfig, *, needed: bool) -> None:
        """Take ``needed`` False for formats that hold their gradients: the factor stays 1."""
        self.config = config
        self.dynamic = needed and config.scale == 0
        self.factor = 1.0
        if needed:
            self.factor = config.scale or max(2.0**config.initial_scale_power, config.min_scale)
        self._forgiven = config.hysteresis
        self._quiet = 0

    def overflowed(self) -> bool:
        """A gradient was not finite.

        Returns:
            Whether a smaller factor may help, so that the step should be left out. False: the
            factor is fixed or as small as it may be, and the numbers are bad by themselves.
        """
        if not self.dynamic:
            return False
        self._quiet = 0
        if self._forgiven > 1:
            self._forgiven -= 1
            return True
        if self.factor <= self.config.min_scale:
            return False
        self.factor = max(self.factor / 2, self.config.min_scale)
        return True

    def went_well(self) -> None:
        """A step was finite."""
        if not self.dynamic:
            return
        self._quiet += 1
        if self.config.consecutive_hysteresis:
            self._forgiven = self.config.hysteresis
        if self._quiet % self.config.window == 0:
            self._forgiven = self.config.hysteresis
            self.factor *= 2

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"factor": self.factor, "forgiven": self._forgiven, "quiet": self._quiet}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
        if self.dynamic:
            self.factor = float(state["factor"])
            self._forgiven, self._quiet = state["forgiven"], state["quiet"]

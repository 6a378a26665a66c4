"""What optimizers keep for each weight, and what they need while they act.

As `workbench.training.optim` builds them: states in fp32, the step counter of AdamW a tensor of its
own on the device.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """What an optimizer keeps.

    Attributes:
        copies: Numbers of the size of the weight, each in fp32.
        counters: Scalars per tensor, on the device.
        text: The states by name.
    """

    copies: float
    counters: int
    text: str


_RULES = {
    "adamw": Rule(2, 1, "mean and mean square of each gradient"),
    "adam": Rule(2, 1, "mean and mean square of each gradient"),
    "moreh_adamw": Rule(2, 1, "mean and mean square of each gradient"),
    "adagrad": Rule(1, 1, "sum of the squares of each gradient"),
    "lion": Rule(1, 0, "mean of each gradient"),
    "sgd": Rule(0, 0, "nothing"),
}


def rule_of(name: str, *, momentum: float = 0.0, amsgrad: bool = False) -> Rule:
    """What the optimizer of that name keeps."""
    rule = _RULES.get(name, _RULES["adamw"])
    if name == "sgd" and momentum:
        return Rule(1, 0, "momentum")
    if amsgrad and name in ("adamw", "adam"):
        return rule._replace(copies=3, text=rule.text + ", and its largest")
    return rule

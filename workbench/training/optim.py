"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of a step: a pure function, so a resumed run needs no scheduler state.

    It rises in a straight line from 0 at step 0 to ``learning_rate`` at the last warm-up step, then
    follows ``lr_scheduler_type`` down to ``lr_end``, reached by the last step.
    """
    peak, end = config.learning_rate, config.lr_end
    if step < config.warmup_steps:
        return peak * step / config.warmup_steps
    if config.lr_scheduler_type == "constant":
        return peak
    progress = min(
        1.0, (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    )
    if config.lr_scheduler_type == "linear":
        return peak + (end - peak) * progress
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW (arXiv 1711.05101) with weight decay on matrices only.

    Pulling a norm's weight or a bias towards zero does not regularise, it just moves the function.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        # The biases of experts are stacked, but a stack of biases is no matrix.
        is_matrix = parameter.dim() >= 2 and not name.endswith("bias")
        (matrices if is_matrix else others).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,  # a quarter of the CPU time of foreach (1.2 against 5.5 ms at 1.8 M parameters)
    )

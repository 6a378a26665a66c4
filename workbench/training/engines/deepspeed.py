"""DeepSpeed's engine: ZeRO stages 0 to 3, with offload to host memory and NVMe.

DeepSpeed owns the backward pass, the exchange of gradients and the update; the loss, the learning
rate and the limit of the gradient stay ours. Its version is pinned: norm and cleanup before an
update have no public interface, so this file uses what ``step()`` itself uses.
"""

from __future__ import annotations

import copy
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from workbench.errors import ConfigError
from workbench.training.engines.base import all_tensors, named_tensors
from workbench.training.engines.deepspeed_settings import deepspeed_settings, optimizer_place
from workbench.training.optim import make_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from workbench.config.schema import Config
    from workbench.models.base import Batch, LanguageModel
    from workbench.training.distributed import World
    from workbench.training.engines.base import State
    from workbench.training.objective import Losses, Objective

_PRECISION = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


class DeepspeedEngine:
    """ZeRO. One per process: DeepSpeed keeps state outside of its engines."""

    name = "deepspeed"

    def __init__(
        self, objective: Objective, config: Config, device: torch.device, world: World
    ) -> None:
        self.objective = objective
        self.device = device
        self.world = world
        self.stage = config.deepspeed.zero_stage
        self._skeleton = copy.deepcopy(objective.model).to("meta")
        exact = {name: value.detach().clone() for name, value in all_tensors(objective.model).items()}
        self._deepspeed = load_deepspeed(device)
        settings = deepspeed_settings(config, world.size, _PRECISION[objective.model.compute_dtype])
        base = make_optimizer(objective.model, config.training)
        if optimizer_place(config.deepspeed) != "none" and device.type == "cpu":
            # Its own CPU optimizers are compiled at first use, for minutes; here all is on the host
            # anyway, and torch's does the same.
            settings["zero_force_ds_cpu_optimizer"] = False
        try:
            self.engine, self.optimizer, _, _ = self._deepspeed.initialize(
                model=objective, optimizer=base, config=settings
            )
        except (AssertionError, ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            raise refused(error) from None

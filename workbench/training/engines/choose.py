"""Which strategy a run trains with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ConfigError
from workbench.training.engines.single import SingleEngine

if TYPE_CHECKING:
    import torch

    from workbench.config.schema import Config
    from workbench.training.distributed import World
    from workbench.training.engines.base import Engine
    from workbench.training.objective import Objective


def choose_strategy(config: Config, world: World) -> str:
    """Resolve ``parallel.strategy``.

    Raises:
        ConfigError: Several processes, and a strategy of one.
    """
    wanted = config.parallel.strategy
    if config.deepspeed.enabled:
        return "deepspeed"
    if wanted == "auto":
        return "single" if world.size == 1 else "ddp"
    if wanted == "single" and world.size > 1:
        raise ConfigError(
            f"parallel.strategy single trains in one process, and there are {world.size}",
            where="parallel.strategy",
            fix="use --parallel.strategy auto",
        )
    return wanted


def make_engine(objective: Objective, config: Config, device: torch.device, world: World) -> Engine:
    """The strategy of the config, with its optimizer.

    Args:
        objective: The model and its loss.
        config: Everything else.
        device: The device of this process.
        world: This process among the others.

    Raises:
        ConfigError: The strategy cannot do what the config asks for.
    """
    strategy = choose_strategy(config, world)
    if strategy == "ddp":
        from workbench.training.engines.ddp import DdpEngine

        return DdpEngine(objective, config, device, world)
    if strategy == "fsdp":
        from workbench.training.engines.fsdp import FsdpEngine

        return FsdpEngine(objective, config, device, world)
    if strategy == "deepspeed":
        from workbench.training.engines.deepspeed import DeepspeedEngine

        return DeepspeedEngine(objective, config, device, world)
    return SingleEngine(objective, config, device, world)

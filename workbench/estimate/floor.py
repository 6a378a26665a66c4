"""The least that a plan takes on each device: what must be there whatever else is.

For plans that the ledger has no lines for yet. It counts weights, gradients and the optimizer's
state, divided as the engine divides them, and nothing else: if that does not fit, nothing does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.config.offload import optimizer_place, parameters_place
from workbench.estimate.ledger import Line
from workbench.estimate.optimizer import rule_of
from workbench.estimate.traffic import engine_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.config.size import Size

_ZERO = "ZeRO, arXiv 1910.02054, section 3.1"


def floor_of(config: Config, size: Size) -> tuple[Line, ...]:
    """The lines of the least memory of one device, without those that take nothing.

    fp32 engines keep 4 bytes per weight and per gradient, DeepSpeed 2, and 4 for its masters.
    """
    training, degrees, engine = config.training, Degrees.of(config), engine_of(config)
    rule = rule_of(training, cpu=False)
    held = degrees.tensor * degrees.pipeline
    weights, trained = size.total / held, size.trainable / held
    parts = (4 * weights, 4 * trained, 4 * rule.copies * trained)
    shards = (1, 1, 1)
    symbols = ("4 P", "4 P_t", f"{4 * rule.copies:g} P_t")
    n = degrees.sharded
    if engine == "fsdp" and config.fsdp.sharding_strategy != "no_shard":
        shards = (n, n, n)
    if engine == "fsdp" and config.fsdp.cpu_offload:
        parts = (0, 0, 0)
    if engine == "deepspeed":
        narrow = 4 if training.mixed_precision == "no" else 2
        master = 4 * (narrow == 2)
        parts = (
            narrow * weights if parameters_place(config.deepspeed) == "none" else 0,
            narrow * trained,
            (master + 4 * rule.copies) * trained,
        )
        symbols = (f"{narrow} P", f"{narrow} P_t", f"{master + 4 * rule.copies:g} P_t")
        stage = config.deepspeed.zero_stage
        shards = (n if stage == 3 else 1, n if stage >= 2 else 1, n if stage >= 1 else 1)
        if optimizer_place(config.deepspeed) != "none":
            parts = (parts[0], parts[1] if stage < 2 else 0, 0)
    names = ("weights", "gradients", "optimizer")
    return tuple(
        Line(
            name,
            symbol if share == 1 else f"{symbol} / {share}",
            round(part / share),
            name,  # type: ignore[arg-type]
            _ZERO,
        )
        for name, symbol, part, share in zip(names, symbols, parts, shards, strict=True)
        if part
    )

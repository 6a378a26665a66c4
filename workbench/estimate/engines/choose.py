"""The ledger of a config: its network with numbers, what stands, and the moments of a step.

As the trainer chooses its engine (`workbench/training/engines/choose.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines import ddp, deepspeed, fsdp, single
from workbench.estimate.engines.fsdp_units import Travel
from workbench.estimate.engines.states import Updates
from workbench.estimate.engines.zero import Zero
from workbench.estimate.network.network import runs_of, sized
from workbench.estimate.network.structure import structure_of
from workbench.estimate.network.symbols import CUDA_ALIGNMENT, symbols_of
from workbench.estimate.tensors import trained_weights, weights_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.base import Standing
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.lora import Runs
    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.structure import Structure, Weights
    from workbench.estimate.setting import Setting, Strategy


class Ledger(NamedTuple):
    """What a config needs.

    Attributes:
        net: The network with numbers.
        standing: What is there all the time.
        moments: The moments of a step.
        updates: How weights are updated.
        zero: How DeepSpeed is asked to train; None with another engine.
    """

    net: Sized
    standing: Standing
    moments: list[Moment]
    updates: Updates
    zero: Zero | None = None

    @property
    def net_numbers(self) -> int:
        """Number of weights."""
        return sum(each.times * each.total for each in weights_of(self.net))

    @property
    def state(self) -> int:
        """Bytes of the whole optimizer's state, over all devices, without scalars."""
        whole = trained_weights(self.net)
        rule = self.updates.rule
        if rule.states is not None:
            return sum(each.times * rule.states(each, 1).bytes for each in whole)
        return round(4 * rule.copies * sum(each.times * each.total for each in whole))


def ledger_of(config: Config, setting: Setting, *, remembered: bool = True) -> Ledger:
    """The ledger of a config as it is trained.

    Args:
        config: The config.
        setting: How it is trained.
        remembered: Whether to remember it for plans that take the same memory. A search looks at
            more plans than are remembered, and at each of them once.
    """
    strategy, width = setting.strategy, setting.width
    offloads = strategy == "fsdp" and config.fsdp.cpu_offload
    updates = Updates.of(
        config.training,
        cpu=setting.cpu or offloads,
        width=width,
        copies=strategy in ("single", "ddp"),
        sharded=strategy == "fsdp",
    )
    accumulating = setting.accumulating
    weights: Weights = "fp32" if updates.rounding is None else "narrow"
    # What a pass finds: gradients that stand are added to, and leave nothing behind.
    finds = strategy == "ddp" or (strategy == "single" and accumulating)
    zero = None
    if strategy == "deepspeed":
        zero = Zero.of(config, precision=setting.precision, cpu=setting.cpu)
        weights, finds = "half" if width == 2 else "fp32", zero.finds_gradients
    structure = structure_of(
        config,
        cpu=setting.cpu,
        width=width,
        recompute=setting.recompute,
        sharded=strategy == "fsdp",
        weights=weights,
        fetched=setting.fetched,
        follows=zero is not None and zero.stage == 3,
    )
    symbols = symbols_of(
        config,
        alignment=1 if setting.cpu else CUDA_ALIGNMENT,
        shards=setting.shards,
        compute=width,
    )
    travel = None
    if strategy == "fsdp":
        mtp = config.training.mtp
        travel = Travel(
            width,
            setting.fetched,
            4 if config.fsdp.reduce_dtype == "fp32" else 2,
            replicated=config.fsdp.sharding_strategy in ("hybrid", "no_shard"),
            accumulating=accumulating,
            apart=offloads and not setting.cpu,
            heads=mtp.num_future_tokens if mtp.enabled and structure.mtp is not None else 0,
        )
    reshards = config.fsdp.sharding_strategy != "shard_grad_op"
    return (_remembered if remembered else _ledger)(
        Asked(
            strategy=strategy,
            structure=structure,
            runs=runs_of(config.model, structure.lora),
            symbols=symbols,
            updates=updates,
            zero=zero,
            travel=travel,
            finds=finds,
            # More than two micro-batches are like three.
            micro_batches=min(3, config.training.gradient_accumulation_steps),
            offloads=offloads,
            reshards=config.fsdp.reshard_after_forward and reshards,
        )
    )


class Asked(NamedTuple):
    """All that a ledger depends on: plans that differ in something else share theirs.

    Attributes:
        strategy: What divides the training.
        structure: Which operations run.
        runs: (kind, number of blocks) from the first block to the last.
        symbols: The sizes.
        updates: How weights are updated.
        zero: How DeepSpeed is asked to train.
        travel: How weights and gradients travel under FSDP.
        finds: Whether a backward pass finds gradients.
        micro_batches: 1, 2 or 3: how many a step has; 3 stands for more.
        offloads: Whether FSDP keeps its shards on the host.
        reshards: Whether FSDP gives weights back after the forward pass.
    """

    strategy: Strategy
    structure: Structure
    runs: Runs
    symbols: tuple[int, ...]
    updates: Updates
    zero: Zero | None
    travel: Travel | None
    finds: bool
    micro_batches: int
    offloads: bool
    reshards: bool


def _ledger(asked: Asked) -> Ledger:
    structure, runs, symbols, updates, zero = asked[1:6]
    waits = asked.strategy == "ddp" and asked.micro_batches == 2
    net = sized(structure, runs, symbols, accumulating=asked.finds, waiting=waits)
    if zero is not None:
        first = None
        if zero.begins_otherwise:
            alone = not zero.adds
            first = sized(structure, runs, symbols, accumulating=False) if alone else net
        return Ledger(net, *deepspeed.ledger(net, zero, updates, first), updates, zero)
    if asked.travel is not None:
        travel = asked.travel
        base = fsdp.standing(net, updates, travel, on_host=asked.offloads)
        moments = fsdp.moments(net, base, updates=updates, travel=travel, reshard=asked.reshards)
        return Ledger(net, base, moments, updates)
    if asked.strategy == "ddp":
        base = ddp.standing(net, updates)
        moments = ddp.moments(net, base, updates=updates, micro_batches=asked.micro_batches)
        if waits and len(net.runs) > 1:
            fresh = sized(structure, runs, symbols, accumulating=False)
            moments += ddp.first(fresh, base, updates=updates)
        return Ledger(net, base, moments, updates)
    gradients = "of earlier micro-batches"
    base = single.standing(net, updates, accumulating=asked.finds, gradients=gradients)
    return Ledger(net, base, single.moments(net, base, updates=updates), updates)


_remembered = lru_cache(maxsize=64)(_ledger)

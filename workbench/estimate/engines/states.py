"""What stands beside the weights of every engine: optimizer, remainders, average; and the update.

Everything is counted on what this device has of each weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.estimate.engines.base import parts_with_weights, segment_of, sizes_of
from workbench.estimate.engines.zero_names import grouped
from workbench.estimate.ledger import Line
from workbench.estimate.optimizer import replaced, rule_of
from workbench.estimate.rounding import up
from workbench.estimate.tensors import trained_weights

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig
    from workbench.estimate.network.network import Sized
    from workbench.estimate.optimizer import Rule
    from workbench.estimate.tensors import Weight

INPUTS = "the batch as the trainer puts it on the device: int64"
_NARROW = "workbench/training/optim/narrow.py"
_EMA = "workbench/training/ema.py"
_UPDATE = "workbench/training/optim, checked against the tracer"


@dataclass(frozen=True, slots=True)
class Updates:
    """How weights are updated.

    Attributes:
        rule: The optimizer.
        rounding: How matrices are kept in 16 bits: ``split``, ``kahan`` or ``stochastic``; None:
            they are not.
        average: Whether a moving average of the weights is kept.
        spared: Parts of the names of weights without decay; None: norms and biases.
    """

    rule: Rule
    rounding: str | None = None
    average: bool = False
    spared: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        training: TrainingConfig,
        *,
        cpu: bool,
        width: int,
        copies: bool,
        sharded: bool = False,
    ) -> Updates:
        """What the training section comes to.

        Args:
            training: The section.
            cpu: Whether a CPU updates.
            width: Bytes of the compute dtype.
            copies: Whether every device has whole weights: only those can be kept in 16 bits.
            sharded: Whether FSDP has cut them.
        """
        rounding = None
        if copies and width == 2 and training.mixed_precision != "fp16":
            if training.split_weights:
                rounding = "split"
            elif training.kahan_summation:
                rounding = "kahan"
            elif training.stochastic_rounding:
                rounding = "stochastic"
        rule = rule_of(training, cpu=cpu, sharded=sharded)
        spared = training.no_decay_patterns
        return cls(rule, rounding, training.use_ema, None if spared is None else tuple(spared))


def state_lines(net: Sized, updates: Updates, *, shards: int = 1) -> list[Line]:
    """The optimizer's state, what 16-bit weights lack, and the average.

    Args:
        net: The network.
        updates: How weights are updated.
        shards: Devices that share each weight.
    """
    lines = [*_optimizer(net, updates.rule, shards)]
    alignment = net.symbols[0]
    cut = "P/N" if shards > 1 else "P"
    if updates.rounding in ("split", "kahan"):
        rest = sum(
            each.times * up(2 * each.numbers, alignment)
            for each in trained_weights(net)
            if each.kept == 2
        )
        lines.append(Line("what 16-bit weights lack", "2 P", rest, "optimizer", _NARROW))
    if updates.average:
        for of, part, times in parts_with_weights(net):
            sizes = sizes_of(net, part)
            size = times * (sizes.trained_shard if shards > 1 else sizes.trained)
            lines.append(Line(f"moving average of {of}", f"4 {cut}", size, "optimizer", _EMA))
    return lines


def _optimizer(net: Sized, rule: Rule, shards: int) -> list[Line]:
    alignment = net.symbols[0]
    cut = "P/N" if shards > 1 else "P"
    pieces = "the shards of " if shards > 1 else ""
    if rule.states is not None:
        return _shaped(trained_weights(net, shards), rule, alignment)
    lines = []
    for of, part, times in parts_with_weights(net):
        many = "" if times == 1 else f"{times} × "
        if rule.copies:
            name = f"optimizer of {pieces}{of}: {rule.text}"
            size = round(rule.copies * times * sizes_of(net, part).trained_shard)
            lines.append(Line(name, f"{many}{4 * rule.copies:g} {cut}", size, "optimizer", "fp32"))
        if rule.counters:
            tensors = times * sum(segment_of(net, part).trained) * rule.counters
            lines.append(
                Line(
                    f"step counters of {of}",
                    f"{tensors} × 4 B, rounded up",
                    tensors * up(4, alignment),
                    "optimizer",
                    "torch.optim keeps one per tensor",
                )
            )
    return lines


def _shaped(weights: list[Weight], rule: Rule, alignment: int) -> list[Line]:
    """The states of an optimizer that looks at shapes, by what they are."""
    assert rule.states is not None
    found: dict[tuple[str, str], int] = {}
    for each in weights:
        kept = rule.states(each, alignment)
        key = (f"optimizer: {kept.text}", kept.formula)
        found[key] = found.get(key, 0) + each.times * kept.bytes
    return [Line(*key, size, "optimizer", _UPDATE) for key, size in found.items()]


def update_lines(net: Sized, updates: Updates, *, shards: int = 1) -> tuple[Line, ...]:
    """What the update needs on the side, while all gradients still exist."""
    rule, alignment = updates.rule, net.symbols[0]
    if rule.plain and updates.rounding is None:
        return ()
    weights = trained_weights(net, shards)
    if updates.rounding is not None:
        most = max(_narrow(each, updates, alignment) for each in weights)
        name = "update of the largest weight in fp32"
        half = "20" if updates.rounding == "split" else "18"
        formula = f"{half} n, or 8 n and what the optimizer needs"
        return (Line(name, formula, most, "temporaries", _NARROW),)
    if updates.spared is not None:
        weights = grouped(net, weights, updates.spared)
    if rule.together:
        most = max(
            sum(
                each.times * up(4 * each.numbers, alignment)
                for each in weights
                if each.decays is decays
            )
            for decays in (True, False)
        )
        of = "matrices" if updates.spared is None else "weights of a group"
        name, formula = f"update of all {of} at once", f"{4 * rule.together} P"
        return (Line(name, formula, rule.together * most, "temporaries", _UPDATE),)
    assert rule.passing is not None
    if rule.leaves is None:
        most = max(rule.passing(each, alignment) for each in weights)
    else:
        most = _in_turn(net, weights, rule)
    name, formula = "update of the largest weight", f"{rule.name}: multiples of 4 n"
    return (Line(name, formula, most, "temporaries", _UPDATE),)


def _in_turn(net: Sized, weights: list[Weight], rule: Rule) -> int:
    """The most that exists while weights are moved one by one, each leaving something behind.

    Weights with decay are a group, and all others are another.
    """
    assert rule.passing is not None
    assert rule.leaves is not None
    alignment, most = net.symbols[0], 0
    for decays in (True, False):
        places: dict[str | int, list[Weight]] = {}
        for each in weights:
            if each.decays is decays:
                places.setdefault(each.part, []).append(each)
        # Heads for later tokens are the last of a network.
        places.get("tail", []).sort(key=lambda each: each.name.startswith("mtp."))
        behind = 0
        parts: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
        for part, count in parts:
            for each in places.get(part, []) * min(count, 2):
                most = max(most, behind + rule.passing(each, alignment))
                behind = rule.leaves(each, alignment)
    return most


def _narrow(weight: Weight, updates: Updates, alignment: int) -> int:
    """One weight in fp32, its gradient, and the halves that it is cut into.

    Cutting needs 5 numbers of 4 bytes for ``split``, 4 1/2 for the others.
    """
    rule = updates.rule
    exact = up(4 * weight.numbers, alignment)
    inside = rule.together * exact if rule.passing is None else rule.passing(weight, alignment)
    inside += replaced(weight, rule, alignment)
    if weight.kept == 4:
        return exact + inside
    halves = 10 if updates.rounding == "split" else 9
    return max(halves * exact // 2, 2 * exact + inside)

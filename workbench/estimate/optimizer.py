"""What each optimizer keeps for a weight, and what it needs while it moves one.

As `workbench.training.optim` writes them, statement by statement; states are fp32, and what there
is one of per tensor, such as the step, is a tensor of its own. Gradients live until the update is
done, so what an update needs on the side comes on top of them (`tests/estimate` compares the sums
with the tracer).

Shapes: n numbers of a tensor, R rows and C columns of its last two dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import TrainingConfig
    from workbench.estimate.tensors import Weight

_BLOCK = 256
"""Numbers that share a scale in AdamW with 8 bits (`optim/adamw_8bit.py`)."""

_SMALL = 4096
"""Tensors with fewer numbers keep their moments in fp32 there."""

_VALUES = 511 * 4 + 1024
"""Its table of values, and the middles between them, on the device."""

_NOT_HIDDEN = ("embedding", "lm_head", "router", "head")
"""Matrices that Muon leaves to AdamW, by name (`optim/groups.py`)."""


class Kept(NamedTuple):
    """States of one tensor.

    Attributes:
        text: What they are.
        formula: Bytes, in symbols.
        bytes: Their sum.
    """

    text: str
    formula: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What an optimizer keeps and needs.

    Attributes:
        name: The value of ``training.optimizer`` that the trainer takes it for.
        copies: Numbers of the size of each weight, in fp32; about, where `states` says it exactly.
        counters: Scalars per tensor on the device.
        text: The states by name.
        states: The states of one tensor where they depend on its shape.
        passing: Bytes on the side while one tensor is moved, by the tensor and the alignment.
        together: fp32 numbers on the side for each weight where all are moved at once.
        leaves: Bytes that moving a tensor leaves behind until the next one of its group is done.
    """

    name: str
    copies: float
    counters: int
    text: str
    states: Callable[[Weight, int], Kept] | None = None
    passing: Callable[[Weight, int], int] | None = None
    together: int = 0
    leaves: Callable[[Weight, int], int] | None = None

    @property
    def plain(self) -> bool:
        """Whether an update needs nothing on the side."""
        return self.passing is None and not self.together

    def on_a_row(self, *, decayed: bool) -> int:
        """fp32 numbers on the side for each number of one long row of weights.

        Args:
            decayed: Whether they are pulled towards zero.
        """
        if self.name == "adagrad" and not self.together:
            return 1 + (decayed and self.passing is _root_and_gradient)
        return {"lion": 1, "adagrad": self.together}.get(self.name, 0)


def rule_of(training: TrainingConfig, *, cpu: bool, sharded: bool = False) -> Rule:
    """The rule of ``training.optimizer``.

    What is not built has been told, and is AdamW (`optim/make.py`).

    Args:
        training: The section.
        cpu: Whether a CPU updates; on a GPU torch's Adagrad moves all tensors at once.
        sharded: Whether FSDP has the weights, for which SGD has no fused kernel.
    """
    return _rule(
        training.optimizer,
        nesterov=training.nesterov,
        momentum=training.momentum != 0,
        decayed=training.weight_decay > 0,
        amsgrad=training.amsgrad,
        cpu=cpu,
        sharded=sharded,
    )


@lru_cache(maxsize=256)
def _rule(
    name: str,
    *,
    nesterov: bool,
    momentum: bool,
    decayed: bool,
    amsgrad: bool,
    cpu: bool,
    sharded: bool,
) -> Rule:
    passing = _muon_nesterov if nesterov else _muon_passing
    shaped = {
        "adafactor": Rule("adafactor", 0, 0, "", _adafactor_states, _adafactor_passing),
        "lamb": Rule("lamb", 2, 0, _MOMENTS, passing=_two_copies),
        "lion": Rule("lion", 1, 0, "mean of each gradient", passing=_one_copy),
        "muon": Rule("muon", 1, 0, "", _muon_states, passing),
        "adamw_8bit": Rule("adamw_8bit", 0.5, 0, "", _packed_states, _packed_passing),
    }
    if name in shaped:
        return shaped[name]
    if name == "adagrad":
        return _adagrad(decayed=decayed, cpu=cpu)
    if name == "sgd":
        return _sgd(momentum=momentum, nesterov=nesterov, decayed=decayed, cpu=cpu, sharded=sharded)
    copies = 3 if amsgrad else 2
    text = _MOMENTS + (", and the largest of these" if amsgrad else "")
    return Rule("adam" if name == "adam" else "adamw", copies, 1, text)


_MOMENTS = "mean and mean square of each gradient"


def _one_copy(weight: Weight, alignment: int) -> int:
    """Lion: the direction. Adagrad: the root, which its loop holds until it has the next."""
    return up(4 * weight.numbers, alignment)


def _two_copies(weight: Weight, alignment: int) -> int:
    """Adam's direction: the root, and the mean before it is divided by it."""
    return 2 * up(4 * weight.numbers, alignment)


def _root_and_gradient(weight: Weight, alignment: int) -> int:
    """Adagrad one by one: the root, and the gradient with decay."""
    return (2 if weight.decays else 1) * up(4 * weight.numbers, alignment)


def _adagrad(*, decayed: bool, cpu: bool) -> Rule:
    text = "sum of the squares of each gradient"
    if not cpu:
        return Rule("adagrad", 1, 1, text, together=2)
    passing = _root_and_gradient if decayed else _one_copy
    return Rule("adagrad", 1, 1, text, passing=passing, leaves=_one_copy)


def _sgd(*, momentum: bool, nesterov: bool, decayed: bool, cpu: bool, sharded: bool) -> Rule:
    copies = 1 if momentum else 0
    if not sharded or not (decayed or nesterov):
        return Rule("sgd", copies, 0, "momentum")
    if cpu:
        both = decayed and nesterov
        return Rule("sgd", copies, 0, "momentum", passing=_two_copies if both else _one_copy)
    return Rule("sgd", copies, 0, "momentum", together=1)


def _adafactor_states(weight: Weight, alignment: int) -> Kept:
    if len(weight.shape) < 2:
        return Kept("mean square of each gradient", "4 P", up(4 * weight.numbers, alignment))
    *stack, rows, columns = weight.whole
    matrices = 1
    for each in stack:
        matrices *= each
    size = up(4 * matrices * rows, alignment) + up(4 * matrices * columns, alignment)
    return Kept("sums of squares by row and by column", "4 (R + C)", size)


def _adafactor_passing(weight: Weight, alignment: int) -> int:
    """The squares and their sums, then the update and its factors; of a vector both at once."""
    exact = up(4 * weight.numbers, alignment)
    if len(weight.shape) < 2:
        return 2 * exact
    return exact + _adafactor_states(weight, alignment).bytes


def _hidden(weight: Weight) -> bool:
    return weight.is_matrix and not any(part in weight.name for part in _NOT_HIDDEN)


def _muon_states(weight: Weight, alignment: int) -> Kept:
    if _hidden(weight):
        return Kept("momentum of matrices", "4 P", up(4 * weight.numbers, alignment))
    return Kept(_MOMENTS, "8 P", 2 * up(4 * weight.numbers, alignment))


def _muon_passing(weight: Weight, alignment: int) -> int:
    """Newton-Schulz iterations in bf16 on the whole matrix, and their result in fp32."""
    if not _hidden(weight):
        return _two_copies(weight, alignment)
    *stack, rows, columns = weight.whole
    matrices = 1
    for each in stack:
        matrices *= each
    short = min(rows, columns)
    y = up(2 * matrices * rows * columns, alignment)
    gram = up(2 * matrices * short * short, alignment)
    exact = up(4 * matrices * rows * columns, alignment)
    most = max(2 * y + 4 * gram, 4 * y + gram, y + exact)
    if weight.divided:
        # The whole momentum, gathered; then its own part of the result.
        most += exact
    return most


def _muon_nesterov(weight: Weight, alignment: int) -> int:
    """The momentum one step ahead lies beside the iterations."""
    ahead = up(4 * weight.numbers, alignment) if _hidden(weight) else 0
    return ahead + _muon_passing(weight, alignment)


def _blocks(weight: Weight) -> tuple[int, int]:
    """Numbers with each row filled up to whole blocks, and the blocks."""
    columns = weight.shape[-1]
    blocks = weight.numbers // columns * -(-columns // _BLOCK)
    return blocks * _BLOCK, blocks


def _in_8_bits(weight: Weight) -> bool:
    numbers = 1
    for each in weight.whole:
        numbers *= each
    return numbers >= _SMALL and len(weight.shape) > 1


def _packed_states(weight: Weight, alignment: int) -> Kept:
    if not _in_8_bits(weight):
        return Kept(f"{_MOMENTS} of small tensors", "8 P", 2 * up(4 * weight.numbers, alignment))
    _, blocks = _blocks(weight)
    size = 2 * (up(weight.numbers, alignment) + up(4 * blocks, alignment))
    return Kept(f"{_MOMENTS} in 8 bits", f"2 (P + 4 P / {_BLOCK})", size)


def replaced(weight: Weight, rule: Rule, alignment: int) -> int:
    """New states of the first moment beside the old ones, where somebody still holds these."""
    if rule.name != "adamw_8bit" or not _in_8_bits(weight):
        return 0
    return _packed_states(weight, alignment).bytes // 2


def _packed_passing(weight: Weight, alignment: int) -> int:
    """Packing the second moment: both in fp32, blocks, unit blocks, and their codes twice."""
    exact = up(4 * weight.numbers, alignment)
    if not _in_8_bits(weight):
        return 2 * exact
    padded, blocks = _blocks(weight)
    wide, codes, scale = (up(each, alignment) for each in (4 * padded, padded, 4 * blocks))
    return 2 * exact + 3 * wide + codes + scale + _VALUES

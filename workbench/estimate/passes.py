"""Products of a forward and a backward pass: who multiplies what, and whose gradient is wanted.

A matrix product of n rows with a matrix of i inputs and o outputs takes 2 n i o FLOPs forwards, as
much again for the gradient of its rows where somebody before it learns, and as much for the
gradient of the matrix where it is trained itself. What is frozen, and has nothing to learn before
it, has no backward pass at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.estimate.amounts import Amount


class Layer(NamedTuple):
    """A linear layer inside its part of a network (`workbench.config.linears.Linear`).

    Attributes:
        name: Its name inside the part.
        inputs: Width of what it reads.
        outputs: Width of what it makes.
        bias: Whether it has one.
    """

    name: str
    inputs: Amount
    outputs: Amount
    bias: bool


class Adapters(NamedTuple):
    """Adapters of linear layers.

    Attributes:
        rank: Their rank.
        bias: Which biases learn beside them.
    """

    rank: Amount
    bias: str


class Work(NamedTuple):
    """FLOPs of one kind.

    Attributes:
        forward: Of the forward pass.
        backward: Of the backward pass, as the kernels count it.
        plain: Of the backward pass, without what a fused attention computes a second time.
        met: Of the forward pass, attention over those positions alone that the kernel meets.
        met_backward: The same of the backward pass.
    """

    forward: Amount | int
    backward: Amount | int
    plain: Amount | int
    met: Amount | int
    met_backward: Amount | int

    def times(self, number: Amount | int) -> Work:
        """The same so many times."""
        one, two, three, four, five = self
        return Work(number * one, number * two, number * three, number * four, number * five)

    def plus(self, other: Work) -> Work:
        """Both."""
        return Work(
            self[0] + other[0],
            self[1] + other[1],
            self[2] + other[2],
            self[3] + other[3],
            self[4] + other[4],
        )


class Pairs(NamedTuple):
    """Queries and keys that meet in one attention of a micro-batch.

    Attributes:
        square: Queries times keys, over all sequences.
        met: Those that the kernel computes: about half of them where it skips what is masked.
        fused: Whether its backward pass computes the scores again instead of keeping them.
    """

    square: Amount
    met: Amount
    fused: bool


@dataclass
class Pass:
    """A part of the network: its work by kind, and what a recomputation of it would take.

    Attributes:
        adapted: Names of the layers that have an adapter.
        lora: The adapters; None when every weight is trained.
        work: The work by kind.
        last: Forward FLOPs of the last product: nobody needs its result, so a recomputation stops
            before it (`torch.utils.checkpoint`, early stop).
        wanted: Whether any gradient is wanted.
    """

    adapted: frozenset[str]
    lora: Adapters | None
    work: dict[str, Work] = field(default_factory=dict)
    last: Amount | int = 0
    wanted: bool = False

    def add(self, kind: str, forward: Amount, backward: Amount | int) -> None:
        """Products that no attention is among."""
        self.put(kind, Work(forward, backward, backward, forward, backward))

    def put(self, kind: str, work: Work) -> None:
        """Work of a kind."""
        before = self.work.get(kind)
        self.work[kind] = work if before is None else before.plus(work)

    def linear(self, kind: str, layer: Layer, rows: Amount, *, x: bool) -> bool:
        """A linear layer with its adapter.

        Args:
            kind: What it is counted under.
            layer: The layer.
            rows: Rows that go through it.
            x: Whether the gradient of the rows is wanted.

        Returns:
            Whether the gradient of its result is wanted.
        """
        flops = 2 * rows * layer.inputs * layer.outputs
        self.last = flops
        lora = self.lora
        if lora is None:
            self.add(kind, flops, (1 + x) * flops)
            self.wanted = True
            return True
        self.add(kind, flops, x * flops)
        adapted = layer.name in self.adapted
        if adapted:
            into, out = 2 * rows * lora.rank * layer.inputs, 2 * rows * lora.rank * layer.outputs
            self.add("adapters", into + out, (1 + x) * into + 2 * out)
            self.last = out
        biased = layer.bias and (lora.bias == "all" or (lora.bias == "lora_only" and adapted))
        wanted = x or adapted or biased
        self.wanted |= wanted
        return wanted

    def attend(
        self,
        pairs: Pairs,
        heads: Amount,
        key: Amount,
        value: Amount,
        *,
        qkv: tuple[bool, bool, bool],
    ) -> bool:
        """Scores, and the sum of the values that they weigh.

        Fused, all three gradients come out of five products (`torch.utils.flop_counter`,
        ``sdpa_backward_flop_count``); else each product has two, where they are wanted.
        """
        q, k, v = qkv
        each = 2 * heads
        forward = each * (key + value)
        plain = each * ((q + k) * key + ((q or k) + v) * value)
        backward = plain
        if pairs.fused and any(qkv):
            backward = each * (3 * key + 2 * value)
        self.put(
            "attention",
            Work(
                pairs.square * forward,
                pairs.square * backward,
                pairs.square * plain,
                pairs.met * forward,
                pairs.met * backward,
            ),
        )
        self.last = 0
        self.wanted |= any(qkv)
        return any(qkv)

    def forward(self) -> tuple[Amount | int, Amount | int]:
        """FLOPs of the forward pass: attention as a square, and as the kernel meets it."""
        found = self.work.values()
        return sum(work.forward for work in found), sum(work.met for work in found)

"""A part of the network with its backward pass, recorded once and turned into closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.tape.autograd import Boundary, Region, backward
from workbench.estimate.tape.compile import Entry, Tally, compile_sums, largest
from workbench.estimate.tape.tensor import Tape, size_of_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Parameter, Tensor

KEPT = frozenset({"product", "attention"})
"""What ``selective`` keeps: matrix products and attention."""


class Sizes(NamedTuple):
    """Bytes of a segment.

    Attributes:
        saved: Kept between the forward and the backward pass, the input included.
        forward: The largest moment of the forward pass, the input included.
        backward: The largest moment of the backward pass.
        gradients: The gradients that it leaves behind.
        weights: The weights between steps.
        shard: The part of the fp32 weights on the first of N devices that share each of them.
        whole: All of the weights as they are gathered for computing: padded to N equal parts.
        numbers: Number of weights.
    """

    saved: int
    forward: int
    backward: int
    gradients: int
    weights: int
    shard: int
    whole: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What a part of the network allocates.

    Attributes:
        name: What it is.
        parameters: (name, shape) of its weights.
        groups: The moments behind each of `Sizes`.
        evaluate: `Sizes` as a tuple, from the symbols.
        kept: Bytes of an element of each weight between steps.
    """

    name: str
    parameters: tuple[tuple[str, tuple[Dim, ...]], ...]
    groups: dict[str, tuple[Tally, ...]]
    evaluate: Callable[..., tuple[int, ...]]
    kept: tuple[int, ...] = ()


def record(
    name: str,
    s: Structure,
    run: Callable[..., Any],
    *,
    has_input: bool = True,
    takes_input: bool = False,
    recomputed: bool = False,
    accumulating: bool = False,
    waiting: bool = False,
    weight_width: int = 4,
) -> Segment:
    """Run a part forwards and backwards and keep what it held at each moment.

    Args:
        name: What it is.
        s: The structure.
        run: Builds the part from its input; its result is a tensor, or one with what it leaves
            behind for all blocks.
        has_input: Whether something comes before it.
        takes_input: Whether nobody else holds its input, so that the part can let go of it; it is
            then called with a list that holds the only reference.
        recomputed: Whether its backward pass computes it again.
        accumulating: Whether gradients of earlier micro-batches exist.
        waiting: Whether those are given up one by one, as each is copied into its bucket.
        weight_width: Bytes of an element of its weights while it computes.
    """
    half = s.weights == "half"
    tape = Tape(
        accumulating=accumulating,
        weight_width=2 if half else weight_width,
        kept_width=2 if half else 4,
        narrow=s.weights == "narrow",
    )
    boundary = Boundary(tape) if has_input else None
    given = [tape.new(("B", "T", "D"), s.width, "residual stream", boundary)] if has_input else []
    if recomputed:
        y, left = _checkpointed(tape, s, run, given[0]), None
    else:
        found = run(tape, given if takes_input or not given else given[0])
        y, left = found if isinstance(found, tuple) else (found, None)
        del found
    given.clear()
    root = y.node
    assert root is not None, "a part of the network has something to learn"
    assert y.storage is not None, "a part of the network makes a tensor"
    forward = tape.cut()
    saved = tape.live & ~y.storage.bit
    shape, width = y.shape, y.width
    del y
    if waiting:
        for parameter in tape.parameters:
            if not parameter.shared:
                label = f"gradient of {parameter.name} from earlier micro-batches"
                parameter.waiting = tape.new(parameter.shape, 4, label)
        tape.cut()
    start = [tape.new(shape, width, "gradient of the residual stream")]
    backward(tape, root, start.pop())
    del root, left
    result = 0
    if boundary is not None and boundary.grad is not None and boundary.grad.storage is not None:
        result = boundary.grad.storage.bit
    gradients = tape.live & ~result

    def tallies(moments: list[int]) -> tuple[Tally, ...]:
        return tuple(Tally.of(tape, live, saved, gradients) for live in moments)

    # A recomputed part meets its weights twice.
    own = list({each.name: each for each in tape.parameters if not each.shared}.values())
    parameters = {each.name: each.shape for each in own}
    groups = {
        "saved": tallies([saved]),
        "forward": tallies(largest(tape, forward)),
        "backward": tallies(largest(tape, tape.cut())),
        "gradients": tallies([gradients]),
        **_weights(own),
    }
    count = "+".join(size_of_shape(shape, 1) for shape in parameters.values()) or "0"
    return Segment(
        name,
        tuple(parameters.items()),
        groups,
        compile_sums(groups, SYMBOLS, {"numbers": count}),
        tuple(each.kept for each in own),
    )


def _weights(parameters: list[Parameter]) -> dict[str, tuple[Tally, ...]]:
    """The weights, whole and cut along their first dimension over N devices."""
    whole, shard, gathered = [], [], []
    for each in parameters:
        name, shape = each.name, each.shape
        first = f"-(-({shape[0]})//N)"
        cut = (first, *shape[1:])
        whole.append(Entry(name, size_of_shape(shape, each.kept), 1, "weights"))
        shard.append(Entry(name, size_of_shape(cut, 4), 1, "weights"))
        gathered.append(Entry(name, size_of_shape((*cut, "N"), each.width), 1, "weights"))
    return {
        "weights": (Tally(tuple(whole)),),
        "shard": (Tally(tuple(shard)),),
        "whole": (Tally(tuple(gathered)),),
    }


def _checkpointed(tape: Tape, s: Structure, run: Callable[..., Any], x: Tensor) -> Tensor:
    """The part as `workbench.models.recompute` calls it."""
    keeps = KEPT if s.recompute == "selective" else frozenset[str]()

    def again() -> None:
        held = x.detach()
        held.node, held.needs_grad = Boundary(tape), True
        run(tape, held)

    region = Region(tape, again, keeps)
    tape.region = region
    y: Tensor = run(tape, x)
    tape.region = None
    return y

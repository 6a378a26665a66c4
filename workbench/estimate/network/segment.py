"""A part of the network with its backward pass, recorded once and turned into closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.estimate.tape.autograd import Boundary, Node, Region, backward
from workbench.estimate.tape.compile import Tally, compile_sums, largest
from workbench.estimate.tape.tensor import Tape, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim

KEPT = frozenset({"product", "attention"})
"""What ``selective`` keeps: matrix products and attention."""

SYMBOLS = ["A", "B", "T", "D", "H", "G", "K", "R", "R2", "F", "V", "P", "C", "Z"]


@dataclass(frozen=True)
class Segment:
    """What a part of the network allocates.

    Attributes:
        parameters: (name, shape) of its weights.
        saved: What exists between its forward and its backward pass, its input included.
        forward: Moments of the forward pass, its input included.
        backward: Moments of the backward pass.
        gradients: The gradients of its weights.
        evaluate: ``(saved, forward, backward, gradients)`` in bytes, from the symbols.
    """

    parameters: tuple[tuple[str, tuple[Dim, ...]], ...]
    saved: Tally
    forward: list[Tally]
    backward: list[Tally]
    gradients: Tally
    evaluate: Callable[..., tuple[int, int, int, int]]


def record(
    s: Structure,
    run: Callable[..., Any],
    *,
    has_input: bool = True,
    takes_input: bool = False,
    recomputed: bool = False,
    accumulating: bool = False,
) -> Segment:
    """Run a part forwards and backwards and keep what it held at each moment.

    Args:
        s: The structure.
        run: Builds the part from its input; its result is a tensor, or one with what it leaves
            behind for all blocks.
        has_input: Whether something comes before it.
        takes_input: Whether nobody else holds its input, so that the part can let go of it; it is
            then called with a list that holds the only reference.
        recomputed: Whether its backward pass computes it again.
        accumulating: Whether gradients of earlier micro-batches exist.
    """
    tape = Tape(accumulating=accumulating)
    x = None
    boundary = None
    if has_input:
        boundary = Boundary(tape)
        x = tape.new(("B", "T", "D"), s.width, "residual stream", boundary)
    if recomputed:
        y, left = _checkpointed(tape, s, run, x), None
    else:
        if takes_input:
            given = [x]
            del x
            found = run(tape, given)
            x = None
        else:
            found = run(tape, x)
        y, left = found if isinstance(found, tuple) else (found, None)
        del found
    del x
    out_bit = y.storage.bit
    root = y.node
    forward = tape.cut()
    saved = tape.live & ~out_bit
    y_shape, y_width = y.shape, y.width
    del y
    for parameter in tape.parameters:
        parameter.grad = None
    gradient = tape.new(y_shape, y_width, "gradient of the residual stream")
    start = [gradient]
    del gradient
    backward(tape, root, start.pop())
    del root
    if boundary is not None and boundary.grad is not None:
        result_bit = boundary.grad.storage.bit
    else:
        result_bit = 0
    moments = tape.cut()
    del left
    gradients = tape.live & ~result_bit
    tallies = {
        "saved": [Tally.of(tape, saved)],
        "forward": largest(tape, forward),
        "backward": largest(tape, moments),
        "gradients": [Tally.of(tape, gradients)],
    }
    names: dict[str, tuple[Dim, ...]] = {}
    for parameter in tape.parameters:
        names.setdefault(parameter.name, parameter.shape)
    return Segment(
        tuple(names.items()),
        tallies["saved"][0],
        tallies["forward"],
        tallies["backward"],
        tallies["gradients"][0],
        compile_sums(tallies, SYMBOLS),
    )


def _checkpointed(tape: Tape, s: Structure, run: Any, x: Tensor | None) -> Tensor:
    """The part as `workbench.models.recompute` calls it."""
    assert x is not None, "a recomputed part has an input"
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

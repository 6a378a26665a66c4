"""A part of the network with its backward pass, recorded once and turned into closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from workbench.estimate.network.sizes import (
    Segment,
    buffers_of,
    made_of,
    trained_of,
    weights_of,
)
from workbench.estimate.network.steps import Steps
from workbench.estimate.tape.autograd import Boundary, Region, backward
from workbench.estimate.tape.compile import Tally, largest
from workbench.estimate.tape.modules import Modules
from workbench.estimate.tape.tensor import Tape, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.autograd import Node
    from workbench.estimate.tape.events import Event
    from workbench.estimate.tape.tensor import Adapters, Dim

    Left = dict[str, Tensor] | list[Tensor] | None

KEPT = frozenset({"product", "attention"})
"""What ``selective`` keeps: matrix products and attention."""


class Ends(TypedDict):
    """How gradients of earlier micro-batches are met; as `record` takes them."""

    accumulating: bool
    waiting: bool


class Extra(NamedTuple):
    """What a block reads besides the residual stream, and all blocks share.

    Attributes:
        label: What it is.
        shape: Its shape.
        width: Bytes of an element.
        kept: Whether something keeps it for the backward pass; it is then counted where it was
            made. What is not kept is gone when the forward pass is over.
        learns: Whether it has a gradient, which all blocks add to.
        waits: Whether there is one from later blocks when the backward pass begins.
        read: Whether blocks read it at all; else it is only there while they run.
    """

    label: str
    shape: tuple[Dim, ...]
    width: int
    kept: bool = True
    learns: bool = False
    waits: bool = False
    read: bool = True


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
    length: Dim = "T",
    extras: tuple[Extra, ...] = (),
    lora: Adapters | None = None,
    learns_before: bool = True,
) -> Segment:
    """Run a part forwards and backwards and keep what it held at each moment.

    Args:
        name: What it is.
        s: The structure.
        run: Builds the part from its input and the extras; its result is a tensor, or one with
            what it leaves behind for all blocks, with what else gets gradients from them, and
            with what exists until the next micro-batch.
        has_input: Whether something comes before it.
        takes_input: Whether nobody else holds its input, so that the part can let go of it; it is
            then called with a list that holds the only reference.
        recomputed: Whether its backward pass computes it again.
        accumulating: Whether gradients of earlier micro-batches exist.
        waiting: Whether those are given up one by one, as each is copied into its bucket.
        weight_width: Bytes of an element of its weights while it computes.
        length: Positions of its input.
        extras: What else it reads.
        lora: Its adapters; None: all of its weights learn.
        learns_before: Whether anything before it learns.
    """
    tape = _tape(s, lora, accumulating=accumulating, weight_width=weight_width)
    boundary = Boundary(tape) if has_input and learns_before else None
    shape: tuple[Dim, ...] = ("B", length, "D")
    given = [tape.new(shape, s.width, "residual stream", boundary)] if has_input else []
    others = [_extra(tape, each) for each in extras if each.read]
    beside: list[Tensor] = []
    # What a part that lets go of its input does not read goes with it.
    (given if takes_input else beside).extend(
        _extra(tape, each) for each in extras if not each.read
    )
    begin, learning = tape.live, [each.node for each in others if each.node is not None]
    if recomputed:
        y, left, roots, behind = checkpointed(tape, s, run, given[0], others)
    else:
        source = given if takes_input or not given else given[0]
        y, left, roots, behind = _results(run(tape, source, *others))
        del source
    ends = [(each.node, each.shape, each.width) for each in roots if each.node is not None]
    del roots
    for every in (given, others, beside):
        every.clear()
    root = y.node
    assert y.storage is not None, "a part of the network makes a tensor"
    tape.passing.clear()
    seen, onwards = _events(tape), tape.cut()
    forward, after_router = _divided(onwards, tape.marks, "router")
    saved, shape, width = tape.live & ~y.storage.bit, y.shape, y.width
    lasting = saved & ~_moved(s, left)
    del y
    if waiting:
        _wait(tape)
    del left
    held = _from_later_blocks(tape, learning, extras)
    more = (
        [] if root is None else [(root, tape.new(shape, width, "gradient of the residual stream"))]
    )
    more += [
        (node, tape.new(size, each, "gradient of what blocks share")) for node, size, each in ends
    ]
    ends.clear()
    tape.marks.clear()
    if more:
        backward(tape, more, held=held)
    else:  # nothing learns, here or before
        tape.cut()
    tape.passing.clear()
    del root
    moments = tape.cut()
    steps = Steps(tape, moments, _events(tape), saved)
    before, in_router, last = _phases(moments, tape.marks)
    handed_on = _bits(each.grad for each in (boundary, *learning) if isinstance(each, Boundary))
    after = _bits(behind)
    gradients = tape.live & ~handed_on & ~after

    def tallies(moments: list[int]) -> tuple[Tally, ...]:
        return tuple(Tally.of(tape, live, saved, gradients) for live in moments)

    # A recomputed part meets its weights twice.
    own = list({each.name: each for each in tape.parameters if not each.shared}.values())
    groups = {
        "saved": tallies([saved]),
        "saved_late": tallies([lasting]),
        "start": tallies([begin]),
        "forward": tallies(largest(tape, forward)),
        "backward": tallies(largest(tape, before)),
        "gradients": tallies([gradients]),
        **weights_of(own),
        "lasting": tallies([_bits(p.grad for p in tape.parameters if not p.shared)]),
        "buffers": (buffers_of(tape),),
        "behind": tallies([after]),
        **trained_of(own),
        "arrival": tallies(largest(tape, tape.arrivals)),
        "forward_late": tallies(largest(tape, after_router)),
        "at_router": tallies(before[-1:] if in_router else []),
        "backward_router": tallies(largest(tape, in_router)),
        "backward_late": tallies(largest(tape, last)),
    }
    ahead = Steps(tape, onwards, seen, saved) if s.follows else None
    return made_of(name, own, groups, steps, tape, ahead, sharded=s.sharded)


def _events(tape: Tape) -> tuple[Event, ...]:
    """What an engine has seen since it was asked last: at the least the gradients."""
    return tuple(tape.came) if tape.modules is None else tape.modules.cut()


def _tape(s: Structure, lora: Adapters | None, *, accumulating: bool, weight_width: int) -> Tape:
    half = s.weights == "half"
    tape = Tape(
        accumulating=accumulating,
        weight_width=2 if half else weight_width,
        kept_width=2 if half else 4,
        narrow=s.weights == "narrow",
    )
    tape.lora = lora
    tape.offload = s.offload
    if s.follows:
        tape.modules = Modules(tape)
    return tape


def _results(found: Any) -> tuple[Tensor, Left, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What a part made, what it leaves behind, what else gets gradients, and what stays."""
    if not isinstance(found, tuple):
        return found, None, (), ()
    y, left, *rest = found
    return y, left, rest[0] if rest else (), rest[1] if len(rest) > 1 else ()


def _moved(s: Structure, left: Left) -> int:
    """Of what a part has left behind, what is copied to the host by all who keep it.

    Who computes again keeps what it was called with.
    """
    if s.offload is None or s.recompute != "none":
        return 0
    shared = left.values() if isinstance(left, dict) else left or ()
    return _bits(each for each in shared if s.offload.moves(each))


def _wait(tape: Tape) -> None:
    """Gradients of earlier micro-batches, beside their buckets."""
    for parameter in tape.parameters:
        if not parameter.shared and parameter.trained:
            label = f"gradient of {parameter.name} from earlier micro-batches"
            parameter.waiting = tape.new(parameter.shape, parameter.kept, label)
    tape.cut()


def _from_later_blocks(
    tape: Tape, learning: list[Node], extras: tuple[Extra, ...]
) -> list[tuple[Node, Tensor]]:
    """Gradients that have arrived at what blocks share."""
    return [
        (node, tape.new(each.shape, each.width, f"gradient of {each.label} from later blocks"))
        for node, each in zip(learning, (e for e in extras if e.learns), strict=True)
        if each.waits
    ]


def _bits(tensors: Iterable[Tensor | None]) -> int:
    """The storages of tensors."""
    found = 0
    for each in tensors:
        if each is not None and each.storage is not None:
            found |= each.storage.bit
    return found


def _divided(moments: list[int], marks: dict[str, int], name: str) -> tuple[list[int], list[int]]:
    """The moments before and after a mark; all of them are before one that was never set."""
    place = marks.get(name, len(moments))
    return moments[:place], moments[place:]


def _phases(moments: list[int], marks: dict[str, int]) -> tuple[list[int], list[int], list[int]]:
    """The moments of a backward pass before, in, and after that of a router."""
    rest, last = _divided(moments, marks, "router, reduced")
    before, inside = _divided(rest, marks, "router, backward")
    return before, inside, last


def _extra(tape: Tape, extra: Extra) -> Tensor:
    node = Boundary(tape) if extra.learns else None
    if extra.kept:
        return Tensor(None, extra.shape, extra.width, node)
    return tape.new(extra.shape, extra.width, extra.label, node)


def checkpointed(
    tape: Tape, s: Structure, run: Callable[..., Any], x: Tensor, others: list[Tensor]
) -> tuple[Tensor, None, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The part as `workbench.models.recompute` calls it."""
    keeps = KEPT if s.recompute == "selective" else frozenset[str]()
    reads = list(others)
    kept, learns = tape.keep(x), x.needs_grad

    def again() -> None:
        held = tape.fetch(kept).detach()
        if learns:
            held.node, held.needs_grad = Boundary(tape), True
        run(tape, held, *reads)

    region = Region(tape, again, keeps, draws=s.cpu)
    tape.region = region
    found = run(tape, x, *others)
    tape.region = None
    if not isinstance(found, tuple):
        return found, None, (), ()
    y, _, roots, behind = found
    return y, None, roots, behind

"""`workbench.models.mtp` on paper: heads for later tokens, and their losses, inside the tail.

Shapes: B sequences, T positions, D width, HI inner width of a head, C tokens of a chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.linear import linear
from workbench.estimate.network.mtp_fetch import Chain
from workbench.estimate.network.norm import norm
from workbench.estimate.network.segment import checkpointed
from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Boundary
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import dropout
from workbench.estimate.tape.ops_plain import step
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape

_BTD: tuple[Dim, ...] = ("B", "T", "D")


def ahead(
    tape: Tape, hidden: Tensor, s: Structure, run: Callable[..., Tensor], *, apart: bool
) -> list[Tensor]:
    """What each head makes of the last hidden state.

    Args:
        tape: The tape.
        hidden: The hidden state.
        s: The structure.
        run: A block of the network, without what it reports.
        apart: Whether the embedding is a tensor of its own beside the residual stream.
    """
    m = s.mtp
    assert m is not None
    source = None
    if tape.lora is None:
        # Its gradient waits for that of the embedding itself.
        source = Boundary(tape)
        tape.ends.append(source)
    width = 2 if s.weights == "half" else 4
    exact = Tensor(None, _BTD, width, source)
    if apart:
        exact = tape.new(_BTD, width, "embedded tokens", source)
    embedded = exact
    embedded = ops.cast(tape, embedded, hidden.width, "embedded tokens in the compute dtype")
    found, known = [], hidden
    chain = (
        None if m.travels is None else Chain(tape, m.travels, routed=m.routed and m.kind == "block")
    )

    def unit(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return run if chain is None else chain.call(run)

    for place in range(len(m.chunks)):
        tape.path = f"mtp.{place}."
        if m.kind == "block":
            later = _shifted(tape, embedded, place + 1)
            known = _call(tape, s, unit(_join(s, run)), known, later)
            del later
            found.append(known)
        else:
            found.append(_call(tape, s, unit(_head(s)), hidden))
    tape.path = ""
    del exact, embedded
    return found


def _call(tape: Tape, s: Structure, run: Callable[..., Tensor], x: Tensor, *more: Tensor) -> Tensor:
    if s.recompute == "none":
        return run(tape, x, *more)
    path = tape.path

    def again(tape: Tape, x: Tensor, *more: Tensor) -> Tensor:
        before, tape.path = tape.path, path
        try:
            return run(tape, x, *more)
        finally:
            tape.path = before

    return checkpointed(tape, s, again, x, list(more))[0]


def _shifted(tape: Tape, embedded: Tensor, distance: int) -> Tensor:
    """The embedding of a later token; zeros where there is none."""
    rest = ("B", f"T-{distance}", "D")
    part = ops.piece(tape, embedded, rest)
    return step(tape, part, _BTD, embedded.width, "embedding of later tokens")


def _join(s: Structure, run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`AheadBlock`."""

    def call(tape: Tape, known: Tensor, later: Tensor) -> Tensor:
        known, later = enter(tape, "head", known, later)
        first = norm(tape, later, "embedding_norm", s)
        second = norm(tape, known, "hidden_norm", s)
        both = ops.joined(tape, first, second, ("B", "T", "2*D"))
        x = linear(tape, both, "join_proj", "2*D", "D")
        del both
        y = run(tape, x)
        del x
        y = _dropped(tape, y, s)
        result = norm(tape, y, "norm", s)
        del first, second
        return leave(tape, "head", result)[0]

    return call


def _head(s: Structure) -> Callable[..., Tensor]:
    """`AheadHead`."""
    m = s.mtp
    assert m is not None

    def call(tape: Tape, hidden: Tensor) -> Tensor:
        (hidden,) = enter(tape, "head", hidden)
        y, inner = hidden, "D"
        if m.kind == "mlp":
            inner = "HI"
            up = linear(tape, hidden, "up_proj", "D", inner, bias=True)
            y = ops.elementwise(tape, up, "activation of a head")
            del up
        y = _dropped(tape, linear(tape, y, "down_proj", inner, "D", bias=True), s)
        result = ops.add(tape, hidden, y, "hidden states of later tokens")
        return leave(tape, "head", result)[0]

    return call


def _dropped(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    assert s.mtp is not None
    return dropout(tape, x, cpu=s.cpu) if s.mtp.dropout else x


def rest_of(tape: Tape, hidden: Tensor, distance: int, *, several: bool) -> Tensor:
    """The positions that have a token so far ahead, in a row."""
    shape = ("B", f"T-{distance}", "D")
    part = ops.piece(tape, hidden, shape)
    if not several:
        return part
    return ops.make(
        tape, (part,), shape, part.width, "hidden states with a later token", back=_same
    )


def targets_of(tape: Tape, distance: int, s: Structure) -> Tensor | None:
    """`workbench.training.objective.targets_ahead`, in a row; None: a view of the targets."""
    shape = ("B", f"T-{distance}")
    if s.options.documents:
        same = tape.new(shape, 1, "who is in the same document")
        found = tape.new(shape, 8, "targets of later tokens")
        del same
        return found
    assert s.mtp is not None
    return tape.new(shape, 8, "targets of later tokens") if s.mtp.several else None


def _same(_node: object, grad: Tensor) -> tuple[Tensor, ...]:
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)


def last_chunk(distance: int) -> str:
    """Tokens of the last chunk of a distance's loss."""
    tokens = f"B*(T-{distance})"
    return f"({tokens}-(-(-({tokens})//C)-1)*C)"

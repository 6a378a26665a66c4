"""The parts of a t5: which kinds of block it has, and their closed forms.

Gradients of what blocks share begin with the last block of a stack, which is therefore a kind of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.lora import Kind, name_of
from workbench.estimate.network.segment import Ends, record
from workbench.estimate.network.sight import lent
from workbench.estimate.network.t5 import block, front, middle, tail
from workbench.estimate.network.t5_shared import of_decoder, of_encoder

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.estimate.network.sizes import Segment
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape, Tensor

_KINDS = (
    Kind(stack="encoder"),
    Kind(stack="encoder", last=True),
    Kind(stack="between"),
    Kind(stack="decoder"),
    Kind(stack="decoder", last=True),
)
"""The kinds where every weight learns."""


def kinds_of(s: Structure) -> tuple[Kind, ...]:
    """The kinds of block, those of the encoder first."""
    return _KINDS if s.lora is None else s.lora.kinds


def middle_of(s: Structure) -> int:
    """The kind of what lies between the stacks: it stands among the blocks and is none."""
    return next(place for place, kind in enumerate(kinds_of(s)) if kind.stack == "between")


def runs(model: ModelConfig) -> tuple[tuple[int, int], ...]:
    """The kinds of block in their order, every weight learning: encoder, between, decoder."""
    read, written = model.num_encoder_layers or model.num_layers, model.num_layers
    rows = ((0, read - 1), (1, 1), (2, 1), (3, written - 1), (4, 1))
    return tuple((kind, count) for kind, count in rows if count)


def parts(
    s: Structure, *, accumulating: bool, waiting: bool
) -> tuple[Segment, tuple[Segment, ...], Segment]:
    """The closed forms of what comes before the encoder, of all kinds of block, and of the end."""

    def front_(tape: Tape, given: list[Tensor]) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
        del given
        return front(tape, s)

    def reads(tape: Tape, x: Tensor, mask: Tensor) -> Tensor:
        return block(tape, x, s, mask, "S")

    def writes(
        tape: Tape, x: Tensor, mask: Tensor, memory: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        return block(tape, x, s, mask, "T", memory, seen)

    def middle_(tape: Tape, given: list[Tensor]) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
        return middle(tape, given, s)

    def tail_(tape: Tape, given: list[Tensor]) -> Tensor:
        return tail(tape, given, s)

    ends: Ends = {"accumulating": accumulating, "waiting": waiting}
    adapted = s.lora
    nothing = None if adapted is None else adapted.adapters()

    def kind(each: Kind) -> Segment:
        if each.stack == "between":
            return record(
                "encoder's end",
                s,
                middle_,
                takes_input=True,
                length="S",
                extras=lent(of_encoder(s, each)),
                lora=nothing,
                learns_before=each.before,
                **ends,
            )
        encodes = each.stack == "encoder"
        name = name_of(each, f"{each.stack} block")
        return record(
            f"last {name}" if each.last else name,
            s,
            reads if encodes else writes,
            recomputed=s.recompute != "none",
            weight_width=s.weight_width,
            length="S" if encodes else "T",
            extras=of_encoder(s, each) if encodes else of_decoder(s, each),
            lora=None if adapted is None else adapted.adapters(each.layers),
            learns_before=each.before,
            **ends,
        )

    return (
        record("embedding", s, front_, has_input=False, lora=nothing, **ends),
        tuple(kind(each) for each in kinds_of(s)),
        record(
            "loss",
            s,
            tail_,
            takes_input=True,
            extras=lent(of_decoder(s, kinds_of(s)[-1])),
            lora=nothing,
            learns_before=adapted is None or adapted.before_the_end,
            **ends,
        ),
    )

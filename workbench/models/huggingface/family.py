"""What one family of Hugging Face models is: its config in our words, its tensors by our names.

A family is a table of `Piece`s: the smallest groups of tensors that can be translated on their own.
Most are one tensor with two names; some are turned (GPT-2 stores its matrices on their side), some
are cut (GPT-NeoX stores queries, keys and values as one matrix), some are stacked (Mixtral stores
each expert apart). Because a piece is translated alone, no more than one is ever held twice.

Shapes: O rows of a matrix as PyTorch's linear layer has it, I columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

from workbench.config.huggingface.words import UnsupportedError

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

__all__ = [
    "Family",
    "Piece",
    "UnsupportedError",
    "joined",
    "joined_per_head",
    "same",
    "stacked",
    "turned",
]

Tensors: TypeAlias = list[torch.Tensor]
Change: TypeAlias = Callable[[Tensors], Tensors]


class Piece(NamedTuple):
    """Tensors that are translated together.

    The two functions must be made of views, ``cat`` and ``stack`` only: they are also run without
    data, to know shapes.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    to_ours: Change
    to_theirs: Change


class Family(NamedTuple):
    """A kind of model on the Hugging Face hub."""

    name: str
    """Its ``model_type`` in config.json."""
    architecture: str
    """The class of transformers that has the head we train."""
    read_config: Callable[[Mapping[str, Any]], dict[str, Any]]
    """Its config.json as keys of ``model``, dotted below (``rope_scaling.type``).

    Raises `UnsupportedError` for what we do not build."""
    write_config: Callable[[ModelConfig], dict[str, Any]]
    """The other way round; what the family cannot say is left out, which the caller notices."""
    pieces: Callable[[ModelConfig], list[Piece]]
    """The tensors of a network of that shape."""
    prefix: str = ""
    """What begins the name of every tensor but those of the head. A file that was saved without
    the head lacks it."""
    ignored: tuple[str, ...] = ()
    """Ends of the names of tensors that files may have and that no network of ours needs."""
    heads: tuple[str, ...] = ()
    """How the names of the last layers begin, ours and theirs: fine-tuning may want others than a
    file has. What it lacks then keeps its first weights, and what it has besides is left."""


def _as_is(tensors: Tensors) -> Tensors:
    return tensors


def _turn(tensors: Tensors) -> Tensors:
    return [each.t() for each in tensors]


def same(ours: str, theirs: str) -> Piece:
    """One tensor with two names."""
    return Piece((ours,), (theirs,), _as_is, _as_is)


def turned(ours: str, theirs: str) -> Piece:
    """A matrix that they store as (I, O)."""
    return Piece((ours,), (theirs,), _turn, _turn)


def joined(
    ours: Sequence[str], theirs: str, rows: Sequence[int], *, on_side: bool = False
) -> Piece:
    """Tensors that they store as one, below each other.

    Args:
        ours: Our names, in order.
        theirs: Their name.
        rows: How many rows each of ours has.
        on_side: Whether theirs is a matrix stored as (I, O).
    """

    def to_ours(tensors: Tensors) -> Tensors:
        (whole,) = _turn(tensors) if on_side else tensors
        return list(torch.split(whole, list(rows)))

    def to_theirs(tensors: Tensors) -> Tensors:
        whole = [torch.cat(tensors)]
        return _turn(whole) if on_side else whole

    return Piece(tuple(ours), (theirs,), to_ours, to_theirs)


def joined_per_head(ours: Sequence[str], theirs: str, heads: int) -> Piece:
    """Tensors that they store as one: head by head, the rows of each of ours for that head."""

    def to_ours(tensors: Tensors) -> Tensors:
        parts = torch.unflatten(tensors[0], 0, (heads, len(ours), -1)).unbind(1)
        return [part.flatten(0, 1) for part in parts]

    def to_theirs(tensors: Tensors) -> Tensors:
        parts = [torch.unflatten(each, 0, (heads, -1)) for each in tensors]
        return [torch.stack(parts, dim=1).flatten(0, 2)]

    return Piece(tuple(ours), (theirs,), to_ours, to_theirs)


def stacked(ours: str, theirs: Sequence[str]) -> Piece:
    """Tensors of one shape that we store as one, with a dimension more in front."""

    def to_ours(tensors: Tensors) -> Tensors:
        return [torch.stack(tensors)]

    def to_theirs(tensors: Tensors) -> Tensors:
        return list(tensors[0].unbind(0))

    return Piece((ours,), tuple(theirs), to_ours, to_theirs)

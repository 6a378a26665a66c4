"""`workbench.models.sight` on paper: the matrix of who may see whom.

Shapes: B sequences, T positions, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import keeps_mask
from workbench.estimate.network.segment import Extra

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def shape_of(s: Structure) -> tuple[Dim, ...]:
    """The shape of the mask that all blocks share."""
    options = s.options
    sequences: Dim = "B" if options.documents else 1
    return (sequences, "H" if options.alibi else 1, "T", "T")


def shared_mask(s: Structure) -> tuple[Extra, ...]:
    """The mask as blocks meet it; nothing where there is none."""
    if not s.options.masked:
        return ()
    width = 4 if s.options.alibi else 1
    kept = keeps_mask(s, width, padded=s.options.padded[0])
    return (Extra("who sees whom", shape_of(s), width, kept=kept),)


def lent(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    """What the forward pass still holds when the last block is done."""
    return tuple(
        each._replace(read=False, learns=False, waits=False) for each in extras if not each.kept
    )


def see(tape: Tape, s: Structure) -> Tensor | None:
    """The mask of a decoder or a bert; None where all, or all before, are seen."""
    options = s.options
    if not options.masked:
        return None
    query = tape.new(("T",), 8, "queries")
    key = tape.new(("T",), 8, "keys")
    square: tuple[Dim, ...] = ("T", "T")
    first: tuple[Dim, ...] = square if s.family == "decoder" else ("T",)
    mask = tape.new(first, 1, "who comes before")
    if options.window:
        edge = tape.new(("T",), 8, "edge of the window")
        near = tape.new(square, 1, "who is near")
        del edge
        mask = tape.new(square, 1, "who is near and before")
        del near
    if options.documents:
        same = tape.new(("B", "T", "T"), 1, "who is in the same document")
        mask = tape.new(("B", 1, "T", "T"), 1, "who sees whom")
        del same
    if options.alibi:
        mask = _sinking(tape, s, mask)
    del query, key
    return mask


def _sinking(tape: Tape, s: Structure, mask: Tensor) -> Tensor:
    """What the distance takes off each score (ALiBi, arXiv 2108.12409)."""
    distance = tape.new(("T", "T"), 8, "distances")
    far = tape.new(("T", "T"), 8, "distances")
    del distance
    copy = tape.new(("T", "T"), 4, "fp32 distances, as a CPU multiplies") if s.cpu else None
    off = tape.new(("H", "T", "T"), 4, "what distance takes off")
    del copy, far
    found = tape.new(shape_of(s), 4, "who sees whom, and how far")
    del off, mask
    return found

"""What all blocks of a stack of a t5 share.

It has gradients where the weights behind it learn: the mask, whose numbers are learned, and what
the encoder has read. They add up over the blocks, beginning with the last one.

Shapes: B sequences, S positions of the encoder, T positions of the decoder, D width, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import keeps_mask
from workbench.estimate.network.segment import Extra

if TYPE_CHECKING:
    from workbench.estimate.network.lora import Kind
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim


def of_encoder(s: Structure, kind: Kind) -> tuple[Extra, ...]:
    """What blocks of the encoder share: the distances; and what lies beside them meanwhile."""
    mask = distances_of(s, "S", waits=not kind.last)
    if not s.options.documents:
        return (mask,)
    return (mask, Extra("who is in the same document", ("B", "S", "S"), 1, kept=False, read=False))


def of_decoder(s: Structure, kind: Kind) -> tuple[Extra, ...]:
    """What blocks of the decoder share: the distances, what was read, and who sees how much."""
    mask = distances_of(s, "T", waits=not kind.last)
    memory = Extra(
        "what was read",
        ("B", "S", "D"),
        s.width,
        kept=keeps_memory(s),
        learns=kind.read,
        waits=kind.read and not kind.last,
    )
    sequences: Dim = "B" if s.options.documents else 1
    earlier = Extra("who is seen", (sequences, "T", "T"), 1, kept=False, read=False)
    if not s.options.documents:
        return (mask, memory, earlier)
    seen = Extra("who sees what was read", ("B", 1, "T", "S"), 1, kept=keeps_seen(s))
    return (mask, memory, seen, earlier)


def distances_of(s: Structure, length: Dim, *, waits: bool = False) -> Extra:
    """The mask of a stack, as its blocks meet it.

    Args:
        s: The structure.
        length: Positions of the stack.
        waits: Whether there is a gradient from later blocks.
    """
    sequences: Dim = "B" if s.options.documents else 1
    learns = s.lora is None
    padded = s.options.padded[1 if length == "S" else 0]
    stack = "encoder" if length == "S" else "decoder"
    width = s.table_width
    kept = keeps_mask(s, width, learns=learns, padded=padded, stack=stack)
    shape = (sequences, "H", length, length)
    return Extra("distances", shape, width, kept=kept, learns=learns, waits=learns and waits)


def keeps_seen(s: Structure) -> bool:
    """Whether who sees what was read outlives the forward pass."""
    return keeps_mask(s, 1, stack="decoder", cross=True)


def keeps_memory(s: Structure) -> bool:
    """Whether what was read outlives the forward pass: what learns from it keeps it."""
    if s.lora is None:
        return True
    if s.recompute != "none":
        return s.lora.passes("decoder")
    if s.follows and any(kind.read for kind in s.lora.kinds if kind.stack == "decoder"):
        return True  # DeepSpeed's layers keep what they read, frozen or not
    return s.lora.keeps("decoder", "cross_attention.k_proj", "cross_attention.v_proj")

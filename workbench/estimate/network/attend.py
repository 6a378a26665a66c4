"""`workbench.models.attend` on paper: which kernel attends, and what it holds.

On CUDA the choice is PyTorch's (cuda/sdp_utils.cpp): flash attention in 16 bits without a mask, the
memory-efficient kernel in fp32 or with a mask, which without one keeps the same, and the plain way
where that kernel would have to share key heads.

Shapes: B sequences, T queries, S keys, H query heads, G key heads, K width of a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.ops_attention import (
    eager_attention,
    masked_attention,
    plain_attention,
)

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape, Tensor


def by_heads(s: Structure, mask: Tensor | None, *, causal: bool = True) -> bool:
    """Whether queries, keys and values get gradients that stand head by head."""
    options = s.options
    if options.implementation == "eager":
        return True
    if s.blocked_attention and causal:
        return True
    return _is_plain(s, mask)


def attend(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    s: Structure,
    mask: Tensor | None = None,
    *,
    causal: bool = True,
    padded: bool | None = None,
) -> Tensor:
    """Scores, softmax, weighted sum.

    Args:
        tape: The tape.
        q: Queries.
        k: Keys.
        v: Values.
        s: The structure.
        mask: True where a query may look, or a number for each score; None: nothing is hidden.
        causal: Whether later positions are hidden, too.
        padded: Whether rows of the mask are filled up on CUDA; None: as those of what is written.
    """
    options = s.options
    drops = options.attention_dropout
    if options.implementation == "eager":
        return eager_attention(tape, q, k, v, options.layout, mask=mask, causal=causal, drops=drops)
    if options.implementation == "auto" and causal and not drops and not options.alibi:
        if s.blocked_attention:
            copies = (s.several_heads, s.several_groups)
            out = (*q.shape[:3], v.shape[3])
            return ops.blocked_attention(tape, q, k, v, out, copies=copies, mask=mask)
        if mask is None:
            return _product(tape, q, k, v, s, None, causal=True, padded=padded)
        ones = tape.new((q.shape[1], k.shape[1]), 1, "ones")
        earlier = tape.new((q.shape[1], k.shape[1]), 1, "earlier positions")
        del ones
        both = tape.new(mask.shape, 1, "what is seen")
        y = _product(tape, q, k, v, s, both, causal=False, padded=padded)
        del earlier, both
        return y
    if mask is not None and mask.width != 1:
        mask = ops.cast(tape, mask, q.width, "mask in the compute dtype")
    return _product(tape, q, k, v, s, mask, causal=causal and mask is None, padded=padded)


def keeps_mask(
    s: Structure,
    width: int,
    *,
    learns: bool = False,
    padded: bool = False,
    stack: str = "",
    cross: bool = False,
) -> bool:
    """Whether a mask that all blocks share lives as long as what they keep.

    Args:
        s: The structure.
        width: Bytes of an element of it: 1 is one of truth values.
        learns: Whether it has a gradient.
        padded: Whether its rows are filled up on CUDA, which makes a copy.
        stack: Whose blocks they are, where there are two stacks.
        cross: Whether it is for attention to what was read.
    """
    options = s.options
    if s.recompute != "none":
        return s.lora is None or s.lora.passes(stack)
    if s.lora is not None and not s.lora.attends(stack, cross=cross):
        return False
    if options.implementation == "eager":
        return False
    if s.blocked_attention:
        return True
    plain = options.attention_dropout if s.cpu else options.layout.grouped
    if width == 1 or width != s.width or plain or _unfit(s) or (s.cpu and learns):
        return False
    return s.cpu or not padded


def _is_plain(s: Structure, mask: Tensor | None) -> bool:
    """Whether PyTorch has no fused kernel for it."""
    if _unfit(s):
        return True
    if s.cpu:
        return s.options.attention_dropout or (mask is not None and mask.needs_grad)
    return s.options.layout.grouped and (mask is not None or s.width == 4)


def _unfit(s: Structure) -> bool:
    """Whether values have another width than keys, and no fused kernel takes that."""
    return s.mla is not None and s.mla.uneven and (s.cpu or not s.mla.aligned)


def _product(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    s: Structure,
    mask: Tensor | None,
    *,
    causal: bool,
    padded: bool | None,
) -> Tensor:
    """`F.scaled_dot_product_attention`."""
    options = s.options
    filled = f"(-(-({q.shape[1]})//32)*32)"
    if _is_plain(s, mask):
        return plain_attention(
            tape, q, k, v, options.layout, mask=mask, causal=causal, drops=options.attention_dropout
        )
    if mask is None:
        out = (*q.shape[:3], v.shape[3])
        uneven = s.mla is not None and s.mla.uneven
        logs = (q.shape[0], q.shape[2], filled if uneven and not s.cpu else q.shape[1])
        return ops.flash_attention(tape, q, k, v, out, logs)
    rows = q.shape[1] if s.cpu else filled
    fills = (options.padded[0] if padded is None else padded) and not s.cpu
    layout = options.layout
    return masked_attention(tape, q, k, v, mask=mask, layout=layout, padded=fills, rows=rows)

"""`workbench.models.mla` on paper: keys and values of all heads from one short vector per token.

Shapes: B sequences, T positions, D width, H heads, HN features of a head that know no position, HR
features that are turned, HV width of a value head, LR latent, LQ latent of the queries, K of a key
head, HN + HR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import attend, by_heads
from workbench.estimate.network.attention import rotate
from workbench.estimate.network.linear import linear
from workbench.estimate.network.norm import rms_norm
from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import copied
from workbench.estimate.tape.ops_split import expanded, split

if TYPE_CHECKING:
    from workbench.estimate.network.decoder import Tables
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape, Tensor


def latent_attention(tape: Tape, x_BTD: Tensor, s: Structure, tables: Tables) -> Tensor:
    """Multi-head latent attention as it is trained (DeepSeek-V2, arXiv 2405.04434, section 2.1)."""
    m = s.mla
    assert m is not None
    bias, fused = s.attention_bias, s.fused_rms_norm
    (x_BTD,) = enter(tape, "attention", x_BTD)
    if m.query_latent:
        latent = linear(tape, x_BTD, "q_a_proj", "D", "LQ", bias=bias)
        normed = rms_norm(tape, latent, "q_a_norm", "LQ", fused=fused)
        del latent
        q = linear(tape, normed, "q_b_proj", "LQ", "H*K")
        del normed
    else:
        q = linear(tape, x_BTD, "q_proj", "D", "H*K")
    heads = ops.view(tape, q, ("B", "T", "H", "K"))
    both = linear(tape, x_BTD, "kv_a_proj", "D", "LR+HR", bias=bias)
    latent, part = split(tape, both, (("B", "T", "LR"), ("B", "T", "HR")))
    del both
    latent = rms_norm(tape, latent, "kv_a_norm", "LR", fused=fused)
    k_rope = ops.view(tape, part, ("B", "T", 1, "HR"))
    q_nope, q_rope = split(tape, heads, (("B", "T", "H", "HN"), ("B", "T", "H", "HR")))
    if s.rotary:
        q_rope = rotate(tape, q_rope, s, tables)
        k_rope = rotate(tape, k_rope, s, tables)
    mask = tables.get("mask")
    y = _expanded(tape, (q_nope, q_rope), latent, k_rope, s, mask)
    copies = by_heads(s, mask) and s.several_heads and not s.blocked_attention
    flat = copied(tape, y, "attention output in a row") if copies else y
    result = linear(
        tape,
        ops.view(tape, flat, ("B", "T", "H*HV")),
        "o_proj",
        "H*HV",
        "D",
        bias=s.attention_out_bias,
    )
    del heads, q, q_nope, q_rope, latent, part, k_rope
    return leave(tape, "attention", result)[0]


def _expanded(
    tape: Tape,
    q: tuple[Tensor, Tensor],
    latent: Tensor,
    k_rope: Tensor,
    s: Structure,
    mask: Tensor | None,
) -> Tensor:
    """Make the keys and values of every head, and attend as usual."""
    kv = linear(tape, latent, "kv_b_proj", "LR", "H*(HN+HV)")
    by_head = ops.view(tape, kv, ("B", "T", "H", "HN+HV"))
    k_nope, v = split(tape, by_head, (("B", "T", "H", "HN"), ("B", "T", "H", "HV")))
    k_all = expanded(tape, k_rope, ("B", "T", "H", "HR"))
    whole = ("B", "T", "H", "K")
    queries = ops.joined(tape, *q, whole)
    keys = ops.joined(tape, k_nope, k_all, whole)
    y = attend(tape, queries, keys, v, s, mask)
    del kv, by_head, k_nope, k_all
    return y

"""`workbench.models.attention` on paper.

Shapes: B sequences, T positions, D width, H query heads, G key and value heads, K head width,
R turned features of a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import attend, by_heads
from workbench.estimate.network.linear import linear
from workbench.estimate.network.norm import rms_norm
from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import copied, split_heads

if TYPE_CHECKING:
    from workbench.estimate.network.decoder import Tables
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def attention(
    tape: Tape, x_BTD: Tensor, s: Structure, tables: Tables, *, causal: bool = True
) -> Tensor:
    """Grouped-query attention."""
    mask = tables.get("mask")
    copies = by_heads(s, mask, causal=causal)
    (x_BTD,) = enter(tape, "attention", x_BTD)
    q = _heads(
        tape,
        linear(tape, x_BTD, "q_proj", "D", "H*K", bias=s.attention_bias),
        "H",
        copies=copies and s.several_heads,
    )
    k = _heads(
        tape,
        linear(tape, x_BTD, "k_proj", "D", "G*K", bias=s.attention_bias),
        "G",
        copies=copies and s.several_groups,
    )
    v = _heads(
        tape,
        linear(tape, x_BTD, "v_proj", "D", "G*K", bias=s.attention_bias),
        "G",
        copies=copies and s.several_groups,
    )
    if s.qk_norm:
        q_normed = rms_norm(tape, q, "q_norm", "K", fused=s.fused_rms_norm)
        k = rms_norm(tape, k, "k_norm", "K", fused=s.fused_rms_norm)
        q = q_normed
        del q_normed
    if s.rotary:
        turned = rotate(tape, q, s, tables)
        k = rotate(tape, k, s, tables)
        q = turned
        del turned
    y = attend(tape, q, k, v, s, mask, causal=causal)
    flat = y
    if copies and s.several_heads and not (s.blocked_attention and causal):
        flat = copied(tape, y, "attention output in a row")
    y_BTD = linear(
        tape,
        ops.view(tape, flat, ("B", "T", "H*K")),
        "o_proj",
        "H*K",
        "D",
        bias=s.attention_out_bias,
    )
    return leave(tape, "attention", y_BTD)[0]


def _heads(tape: Tape, x: Tensor, heads: Dim, *, copies: bool = False) -> Tensor:
    return split_heads(tape, x, ("B", "T", heads, "K"), copies=copies)


def rotate(tape: Tape, x: Tensor, s: Structure, tables: Tables) -> Tensor:
    """Turn the features of each head, in fp32; of a part of them where the table is narrower."""
    if not s.partial_rotary:
        return _rotate(tape, x, s, tables)
    turned = _rotate(tape, ops.piece(tape, x, (*x.shape[:-1], "R")), s, tables)
    return ops.joined(tape, turned, ops.piece(tape, x, (*x.shape[:-1], "K-R")), x.shape)


def _rotate(tape: Tape, x: Tensor, s: Structure, tables: Tables) -> Tensor:
    x32 = ops.cast(tape, x, 4, "fp32 heads")
    turn = ops.turned_pairs if s.interleaved else ops.turned
    quarter = turn(tape, x32, (*x32.shape[:-1], "R2"))
    cosine = ops.mul(tape, x32, tables["cos"], "x cos")
    sine = ops.mul(tape, quarter, tables["sin"], "turned x sin")
    total = ops.add(tape, cosine, sine, "turned heads")
    del cosine, sine
    return ops.cast(tape, total, x.width, "turned heads")

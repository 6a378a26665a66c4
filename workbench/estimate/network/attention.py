"""`workbench.models.attention` on paper.

Shapes: B sequences, T positions, D width, H query heads, G key and value heads, K head width,
R turned features of a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.linear import linear
from workbench.estimate.network.norm import rms_norm
from workbench.estimate.tape import ops

if TYPE_CHECKING:
    from workbench.estimate.network.decoder import Tables
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def attention(tape: Tape, x_BTD: Tensor, s: Structure, tables: Tables) -> Tensor:
    """Grouped-query attention."""
    q = _heads(tape, linear(tape, x_BTD, "q_proj", "D", "H*K", bias=s.attention_bias), "H")
    k = _heads(tape, linear(tape, x_BTD, "k_proj", "D", "G*K", bias=s.attention_bias), "G")
    v = _heads(tape, linear(tape, x_BTD, "v_proj", "D", "G*K", bias=s.attention_bias), "G")
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
    y = attend(tape, q, k, v, s)
    return linear(
        tape, ops.view(tape, y, ("B", "T", "H*K")), "o_proj", "H*K", "D", bias=s.attention_out_bias
    )


def _heads(tape: Tape, x: Tensor, heads: Dim) -> Tensor:
    return ops.view(tape, x, ("B", "T", heads, "K"))


def attend(tape: Tape, q: Tensor, k: Tensor, v: Tensor, s: Structure) -> Tensor:
    """Scores, softmax, weighted sum."""
    if s.blocked_attention:
        return ops.blocked_attention(
            tape, q, k, v, q.shape, copies=(s.several_heads, s.several_groups)
        )
    return ops.flash_attention(tape, q, k, v, q.shape, ("B", "H", "T"))


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

"""Operations with several implementations under one signature; see ``kernels/README.md``."""

from __future__ import annotations

from ava_kernels.attention import causal_attention
from ava_kernels.cross_entropy import linear_cross_entropy, linear_loss
from ava_kernels.dispatch import Choice, Implementation, Operation
from ava_kernels.grouped import grouped_matmul
from ava_kernels.grouped_swiglu import grouped_swiglu
from ava_kernels.linear import linear

__all__ = [
    "Choice",
    "Implementation",
    "Operation",
    "causal_attention",
    "grouped_matmul",
    "grouped_swiglu",
    "linear",
    "linear_cross_entropy",
    "linear_loss",
]

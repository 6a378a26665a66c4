"""What decides which operations run; sizes are not among it.

Two configs of one structure have the same closed forms, with other numbers in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.config.size import head_width

if TYPE_CHECKING:
    from workbench.config.schema import Config, ModelConfig

Recompute = Literal["none", "block", "selective"]


@dataclass(frozen=True, slots=True)
class Structure:
    """The choices of a network and of its training that change what is allocated.

    Attributes:
        cpu: Whether CPU kernels run: some of them are steps where CUDA has one kernel.
        width: Bytes of the compute dtype.
        norm: Kind of the norms.
        qk_norm: Whether queries and keys are normalised.
        rotary: Whether heads are turned.
        partial_rotary: Whether only a part of their features is.
        interleaved: Whether neighbouring features form a pair.
        attention_bias: Whether the projections into attention have biases.
        attention_out_bias: Whether the one out of it has.
        residual: How the two halves of a block are added.
        act: Kind of the feed-forward network.
        mlp_bias: Whether its matrices have biases.
        learned_positions: Whether positions have an embedding.
        tied: Whether the output matrix is the embedding.
        recompute: What the backward pass computes again.
        chunks: 1, 2 or 3: how the loss goes through its tokens; 3 stands for more.
    """

    cpu: bool
    width: int
    norm: str
    qk_norm: bool
    rotary: bool
    partial_rotary: bool
    interleaved: bool
    attention_bias: bool
    attention_out_bias: bool
    residual: str
    act: str
    mlp_bias: bool
    learned_positions: bool
    tied: bool
    recompute: Recompute
    chunks: int

    @property
    def fused_rms_norm(self) -> bool:
        """Whether the RMS norm is one kernel."""
        return not self.cpu

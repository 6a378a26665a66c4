"""What of latent attention decides which operations run, and the symbols of its sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

MLA_MEANINGS = {
    "LQ": "model.mla.q_lora_rank",
    "LR": "model.mla.kv_lora_rank",
    "HN": "model.mla.qk_nope_head_dim",
    "HR": "model.mla.qk_rope_head_dim",
    "HV": "model.mla.v_head_dim",
}

_ROW = 16
"""Bytes that the rows of heads are multiples of for CUDA's memory-efficient kernel."""


class MlaStructure(NamedTuple):
    """The choices of `workbench.models.mla`.

    Attributes:
        query_latent: Whether queries come from a latent, too.
        uneven: Whether values have another width than keys: then flash attention refuses.
        aligned: Whether CUDA's memory-efficient kernel takes these widths.
    """

    query_latent: bool
    uneven: bool
    aligned: bool


def mla_structure_of(model: ModelConfig, *, width: int) -> MlaStructure | None:
    """The choices of a config; None with ordinary attention."""
    mla = model.mla
    if not mla.enabled:
        return None
    key = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    return MlaStructure(
        query_latent=mla.q_lora_rank is not None,
        uneven=key != mla.v_head_dim,
        aligned=not any(each * width % _ROW for each in (key, mla.v_head_dim)),
    )


def mla_symbols(model: ModelConfig) -> tuple[int, ...]:
    """The numbers behind `MLA_MEANINGS`, in their order."""
    mla = model.mla
    return (
        mla.q_lora_rank or 0,
        mla.kv_lora_rank,
        mla.qk_nope_head_dim,
        mla.qk_rope_head_dim,
        mla.v_head_dim,
    )

"""`model.mla`: multi-head latent attention (DeepSeek-V2, arXiv 2405.04434)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class MlaConfig(Section):
    """Keys and values squeezed through one narrow vector per token."""

    NEEDS = "model.mla.enabled"

    enabled: bool = key(
        False,
        "Replaces ordinary attention by latent attention: keys and values are made from one short "
        "vector per token.",
        changes="the inference cache shrinks several times; training memory does not",
    )
    kv_lora_rank: Whole = key(
        512,
        "Length of the vector that keys and values are made from.",
        unit="features",
        changes="the inference cache in proportion",
        ge=1,
    )
    q_lora_rank: Whole | None = key(
        None,
        "Length of the vector that queries are made from; null makes them from the full width.",
        unit="features",
        changes="parameters of the query projection",
        ge=1,
    )
    qk_nope_head_dim: Whole = key(
        128,
        "Features of a query or key head that know no position.",
        unit="features",
        changes="attention compute",
        ge=1,
    )
    qk_rope_head_dim: Whole = key(
        64,
        "Features of a query or key head that the rotary positions turn; all heads share one key.",
        unit="features",
        changes="the inference cache by this many features per token",
        ge=2,
    )
    v_head_dim: Whole = key(
        128,
        "Width of a value head in latent attention.",
        unit="features",
        changes="attention compute and the output projection",
        ge=1,
    )
    use_fp8_kv: bool = key(
        False,
        "Stores the latent vector in 8 bits while text is generated, with a scale for every 128 "
        "features; the turned key stays as it is.",
        changes="halves the inference cache; training gains nothing",
    )
    backend: Literal["auto", "dense", "sparse"] = key(
        "auto",
        "Which latent attention kernel to use; sparse looks at selected tokens only, and auto is "
        "dense.",
        changes="speed at inference",
        unhonoured_values={
            "sparse": "there is no indexer that selects tokens; every token is looked at"
        },
    )
    fallback_to_dense: bool = key(
        True,
        "Takes the dense kernel where the sparse one cannot run, for small batches.",
        unhonoured="there is no sparse kernel to fall back from: the dense one always runs",
    )

"""`training.compile`: torch.compile, which turns the model into fused kernels."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, key


class CompileConfig(Section):
    """Whether and how the model is compiled."""

    NEEDS = "training.compile.enabled"

    enabled: bool = key(
        False,
        "Compiles the model before the first step.",
        changes="minutes before the first step, then faster steps and less activation memory",
    )
    backend: str = key("inductor", "The compiler behind torch.compile; inductor is PyTorch's own.")
    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = key(
        "default",
        "How hard the compiler tries: reduce-overhead records CUDA graphs, max-autotune measures "
        "many kernels.",
        changes="compile time against speed",
    )
    dynamic: bool | None = key(
        None,
        "Compiles for changing shapes; null decides when a second shape turns up.",
        changes="recompilations",
    )
    fullgraph: bool = key(
        False, "Refuses code that cannot be compiled in one piece, instead of splitting it."
    )

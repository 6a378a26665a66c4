"""Mistral: a Llama whose layers look back over a window."""

from __future__ import annotations

from workbench.config.huggingface import mistral as words
from workbench.models.huggingface.family import Family
from workbench.models.huggingface.llama import (
    IGNORED,
    pieces,
)

MISTRAL = Family(*words.MISTRAL, pieces, "model.", IGNORED)

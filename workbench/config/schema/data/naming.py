"""Whether a word is a path or a name of the Hugging Face hub."""

from __future__ import annotations


def is_path(name: str) -> bool:
    """Whether a tokenizer's name can only be a path: hub names are ``NAME`` or ``OWNER/NAME``."""
    return name.startswith((".", "/", "~")) or name.endswith(".json") or name.count("/") > 1

"""The family of a config.json without ``model_type``, as files of 2018 and 2019 are."""

from __future__ import annotations

import re
from typing import Any, Final

from workbench.config.huggingface.table import WORDS

_HEAD: Final = re.compile(r"(For[A-Z]\w*|LMHeadModel|DoubleHeadsModel|Model)$")

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "gptj": ("n_embd", "n_layer", "n_head", "rotary_dim"),
    "gpt2": ("n_embd", "n_layer", "n_head"),
    "bert": ("hidden_size", "num_hidden_layers", "type_vocab_size"),
    "t5": ("d_model", "d_kv", "d_ff"),
}
"""What only one family calls so; the first that fits."""


def family(tree: dict[str, Any]) -> tuple[str, str] | None:
    """The family of a file, and what says so; None where nothing does."""
    named = tree.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if isinstance(first, str):
        stem = _HEAD.sub("", first)
        for name, words in WORDS.items():
            if _HEAD.sub("", words.architecture) == stem:
                return name, f'its architecture "{first[:60]}"'
        return None
    for name, keys in KEYS.items():
        if all(key in tree for key in keys):
            return name, f"the keys {', '.join(keys)}"
    return None

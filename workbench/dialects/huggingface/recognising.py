"""Whether a text is a config.json of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Guess
from workbench.dialects.huggingface.families import family
from workbench.dialects.parsing import peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign

_TYPICAL = ("architectures", "transformers_version", "torch_dtype", "num_hidden_layers", "n_layer",
            "bos_token_id", "eos_token_id", "initializer_range", "use_cache")  # fmt: skip


def recognise(foreign: Foreign) -> Guess | None:
    """By ``model_type`` at the top, beside what every such file has."""
    tree = peek(foreign)
    if not tree:
        return None
    kind = tree.get("model_type")
    typical = [key for key in _TYPICAL if key in tree]
    if not isinstance(kind, str) or not typical:
        return _without_type(tree)
    score = 0.6 + 0.1 * min(4, len(typical))
    return Guess(score, f'it has "model_type": "{kind[:40]}" and "{typical[0]}" at its top')


def _without_type(tree: dict[str, Any]) -> Guess | None:
    if (found := family(tree)) is not None:
        return Guess(0.6, f"it is a {found[0]}, by {found[1]}")
    if isinstance(tree.get("architectures"), list):
        return Guess(0.5, 'it has "architectures" at its top')
    return None

"""Whether a text is one of Ava's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.ava.known import known
from workbench.dialects.ava.reading import is_search
from workbench.dialects.ava.verdicts import top
from workbench.dialects.base import Guess
from workbench.dialects.parsing import leaves, peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign

_SIGNS = {
    "enhanced_features": 0.6,
    "run_management": 0.4,
    "stability": 0.3,
    "fp8_training": 0.3,
    "rlhf": 0.3,
    "lr_finder": 0.3,
    "generation": 0.2,
    "performance": 0.2,
}


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of Ava's files."""
    tree = peek(foreign)
    if not tree:
        return None
    if is_search(tree):
        return Guess(0.95, "it is the result of Ava's learning-rate search: recommendation.lr")
    inner = tree.get("training")
    if not isinstance(inner, dict):
        inner = {}
    found = {name: score for name, score in _SIGNS.items() if name in tree or name in inner}
    deepspeed = tree.get("deepspeed", inner.get("deepspeed"))
    if isinstance(deepspeed, dict) and {"use_deepspeed", "precision_type"} & set(deepspeed):
        found["deepspeed.use_deepspeed"] = 0.5
    if found:
        score = min(0.95, 0.35 + sum(found.values()))
        names = ", ".join(list(found)[:3])
        return Guess(
            score, f"it has Ava's sections {names}" if len(found) > 1 else f"it has {names}"
        )
    return _by_keys(tree)


def _by_keys(tree: dict[str, Any]) -> Guess | None:
    paths = [top(".".join(path)) for path, _ in leaves(tree)]
    ours = [path for path in paths if path in known()]
    sections = [name for name in ("model", "training", "data", "deepspeed") if name in tree]
    if not ours or not sections or len(ours) < 0.5 * len(paths):
        return None
    share = len(ours) / len(paths)
    return Guess(0.5 * share, f"{len(ours)} of its {len(paths)} keys are Ava's")

"""Reading Ava's files: the layered presets, and the result of its learning-rate search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.ava import remarks
from workbench.dialects.ava.faults import as_given
from workbench.dialects.ava.known import known
from workbench.dialects.ava.meanings import claims, why_not
from workbench.dialects.ava.verdicts import top
from workbench.dialects.base import Guess
from workbench.dialects.building import ABSENT, Builder, To, dotted
from workbench.dialects.claims import Claim, Claims, finished
from workbench.dialects.parsing import leaves, parse, peek

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

SYSTEM = "ava"
KIND = "_kind"
SEARCH = "lr_finder"
"""The kind of file that the learning-rate search writes, as it travels under `KIND`."""

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
MEANT = {"norm_type": "layernorm", "hidden_act": "gelu", "tie_word_embeddings": False}
"""What Ava's code does where a file does not say it."""


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of Ava's files."""
    tree = peek(foreign)
    if not tree:
        return None
    if _is_search(tree):
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


def read(foreign: Foreign) -> Reading:
    """Understand a file."""
    document, told = parse(foreign, last_wins=True)
    marks, told = as_given(document, told)
    builder = Builder(SYSTEM, foreign, document.tree, marks, told)
    if _is_search(document.tree):
        return _read_search(builder)
    remarks.of_faults(builder, document)
    travel = Claims(claims([".".join(path) for path, _ in builder.left()])).read(builder)
    _architecture(builder)
    remarks.of_sizes(builder)
    remarks.of_batch(builder)
    remarks.of_numbers(builder, document)
    remarks.of_upstream(builder)
    for path, _ in list(builder.left()):
        builder.keep(path, why_not(dotted(path)))
    meant = {("model", name): builder.value(("model", name)) for name in MEANT}
    travel |= {path: value for path, value in meant.items() if value is not ABSENT}
    return finished(builder, travel)


def _is_search(tree: dict[str, Any]) -> bool:
    found = tree.get("recommendation")
    return isinstance(found, dict) and "lr" in found and "methods" in tree


def _read_search(builder: Builder) -> Reading:
    """What the learning-rate search found: one rate, and how it came about."""
    claim = Claims(claims_of_search())
    travel = claim.read(builder)
    sure = builder.value("recommendation.confidence", "unknown")
    builder.assume("recommendation.lr", f"the rate that the search recommends; confidence {sure}")
    return finished(builder, travel | {(KIND,): SEARCH}, rest="how the search came to its rate")


def claims_of_search() -> list[Claim]:
    """The one key of a search's result that a plan has."""
    return [Claim("recommendation.lr", To("training.learning_rate"))]


def _architecture(builder: Builder) -> None:
    """What Ava's code does whatever the file says."""
    if not builder.has("model.hidden_size"):
        return
    said = []
    for name, value in MEANT.items():
        if builder.ours(f"model.{name}") is None:
            builder.put(f"model.{name}", value)
            said.append(f"{name}: {str(value).lower() if isinstance(value, bool) else value}")
    if said:
        builder.assume("model", f"as Ava's code has it: {', '.join(said)}")

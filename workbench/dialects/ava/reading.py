"""Reading Ava's files: the layered presets, and the result of its learning-rate search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.ava import remarks
from workbench.dialects.ava.faults import as_given
from workbench.dialects.ava.meanings import claims, why_not
from workbench.dialects.building import ABSENT, Builder, To, dotted
from workbench.dialects.claims import Claim, Claims, finished
from workbench.dialects.parsing import parse

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

SYSTEM = "ava"
KIND = "_kind"
SEARCH = "lr_finder"
"""The kind of file that the learning-rate search writes, as it travels under `KIND`."""

MEANT = {"norm_type": "layernorm", "hidden_act": "gelu", "tie_word_embeddings": False}
"""What Ava's code does where a file does not say it."""


def read(foreign: Foreign) -> Reading:
    """Understand a file."""
    document, told = parse(foreign, last_wins=True)
    marks, told = as_given(document, told)
    builder = Builder(SYSTEM, foreign, document.tree, marks, told)
    if is_search(document.tree):
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


def is_search(tree: dict[str, Any]) -> bool:
    """Whether a file is the result of Ava's learning-rate search."""
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

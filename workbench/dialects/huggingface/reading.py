"""A config.json in the workbench's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.configs import config_from_hf, model_config
from workbench.config.huggingface.table import WORDS
from workbench.config.huggingface.words import UnsupportedError
from workbench.config.keys import keys
from workbench.dialects.building import Builder, NoPlace
from workbench.dialects.huggingface.families import family
from workbench.dialects.huggingface.names import NAMES, OF_THE_WEIGHTS, REASONS
from workbench.dialects.huggingface.watching import Watched
from workbench.dialects.parsing import parse
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading


def read(foreign: Foreign) -> Reading:
    """Understand a config.json.

    Raises:
        ConfigError: It is no JSON, lacks a size, or is of a network that is not built.
    """
    document, remarks = parse(foreign, last_wins=True)
    builder = Builder.of("huggingface", foreign, document, remarks)
    tree = document.tree
    if tree.get("model_type") is None and (found := family(tree)) is not None:
        name, why = found
        tree = {key: value for key, value in tree.items() if key != "model_type"}
        tree["model_type"] = name
        builder.assume((), f"the model is of the type {name}, by {why}: the file does not say")
    hf = Watched({key: value for key, value in tree.items() if key not in OF_THE_WEIGHTS})
    ours = _ours(hf, foreign)
    for key, value in ours.items():
        _put(builder, key, value, hf)
    for key, meant in NAMES.items():
        path = f"model.{meant}"
        if key in hf.read and meant in ours and builder.ours(path, _NONE) is not _NONE:
            builder.understood((key,), path)
    if "quantization_config" in tree:
        builder.assume(
            ("quantization_config",),
            "the network is trained in full precision; the published weights are stored in fewer "
            "bits and have to be converted before a run can start from them",
        )
    for leaf, value in list(builder.left()):
        builder.keep(leaf, _why(leaf[0], value, str(tree.get("model_type"))))
    return _with_spellings(builder.reading(), tree, ours)


_NONE = object()


def _why(name: str, value: Any, family: str) -> str:
    """Why a key has no place here."""
    if name in REASONS:
        return REASONS[name]
    if value is None:
        return "null: as if it were not there"
    if name in NAMES:
        return f"a model of the type {family} does not read it"
    return "no key of model says it"


def _with_spellings(reading: Reading, tree: dict[str, Any], ours: dict[str, Any]) -> Reading:
    """Understood values that a writer would spell in another way travel along, as they stand."""
    try:
        plain = WORDS[str(tree["model_type"])].write_config(model_config(ours))
    except (ValueError, ArithmeticError, KeyError):
        return reading  # an inconsistent shape: the plan has a finding about it
    travel = {"model_type": tree["model_type"]} | {
        key: tree[key]
        for key in reading.places
        if key in tree
        and (key in _IF_ALONE or key not in plain or not _same(plain[key], tree[key]))
    }
    if travel:
        reading.layer.tree["imported"].setdefault("keys", {}).update(travel)
    return reading


_IF_ALONE = ("layer_types",)
"""Not looked at beside another key that a writer adds."""


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _ours(hf: dict[str, Any], foreign: Foreign) -> dict[str, Any]:
    try:
        return config_from_hf(hf)
    except UnsupportedError as error:
        raise ConfigError(
            "this model cannot be read",
            where=str(foreign.path),
            why=_why_not(hf) or str(error),
            fix=_part(hf) or f"families that can: {', '.join(sorted(WORDS))}",
        ) from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, IndexError):
        # A value of another kind than every file of the family has.
        raise ConfigError(
            "this is no config.json of the family that it names",
            where=str(foreign.path),
            why=_wrong_kind(hf),
            fix="compare it with the model's own file on the hub",
        ) from None


def _why_not(hf: dict[str, Any]) -> str:
    """Why a family cannot be read; empty where the family is not the reason."""
    kind = hf.get("model_type")
    if kind is None:
        return "the file has no model_type, and nothing in it tells the family"
    return "" if kind in WORDS else f"models of the type {str(kind)[:40]} cannot be read"


def _part(hf: dict[str, Any]) -> str:
    """What to do with a model of several parts, one of which is a language model that is built."""
    for name in ("text_config", "llm_config", "language_config", "thinker_config"):
        inner = hf.get(name)
        if isinstance(inner, dict) and inner.get("model_type") in WORDS:
            return (
                f"its language model alone, a {inner['model_type']}, can be read: save what "
                f"stands below {name} as a file of its own"
            )
    return ""


def _wrong_kind(hf: dict[str, Any]) -> str:
    """Which size is no number."""
    for key, meant in NAMES.items():
        kind = keys()[f"model.{meant}"].type
        value = hf.get(key)
        if kind in ("integer", "number") and isinstance(value, str | bool):
            return f"{key} is {str(value)[:40]!r}, which is no number"
    return "one of its values has another form than that of the family"


def _put(builder: Builder, key: str, value: Any, hf: Watched) -> None:
    """Put one key of ``model``; null where the file has no word on it goes without saying."""
    theirs = [name for name, meant in NAMES.items() if meant == key and name in hf.read]
    if value is None and not theirs:
        return
    try:
        builder.put(f"model.{key}", value, said_by=(theirs[0],) if theirs else ())
    except NoPlace as error:
        for name in theirs:
            builder.keep((name,), str(error))
        if not theirs:
            builder.assume((), f"left at its default: {error}")

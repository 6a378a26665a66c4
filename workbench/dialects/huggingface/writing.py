"""A network as Hugging Face's config.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.configs import disagreements, hf_config, model_config
from workbench.config.huggingface.table import WORDS
from workbench.config.huggingface.words import UnsupportedError
from workbench.dialects.huggingface.names import NAMES, OF_THE_WEIGHTS
from workbench.dialects.huggingface.watching import Watched
from workbench.dialects.telling import Teller
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.huggingface.words import Words
    from workbench.config.schema import Config, ModelConfig
    from workbench.dialects.base import Writing

_FILE = "config.json"


def write(config: Config, chosen: frozenset[str]) -> Writing:
    """The config.json of the plan's network.

    After an import only what the file said is said again; the family stays, where it can hold the
    network.

    Raises:
        ConfigError: No family of Hugging Face has such a network.
    """
    teller = Teller("huggingface", config, chosen)
    told = _told(config.model, teller.tree.get("model_type"))
    if teller.tree.get("model_type") == told["model_type"]:
        teller.tree = _again(teller, told, chosen)
    else:
        teller.tree |= told
    _say(teller, told)
    first = {key: teller.tree.pop(key) for key in ("architectures", "model_type")
             if key in teller.tree}  # fmt: skip
    text = json.dumps(first | dict(sorted(teller.tree.items())), indent=2, ensure_ascii=False)
    return teller.writing(
        {_FILE: text + "\n"}, rest="a config.json holds the shape of a network and nothing else"
    )


def _again(teller: Teller, told: dict[str, Any], chosen: frozenset[str]) -> dict[str, Any]:
    """What the file said, in the same keys, with today's values."""
    kept = teller.tree
    said = {
        key: value
        for key, value in told.items()
        if key in NAMES and f"model.{NAMES[key]}" in chosen and key not in kept
    }
    words = WORDS[told["model_type"]]
    try:
        watched = Watched({k: v for k, v in (kept | said).items() if k not in OF_THE_WEIGHTS})
        if not disagreements(teller.config.model, model_config(words.read_config(watched))):
            return kept | {key: value for key, value in said.items() if key in watched.read}
    except (ValueError, ArithmeticError, KeyError, TypeError):
        pass  # what was kept does not fit the new shape
    return {key: value for key, value in kept.items() if key not in NAMES} | told


def _told(model: ModelConfig, family: Any) -> dict[str, Any]:
    """The whole config.json, of the family named where it can hold the network."""
    words = WORDS.get(family) if isinstance(family, str) else None
    if words is not None and _holds(words, model):
        return {
            "architectures": [words.architecture],
            "model_type": words.name,
            **words.write_config(model),
        }
    try:
        return hf_config(model)
    except UnsupportedError as error:
        raise ConfigError(
            "Hugging Face has no model like this one",
            where="model",
            why=str(error),
            fix="change these keys of model, or export to another system",
        ) from None


def _holds(words: Words, model: ModelConfig) -> bool:
    try:
        theirs = model_config(words.read_config(words.write_config(model)))
    except (ValueError, ArithmeticError, KeyError):
        return False
    return not disagreements(model, theirs)


def _say(teller: Teller, told: dict[str, Any]) -> None:
    """Everything that reading the file gives back has been said."""
    back = WORDS[told["model_type"]].read_config(told)
    for key, value in back.items():
        mine = teller.our(f"model.{key}")
        if mine is None or mine == value:
            teller.said(f"model.{key}")
    teller.said("model.num_labels", "model.head")

"""A config.json in the workbench's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.configs import config_from_hf
from workbench.config.huggingface.table import WORDS
from workbench.config.huggingface.words import UnsupportedError
from workbench.config.keys import keys
from workbench.dialects.building import Builder, NoPlace
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
    for leaf, _ in list(builder.left()):
        builder.keep(leaf, REASONS.get(leaf[0], "no key of model says it"))
    return builder.reading()


_NONE = object()


def _ours(hf: dict[str, Any], foreign: Foreign) -> dict[str, Any]:
    try:
        return config_from_hf(hf)
    except UnsupportedError as error:
        raise ConfigError(
            "this model cannot be read",
            where=str(foreign.path),
            why=str(error),
            fix=f"families that can: {', '.join(sorted(WORDS))}",
        ) from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, IndexError):
        # A value of another kind than every file of the family has.
        raise ConfigError(
            "this is no config.json of the family that it names",
            where=str(foreign.path),
            why=_wrong_kind(hf),
            fix="compare it with the model's own file on the hub",
        ) from None


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

"""Telling a person that a file given as a layer is another system's, and how to import it.

Many of Ava's and DeepSpeed's keys are spellings of ours, so such a file may well be a layer. It is
foreign when its top level holds names that are none of ours, and a system knows it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.layers import Layer

_LIKELY = 0.5


def foreign_file(path: Path, *, tree: dict[str, Any] | None = None) -> ConfigError | None:
    """The message for a file that is another system's config; None where it is a layer.

    Args:
        path: The file.
        tree: What it says, where it could be read as a layer.
    """
    if tree is not None and not _has_unknown(tree, path):
        return None
    from workbench.dialects.opening import open_foreign
    from workbench.dialects.registry import dialect, guess

    try:
        found = guess(open_foreign(path)[0])
    except ConfigError:
        return None
    # Ava's files are layers here; what is wrong with one is said better by its own words.
    if not found or found[0][1].score < _LIKELY or found[0][0] == "ava":
        return None
    name, why = found[0]
    layer = f"{path.stem}.layer.yaml"
    return ConfigError(
        f"this is a config of {dialect(name).title}, not a layer",
        where=str(path),
        why=why.reason,
        fix=f"ava import {path}\nava train --config {layer}",
    )


def refuse_foreign(layers: list[Layer]) -> None:
    """Stop at a layer that is another system's file.

    Raises:
        ConfigError: One is; the message names the import.
    """
    for layer in layers:
        if layer.file is not None and "imported" not in layer.tree:
            error = foreign_file(Path(layer.file), tree=layer.tree)
            if error is not None:
                raise error


def _has_unknown(tree: dict[str, Any], path: Path) -> bool:
    """Whether names stand in it that no layer has; in JSON, which few layers are, at any depth."""
    from workbench.config.spelling import retired

    if any(name not in _known() and retired(name) is None for name in tree):
        return True
    if path.suffix.lower() != ".json":
        return False
    from workbench.config.checking import validate
    from workbench.config.layers import Layer, compose

    _, findings = validate(compose([Layer(str(path), tree)]))
    return any(finding.rule == "unknown-key" for finding in findings)


@cache
def _known() -> frozenset[str]:
    """The names that may stand at the top of a layer."""
    from workbench.config.keys import sections
    from workbench.config.spelling import alias_sections, table

    return frozenset(name.partition(".")[0] for name in (*sections(), *alias_sections(), *table()))

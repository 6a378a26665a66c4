"""Other values for a config, quickly: a candidate of a search is not validated, a proposal is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from workbench.config.keys import value_at
from workbench.config.schema import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import Config

S = TypeVar("S", bound=Section)


def changed(config: Config, edits: Mapping[str, Any]) -> Config:
    """The config with other values, as they are: what they mean has been checked by nobody.

    Args:
        config: The config.
        edits: ``{key: value}`` by dotted path.
    """
    nested: dict[str, Any] = {}
    for path, value in edits.items():
        *parents, last = path.split(".")
        inner = nested
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return _updated(config, nested) if nested else config


def _updated(section: S, values: dict[str, Any]) -> S:
    update = {}
    for name, value in values.items():
        before = getattr(section, name)
        update[name] = _updated(before, value) if isinstance(before, Section) else value
    return section.model_copy(update=update)


def effective(config: Config, edits: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the edits that change something."""
    return {path: value for path, value in edits.items() if value_at(config, path) != value}

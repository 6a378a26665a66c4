"""From a config to the schema that it was read from; a new one is in today's tt-train's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.building import plant
from workbench.dialects.telling import Teller, residue_of
from workbench.dialects.tenstorrent.flat_writing import TABLES, write_flat
from workbench.dialects.tenstorrent.pair_writing import write_pair
from workbench.dialects.tenstorrent.saying import take_order
from workbench.dialects.tenstorrent.shapes import shape_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Writing


def write(config: Config, *, chosen: frozenset[str]) -> Writing:
    """Say a config in the schema that it was read from; a new one in today's tt-train's."""
    teller = Teller("tenstorrent", config, chosen)
    order = take_order(teller.tree)
    shape = shape_of(_skeleton(order)) if order else "tt-train"
    if shape in TABLES:
        return write_flat(teller, order, str(shape))
    kept = residue_of(config, "tenstorrent")
    take_order(kept)
    return write_pair(teller, order, kept)


def _skeleton(order: list[str]) -> dict[str, Any]:
    """A tree with the keys of a file, to see its schema."""
    tree: dict[str, Any] = {}
    for path in order:
        plant(tree, tuple(path.split(".")), "")
    return tree

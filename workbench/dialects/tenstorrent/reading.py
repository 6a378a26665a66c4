"""From a file of Tenstorrent's to a reading: which schema it is in, and what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.dialects.building import Builder
from workbench.dialects.parsing import parse
from workbench.dialects.tenstorrent import blacksmith, early, parts, toolkit, tt_train
from workbench.dialects.tenstorrent.pairing import attached
from workbench.dialects.tenstorrent.saying import ORDER, order_of
from workbench.dialects.tenstorrent.shapes import refuse_others, shape_of
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

READERS: Final = {
    "tt-train": tt_train.read,
    "toolkit": toolkit.read,
    "blacksmith": blacksmith.read,
    "early": early.read,
    "bert": parts.read_bert,
    "optimizer": parts.read_optimizer,
    "logger": parts.read_logger,
}


def read(foreign: Foreign) -> Reading:
    """Understand a config of Tenstorrent's.

    Raises:
        ConfigError: It is no YAML, none of Tenstorrent's, or trains no language model.
    """
    document, remarks = parse(foreign, last_wins=True)
    refuse_others(document.tree, str(foreign.path))
    shape = shape_of(document.tree)
    if shape is None:
        raise ConfigError(
            "the file has none of the sections of tt-train, tt-blacksmith or the toolkit",
            where=str(foreign.path),
            fix="a training file has training_config, a model file transformer_config",
        )
    tree, said = attached(foreign, document.tree)
    builder = Builder(
        "tenstorrent", foreign, {**tree, ORDER: order_of(tree)}, document.marks, remarks
    )
    for path, message in said.items():
        builder.assume(path, message)
    builder.keep((ORDER,), "which keys stood there, and in what order")
    return READERS[shape](builder)

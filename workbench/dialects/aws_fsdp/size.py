"""Whether a network is as large as its name says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from workbench.config.checking import validate
from workbench.config.layers import Composed
from workbench.config.schema import Config
from workbench.config.size import size_of

if TYPE_CHECKING:
    from workbench.dialects.aws_fsdp.source import Source
    from workbench.dialects.building import Builder

_SIZE: Final = re.compile(r"(?<![\d.])(\d+)(?:x(\d+))?b(?![a-z0-9])", re.IGNORECASE)
_FAR: Final = 0.25  # Mixtral "8x7b" has 46.7 B, not 56: names are rounded, but not by a quarter


def name_and_size(builder: Builder, tree: dict[str, Any], source: Source) -> None:
    """Remark on a name that promises another size than the flags give."""
    meta = tree.get("metadata")
    name = str(meta.get("name", "")) if isinstance(meta, dict) else ""
    if source.around and not name:
        job = re.search(
            r"^#SBATCH\s+(?:--job-name|-J)[= ]\s*([^\s#]+)", source.around, re.MULTILINE
        )
        name = job[1] if job else ""
    name = name or builder.foreign.path.name
    found = _SIZE.search(name)
    size = _parameters(builder)
    if found is None or size is None:
        return
    promised = int(found[1]) * int(found[2] or 1) * 1e9
    if abs(size - promised) > _FAR * promised:
        builder.remark(
            (),
            "upstream",
            f"the name {name!r} says {found[0].upper()}, and these flags give "
            f"{size / 1e9:.2f} B parameters",
            "read",
        )


def _parameters(builder: Builder) -> int | None:
    """Parameters of the network that has been put so far."""
    from workbench.config.keys import keys
    from workbench.dialects.building import plant

    tree: dict[str, Any] = {}
    for path in keys():
        if path.startswith("model.") and (value := builder.ours(path, builder)) is not builder:
            plant(tree, tuple(path.split(".")), value)
    config, _ = validate(Composed(tree, {}))
    if (
        not isinstance(config, Config)
        or config.model.hidden_size % config.model.num_attention_heads
    ):
        return None
    return size_of(config.model).total

"""The second file of a pair: the model file that a training file names, wherever it lies.

Three ways of naming it are in use: ``nanogpt.yaml``, ``model_configs/nanogpt.yaml`` and
``${TT_METAL_RUNTIME_ROOT}/tt-train/configs/model_configs/nanogpt.yaml``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from workbench.config.reading import read_text
from workbench.dialects.base import Foreign
from workbench.dialects.parsing import parse
from workbench.dialects.tenstorrent.known import MODELS
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.dialects.building import Builder

_UP = 5  # from a training file up to the folder that its paths begin at
_VARIABLE = re.compile(r"\A\$\{?(\w+)\}?/")


def other_file(
    foreign: Foreign, named: str, section: str
) -> tuple[dict[str, Any] | None, str | None]:
    """A section of the file that another one names.

    Args:
        foreign: The file that names it.
        named: Its name there.
        section: The top-level key of it that is meant.

    Returns:
        The section and the path it was found at; None where there is no such file.

    Raises:
        ConfigError: It is there and cannot be read.
    """
    for path in _candidates(foreign.path, named):
        if not path.is_file() or path.resolve() == foreign.path.resolve():
            continue
        document, _ = parse(Foreign(path, read_text(path)), last_wins=True)
        found = document.tree.get(section)
        if isinstance(found, dict):
            return found, str(path)
        raise ConfigError(
            f"the file that {foreign.path.name} names has no {section}",
            where=str(path),
            fix=f"name a file whose top-level key is {section}",
        )
    return None, None


def model_of(builder: Builder, named: str) -> tuple[dict[str, Any] | None, str | None]:
    """The model that a training file names: from the file, or as tt-train ships it."""
    found, path = other_file(builder.foreign, named, "transformer_config")
    if found is not None:
        builder.assume("training_config.model_config", f"the model is that of {path}")
        return found, path
    stem = PurePosixPath(named).stem
    if stem in MODELS:
        builder.assume(
            "training_config.model_config",
            f"the file is not here: the dimensions are those of tt-train's own {stem}.yaml",
        )
        return dict(MODELS[stem]), None
    builder.assume(
        "training_config.model_config",
        f"the file {named} is not here, so the model is unknown: put it beside {builder.foreign.path.name}",
    )
    return None, None


def _candidates(source: Path, named: str) -> Iterator[Path]:
    """Where the file may be: where its variable points, and in the folders above the source."""
    variable = _VARIABLE.match(named)
    root = os.environ.get(variable[1]) if variable else None
    bare = _VARIABLE.sub("", named)
    if root:
        yield Path(root) / bare
    elif variable is None and Path(named).is_absolute():
        yield Path(named)
        return
    parts = PurePosixPath(bare).parts
    if ".." in parts or not parts:
        parts = parts[-1:]
    folder = source.resolve().parent
    for above in (folder, *list(folder.parents)[:_UP]):
        for start in range(len(parts)):
            yield above.joinpath(*parts[start:])
        yield above / "model_configs" / parts[-1]

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


MODEL = "transformer_config"
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


def attached(foreign: Foreign, tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A training file's tree with the sections of the files that it names.

    Returns:
        The tree, and by key what is to be said about where a section came from.

    Raises:
        ConfigError: A file is there and cannot be read.
    """
    training = tree.get("training_config")
    training = training if isinstance(training, dict) else {}
    made, said = dict(tree), {}
    for key, section in (("model_config", MODEL), ("multihost_config", "multihost_config")):
        named = training.get(key)
        if not isinstance(named, str) or not named or section in tree:
            continue
        found, path = other_file(foreign, named, section)
        stem = PurePosixPath(named).stem
        if found is not None:
            said[f"training_config.{key}"] = f"{section} is that of {path}"
        elif section == MODEL and stem in MODELS:
            found = dict(MODELS[stem])
            said[f"training_config.{key}"] = (
                f"the file is not here: the dimensions are those of tt-train's own {stem}.yaml"
            )
        else:
            what = "the model" if section == MODEL else "the division of the layers"
            said[f"training_config.{key}"] = (
                f"{PurePosixPath(named).name} is not here, so {what} is unknown: "
                f"put it beside {foreign.path.name}"
            )
        if found is not None:
            made[section] = found
    return made, said


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

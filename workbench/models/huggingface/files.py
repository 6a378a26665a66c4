"""Weight files: finding them, reading single tensors out of them, writing them in shards.

Only safetensors is read. A pickle, which ``pytorch_model.bin`` is, runs whatever code its author
put into it.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from workbench.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf")


class Entry(NamedTuple):
    """One tensor in a file."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


class WeightFiles:
    """The tensors of one model on disk, by name; none is read before it is asked for.

    Args:
        path: A file or a folder.

    Raises:
        CheckpointError: There are no weights that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        for file in _find(path):
            try:
                with safe_open(file, framework="pt") as opened:
                    for name in opened.keys():  # noqa: SIM118 - it is no mapping
                        piece = opened.get_slice(name)
                        self.entries[name] = Entry(
                            file, tuple(piece.get_shape()), piece.get_dtype()
                        )
            except (OSError, SafetensorError) as error:
                raise _unreadable(file, error) from None

    def read(self, names: list[str]) -> list[torch.Tensor]:
        """Read tensors."""
        tensors = []
        with ExitStack() as stack:
            opened: dict[Path, Any] = {}
            for name in names:
                file = self.entries[name].file
                try:
                    if file not in opened:
                        opened[file] = stack.enter_context(safe_open(file, framework="pt"))
                    tensors.append(opened[file].get_tensor(name))
                except (OSError, SafetensorError) as error:
                    raise _unreadable(file, error) from None
        return tensors


def read_config_json(path: Path) -> dict[str, Any] | None:
    """The config.json beside the weights, if there is one.

    Raises:
        ConfigError: It cannot be read.
    """
    file = (path if path.is_dir() else path.parent) / CONFIG
    if not file.exists():
        return None
    try:
        found = dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            "config.json cannot be read",
            where=str(file),
            why=str(error),
            fix="download the model again",
        ) from None
    return found


def _find(path: Path) -> Iterator[Path]:
    if path.is_file():
        if path.name.endswith(".index.json"):
            yield from _from_index(path)
        elif path.suffix == ".safetensors":
            yield path
        else:
            raise _pickle(path)
    elif (path / WEIGHTS).is_file():
        yield path / WEIGHTS
    elif (path / INDEX).is_file():
        yield from _from_index(path / INDEX)
    elif path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) == 1:
            yield found[0]
            return
        pickles = sorted(each for each in path.iterdir() if each.suffix in _PICKLES)
        if pickles and not found:
            raise _pickle(pickles[0])
        raise CheckpointError(
            "there are no weights in this folder",
            where=str(path),
            why=f"it holds {len(found)} safetensors files and no {INDEX} that says what is in which"
            if found
            else f"neither {WEIGHTS} nor {INDEX} is there",
            fix="name the folder that holds config.json and the weights, or one file",
        )
    else:
        raise CheckpointError(
            "there is no such file or folder",
            where=str(path),
            fix="model.pretrained_path is a folder with safetensors, or one such file",
        )


def _from_index(index: Path) -> Iterator[Path]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        files = [index.parent / Path(name).name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "the index of the weight files cannot be read",
            where=str(index),
            why=str(error),
            fix="download the model again",
        ) from None
    if missing := [file.name for file in files if not file.is_file()]:
        raise CheckpointError(
            f"{len(missing)} of {len(files)} weight files are missing",
            where=str(index.parent),
            why=f"the index names {', '.join(missing[:3])}",
            fix="download the model again",
        )
    yield from files


def _pickle(path: Path) -> CheckpointError:
    if path.suffix not in _PICKLES:
        return CheckpointError(
            "this is no weight file",
            where=str(path),
            why="only safetensors is read",
            fix="name a folder with safetensors, or one such file",
        )
    return CheckpointError(
        f"{path.name} is no safetensors file",
        where=str(path),
        why="other formats are not read; a pickle (.bin, .pt) can run any code when it is opened",
        fix="where you trust its origin, convert it once:\n"
        'python -c "from transformers import AutoModelForCausalLM as M; '
        f"M.from_pretrained('{path.parent}').save_pretrained('{path.parent}-safe')\"",
    )


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        "the weight file cannot be read",
        where=str(file),
        why=str(error),
        fix="download the model again; an incomplete download looks like this",
    )

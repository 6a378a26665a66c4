"""A network as a folder that transformers opens: config.json and safetensors."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from workbench.errors import CheckpointError, ConfigError
from workbench.models.huggingface.configs import family_of, hf_config
from workbench.models.huggingface.family import UnsupportedError
from workbench.models.huggingface.files import CONFIG, INDEX, WEIGHTS
from workbench.models.huggingface.loading import expected_shapes, weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig
    from workbench.models.base import LanguageModel
    from workbench.models.huggingface.family import Piece

SHARD_BYTES = 5 * 10**9
"""Largest file, as the hub likes it."""


def save_pretrained(
    model: LanguageModel,
    directory: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
    more_config: Mapping[str, Any] | None = None,
) -> None:
    """Write a network for transformers; see `save_weights`."""
    save_weights(
        model.config,
        weights_of(model),
        directory,
        dtype=dtype,
        shard_bytes=shard_bytes,
        more_config=more_config,
    )


def save_weights(
    config: ModelConfig,
    parameters: Mapping[str, torch.Tensor],
    directory: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
    more_config: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights of a network for transformers.

    The folder appears whole or not at all. One shard at a time is translated and written.

    Args:
        config: The network.
        parameters: Its weights, by our names.
        directory: A folder that does not exist yet, or an empty one.
        dtype: Of the numbers in the files.
        shard_bytes: Size above which the weights are divided over several files.
        more_config: What else config.json should say, such as the ids of special tokens.

    Raises:
        ConfigError: No family of Hugging Face can hold such a network.
        CheckpointError: The folder holds something, or cannot be written.
    """
    directory = Path(directory)
    try:
        family = family_of(config)
    except UnsupportedError as error:
        raise ConfigError(
            "this network cannot be written for transformers",
            where="model",
            why=str(error),
            fix="keep the checkpoint as it is, or train a network of one of these families",
        ) from None
    told = (
        hf_config(config) | {"dtype": str(dtype).removeprefix("torch.")} | dict(more_config or {})
    )
    pieces = family.pieces(config)
    shards = _plan(pieces, expected_shapes(parameters, pieces), dtype.itemsize, shard_bytes)

    temporary = directory.parent / f".tmp-{directory.name}-{secrets.token_hex(4)}"
    try:
        if directory.exists() and any(directory.iterdir()):
            raise CheckpointError(
                "the folder is not empty",
                where=str(directory),
                fix="name a new one, or delete it first",
            )
        temporary.mkdir(parents=True)
        (temporary / CONFIG).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
        _write_shards(temporary, shards, parameters, dtype)
        if directory.exists():
            directory.rmdir()
        temporary.rename(directory)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            "the folder cannot be written",
            where=str(directory),
            why=str(error),
            fix="make room there, or name another folder",
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _plan(
    pieces: list[Piece], shapes: dict[str, tuple[int, ...]], itemsize: int, limit: int
) -> list[list[Piece]]:
    """Divide the pieces over files, in order; one that is too large alone gets its own."""
    shards: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        needed = sum(torch.Size(shapes[name]).numel() * itemsize for name in piece.theirs)
        if shards[-1] and size + needed > limit:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += needed
    return shards


@torch.no_grad()
def _write_shards(
    folder: Path,
    shards: list[list[Piece]],
    parameters: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
) -> None:
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        name = WEIGHTS
        if len(shards) > 1:
            name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {}
        for piece in shard:
            ours = [parameters[each].detach().cpu().to(dtype) for each in piece.ours]
            for theirs, tensor in zip(piece.theirs, piece.to_theirs(ours), strict=True):
                # Views of one storage cannot be told apart in a file.
                alone = tensor.untyped_storage().nbytes() == tensor.nbytes
                tensors[theirs] = tensor.contiguous() if alone else tensor.clone()
                weight_map[theirs] = name
                total += tensor.nbytes
        save_file(tensors, folder / name, metadata={"format": "pt"})
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

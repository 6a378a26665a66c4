"""Weights from disk into a network, piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from workbench.errors import CheckpointError, ConfigError
from workbench.models.huggingface.configs import (
    Disagreement,
    config_from_hf,
    disagreements,
    model_config,
)
from workbench.models.huggingface.family import Family, Piece, UnsupportedError, same
from workbench.models.huggingface.files import WeightFiles, read_config_json
from workbench.models.huggingface.table import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.models.base import LanguageModel


def load_pretrained(model: LanguageModel, path: str | Path) -> None:
    """Fill a network with the weights of a Hugging Face folder, or of a checkpoint of ours.

    Tensors are read one piece at a time, so that beside the network itself there is never more in
    memory than the largest of them.

    Args:
        model: The network; its parameters are overwritten in place, in their own dtype.
        path: A folder with config.json and safetensors (in one file or in shards with an index), or
            one safetensors file.

    Raises:
        ConfigError: The weights are of another network than the config's.
        CheckpointError: A file cannot be read, or lacks a tensor, or has one of another shape.
    """
    path = Path(path)
    hf = read_config_json(path)
    if hf is not None:
        check_network(model, hf, path)
    files = WeightFiles(path)
    parameters = weights_of(model)
    if hf is None and set(files.entries) >= set(parameters):
        _fill(parameters, [same(name, name) for name in parameters], files, "")
        return
    family = _family_of_names(files, path) if hf is None else FAMILIES[hf["model_type"]]
    prefix = _missing_prefix(family, files)
    new = _new_head(model, family)
    pieces = [
        piece
        for piece in family.pieces(model.config)
        if not piece.ours[0].startswith(new)
        or all(name.removeprefix(prefix) in files.entries for name in piece.theirs)
    ]
    _check_complete(parameters, pieces, files, family._replace(heads=new), prefix)
    _fill(parameters, pieces, files, prefix, new)


def weights_of(model: LanguageModel) -> dict[str, torch.Tensor]:
    """Parameters and lasting buffers by name, without what only training has."""
    return {
        name: value
        for name, value in model.state_dict(keep_vars=True).items()
        if not name.startswith("mtp.")
        and not name.endswith(".balance.load")
        and ".lora_" not in name
    }


def _new_head(model: LanguageModel, family: Family) -> tuple[str, ...]:
    """Names that fine-tuning adds to what the files have."""
    return () if model.config.head == "language" else family.heads


def check_network(model: LanguageModel, hf: Mapping[str, Any], path: Path) -> None:
    """Compare config.json with the config.

    Raises:
        ConfigError: They describe different networks; it names the flags that settle it.
    """
    try:
        theirs = model_config(config_from_hf(hf))
    except (UnsupportedError, ValidationError) as error:
        raise ConfigError(
            "these weights are of a network that is not built here",
            where=str(path / "config.json"),
            why=str(error),
            fix="choose other weights, or train from random ones: --model.pretrained_path null",
        ) from None
    if different := disagreements(model.config, theirs):
        raise ConfigError(
            "the weights of model.pretrained_path are of another network than model describes",
            where=str(path),
            why="\n".join(
                f"model.{each.key} is {_word(each.ours)}, the weights have {_word(each.theirs)}"
                for each in different
            ),
            fix="take what the weights have:\n" + _flags(different),
        )


def _flags(different: list[Disagreement]) -> str:
    return " ".join(f"--model.{each.key} {_word(each.theirs)}" for each in different)


def _word(value: object) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _family_of_names(files: WeightFiles, path: Path) -> Family:
    """The family whose names a lone file uses; those of Llama's kind share theirs."""
    for family in FAMILIES.values():
        if family.prefix and any(name.startswith(family.prefix) for name in files.entries):
            return family
    raise CheckpointError(
        "the weights have names that no known family uses",
        where=str(path),
        why=f"the first are {', '.join(sorted(files.entries)[:3])}",
        fix="put the model's config.json beside the file",
    )


def _missing_prefix(family: Family, files: WeightFiles) -> str:
    """The prefix, where a file that was saved without its head leaves it out."""
    if any(name.startswith(family.prefix) for name in files.entries):
        return ""
    return family.prefix


def _check_complete(
    parameters: Mapping[str, torch.Tensor],
    pieces: list[Piece],
    files: WeightFiles,
    family: Family,
    prefix: str,
) -> None:
    """Everything that is needed is there, in the right shape, and nothing else.

    Raises:
        CheckpointError: It is not.
    """
    wanted = expected_shapes(parameters, pieces)
    names = {name.removeprefix(prefix): name for name in wanted}
    missing = [name for name in names if name not in files.entries]
    if missing:
        raise CheckpointError(
            f"the weights lack {len(missing)} of {len(names)} tensors of this network",
            where=str(files.path),
            why=f"for example {', '.join(missing[:3])}",
            fix="use the weights of a whole language model, or check model against its config.json",
        )
    wrong = [
        f"{name} is {list(files.entries[name].shape)}, the network needs {list(wanted[full])}"
        for name, full in names.items()
        if files.entries[name].shape != wanted[full]
    ]
    if wrong:
        raise CheckpointError(
            f"{len(wrong)} tensors have another shape than the network",
            where=str(files.path),
            why="\n".join(wrong[:3]),
            fix="make model (vocab_size, widths, heads) that of the weights",
        )
    tied = {"lm_head.weight", "embed_out.weight"}  # written although they are the embedding again
    extra = [
        name
        for name in files.entries
        if name not in names
        and name not in tied
        and not name.endswith(family.ignored or "\0")
        and not name.startswith(family.heads)
    ]
    if extra:
        raise CheckpointError(
            f"the weights have {len(extra)} tensors that this network has no place for",
            where=str(files.path),
            why=f"for example {', '.join(sorted(extra)[:3])}",
            fix="make model that of the weights (num_layers, biases, num_experts)",
        )


def expected_shapes(
    parameters: Mapping[str, torch.Tensor], pieces: list[Piece]
) -> dict[str, tuple[int, ...]]:
    """The shapes of their tensors, found by translating ours without data."""
    shapes: dict[str, tuple[int, ...]] = {}
    for piece in pieces:
        ours = [torch.empty(parameters[name].shape, device="meta") for name in piece.ours]
        for name, tensor in zip(piece.theirs, piece.to_theirs(ours), strict=True):
            shapes[name] = tuple(tensor.shape)
    return shapes


@torch.no_grad()
def _fill(
    parameters: Mapping[str, torch.Tensor],
    pieces: list[Piece],
    files: WeightFiles,
    prefix: str,
    new: tuple[str, ...] = (),
) -> None:
    left = set(parameters)
    for piece in pieces:
        found = files.read([name.removeprefix(prefix) for name in piece.theirs])
        for name, tensor in zip(piece.ours, piece.to_ours(found), strict=True):
            parameters[name].copy_(tensor)
            left.discard(name)
    left = {name for name in left if not name.startswith(new)}
    assert not left, f"no piece fills {sorted(left)}"

"""LoRA adapters as peft reads them: adapter_config.json and adapter_model.safetensors.

Where the family joins several of our matrices in one (GPT-2 and GPT-NeoX: queries, keys, values),
their adapters become one of the added rank, whose scale is kept by an alpha of its own.

Shapes: O rows of a matrix, I columns, R rank.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from workbench.models.huggingface.configs import family_of
from workbench.models.lora import LoraLinear, adapters

if TYPE_CHECKING:
    from workbench.config.schema import LoraConfig
    from workbench.models.base import LanguageModel
    from workbench.models.huggingface.family import Piece

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_TASKS = {"language": "CAUSAL_LM"}


@torch.no_grad()
def save_adapter(
    model: LanguageModel, config: LoraConfig, directory: str | Path, *, base: str | None = None
) -> None:
    """Write the adapters of a network for peft. The folder appears whole or not at all.

    Args:
        model: A network with adapters.
        config: How they were made.
        directory: Where to; what is there is replaced.
        base: Where the frozen weights came from.

    Raises:
        UnsupportedError: No family of Hugging Face has such a network.
        OSError: The folder cannot be written.
    """
    family = family_of(model.config)
    layers = dict(adapters(model))
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    for piece in family.pieces(model.config):
        owners = [name.rpartition(".")[0] for name in piece.ours]
        if piece.ours[0].endswith(".weight") and any(owner in layers for owner in owners):
            module = piece.theirs[0].removesuffix(".weight")
            a_RI, b_OR = _joined(piece, [layers.get(owner) for owner in owners], model)
            tensors[f"{_PREFIX}{module}.lora_A.weight"] = a_RI
            tensors[f"{_PREFIX}{module}.lora_B.weight"] = b_OR
            ranks[module] = len(a_RI)
    adapted = set(ranks)
    parameters = dict(model.named_parameters())
    for piece in family.pieces(model.config):
        if config.bias != "none" and all(
            name.endswith("bias") and parameters[name].requires_grad for name in piece.ours
        ):
            ours = [parameters[name].detach().cpu() for name in piece.ours]
            for name, tensor in zip(piece.theirs, piece.to_theirs(ours), strict=True):
                module = name.removesuffix(".bias")
                inside = ".base_layer" if module in adapted else ""
                tensors[f"{_PREFIX}{module}{inside}.bias"] = tensor
    others = {module: rank for module, rank in ranks.items() if rank != config.r}
    told = {
        "peft_type": "LORA",
        "task_type": _TASKS.get(model.config.head),
        "base_model_name_or_path": base,
        "r": config.r,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "bias": config.bias,
        "target_modules": sorted(adapted),
        "rank_pattern": others,
        "alpha_pattern": {m: config.alpha * rank / config.r for m, rank in others.items()},
        "fan_in_fan_out": any(_on_side(piece) for piece in family.pieces(model.config)),
        "inference_mode": True,
    }
    _write(Path(directory), told, tensors)


def _joined(
    piece: Piece, layers: list[LoraLinear | None], model: LanguageModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """The adapters of the matrices of a piece as one: its A (R, I) and B (O, R)."""
    sizes = [len(model.get_parameter(name)) for name in piece.ours]
    downs, ups = [], []
    for place, layer in enumerate(layers):
        if layer is None:
            continue
        b_OR = layer.lora_b_OR.detach().cpu().float()
        rows = [
            b_OR if other == place else b_OR.new_zeros(size, b_OR.shape[1])
            for other, size in enumerate(sizes)
        ]
        (up,) = piece.to_theirs(rows)
        ups.append(up.t() if _on_side(piece) else up)
        downs.append(layer.lora_a_RI.detach().cpu().float())
    return torch.cat(downs).contiguous(), torch.cat(ups, dim=1).contiguous()


def _on_side(piece: Piece) -> bool:
    """Whether the family stores a matrix as (I, O)."""
    if not piece.ours[0].endswith(".weight") or len(piece.theirs) != 1:
        return False
    wide = 1_000_003  # columns no matrix has
    ours = [torch.empty(840, wide, device="meta") for _ in piece.ours]  # divides by most heads
    try:
        (theirs,) = piece.to_theirs(ours)
    except RuntimeError:  # it does not divide by these heads: then it is no plain transpose
        return False
    return theirs.dim() == 2 and theirs.shape[0] == wide


def _write(directory: Path, told: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    temporary = directory.parent / f".tmp-{directory.name}-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        save_file(
            {name: tensor.contiguous().clone() for name, tensor in tensors.items()},
            temporary / WEIGHTS,
            metadata={"format": "pt"},
        )
        (temporary / CONFIG).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if directory.exists():
            directory.rename(temporary.with_name(temporary.name + "-old"))
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_name(temporary.name + "-old"), ignore_errors=True)

"""LoRA: thin trainable matrices beside frozen ones (arXiv 2106.09685).

``y = x W^T + (alpha / r) dropout(x) A^T B^T``. B begins at zero, so that the adapted network begins
as the network itself. The frozen weights keep their names, so adapters can be put on before or
after weights are loaded.

Shapes: O rows of a matrix (outputs), I columns (inputs), R rank.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.config.linears import ALL_LINEAR, NEVER_ADAPTED
from workbench.errors import ConfigError
from workbench.models.linear import Linear

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import LoraConfig
    from workbench.models.base import LanguageModel

# Their matrices are read by the loss, which never calls the modules.
_NEVER = ("lm_head", *NEVER_ADAPTED)


class LoraLinear(Linear):
    """A frozen linear layer with a trainable low-rank addition.

    Args:
        base: The layer; its tensors become this one's.
        config: Rank, scale and dropout.
    """

    def __init__(self, base: Linear, config: LoraConfig) -> None:
        nn.Module.__init__(self)
        outputs, inputs = base.weight.shape
        self.weight = base.weight
        self.bias = base.bias
        self.scale = config.alpha / config.r
        self.dropout = config.dropout
        like = base.weight
        self.lora_a_RI = nn.Parameter(like.new_empty(config.r, inputs, dtype=torch.float32))
        self.lora_b_OR = nn.Parameter(like.new_empty(outputs, config.r, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(..., I)`` to ``(..., O)``."""
        thin = F.linear(F.dropout(x, self.dropout, self.training), self.lora_a_RI.to(x.dtype))
        return super().forward(x) + self.scale * F.linear(thin, self.lora_b_OR.to(x.dtype))

    def delta_OI(self) -> torch.Tensor:
        """What the adapter adds to the weight, fp32."""
        return self.scale * (self.lora_b_OR.float() @ self.lora_a_RI.float())


def adapters(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """The adapted layers of a model by name."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            yield name, module


def add_adapters(model: LanguageModel, config: LoraConfig) -> None:
    """Put adapters on the chosen layers and freeze everything else.

    The adapters are on the layers' device, and empty until `init_adapters`.

    Args:
        model: The network.
        config: Which layers, and what adapters. A target is the last part of a layer's name
            (``q_proj``), a pattern for its whole name (``blocks.1?.*_proj``), or ``all-linear``.

    Raises:
        ConfigError: A target names no layer.
    """
    linears = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Linear) and name.rpartition(".")[2] not in _NEVER
    }
    for target in config.target_modules:
        if not any(_means(target, name) for name in linears):
            raise ConfigError(
                f"lora.target_modules: {target} is no layer that can have an adapter",
                where="lora.target_modules",
                why="this network has " + ", ".join(sorted({_last(name) for name in linears})),
                fix="name some of these, a pattern such as blocks.1?.attention.*, or all-linear",
            )
    for name, module in linears.items():
        if any(_means(target, name) for target in config.target_modules):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, LoraLinear(module, config))
    adapted = {name for name, _ in adapters(model)}
    for name, parameter in model.named_parameters():
        owner, _, last = name.rpartition(".")
        trained = ".lora_" in name
        if config.bias == "all":
            trained = trained or last.endswith("bias")
        elif config.bias == "lora_only":
            trained = trained or (last == "bias" and owner in adapted)
        parameter.requires_grad_(trained)


@torch.no_grad()
def init_adapters(model: nn.Module, seed: int) -> None:
    """First values of the adapters, a pure function of the seed and each layer's name.

    A is uniform in ``±1 / sqrt(I)``, as peft has it, and B is zero.
    """
    for name, layer in adapters(model):
        digest = hashlib.blake2b(f"{seed}:{name}.lora".encode(), digest_size=7).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest))
        bound = 1 / math.sqrt(layer.lora_a_RI.shape[1])
        values_RI = torch.empty(layer.lora_a_RI.shape).uniform_(-bound, bound, generator=generator)
        layer.lora_a_RI.copy_(values_RI)
        layer.lora_b_OR.zero_()


@torch.no_grad()
def merge_adapters(model: nn.Module) -> None:
    """Add each adapter to its weight and take it off: the network is a plain one again."""
    for name, layer in list(adapters(model)):
        parent, _, last = name.rpartition(".")
        with torch.device("meta"):
            plain = Linear(*reversed(layer.weight.shape), bias=layer.bias is not None)
        layer.weight.add_(layer.delta_OI())
        plain.weight, plain.bias = layer.weight, layer.bias
        setattr(model.get_submodule(parent), last, plain)
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def frozen_fingerprint(model: nn.Module) -> str:
    """A hash of the weights that are not trained: an adapter is worth nothing without them."""
    import xxhash

    digest = xxhash.xxh3_128()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode())
            raw = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _means(target: str, name: str) -> bool:
    return target == ALL_LINEAR or target == _last(name) or fnmatch.fnmatchcase(name, target)

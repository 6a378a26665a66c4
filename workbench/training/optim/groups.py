"""Which parameters are treated alike: decayed or not, hidden matrix or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.models.linear import Linear

if TYPE_CHECKING:
    from torch import nn

    from workbench.config.schema import TrainingConfig
    from workbench.training.optim.per_tensor import Group

_NOT_HIDDEN = ("embedding", "lm_head", "router", "head")


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[Group]:
    """The trainable parameters in groups: decayed ones first.

    Weight decay is for matrices: pulling a norm's weight or a bias towards zero does not
    regularise, it just moves the function. ``training.no_decay_patterns`` says it otherwise.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if is_decayed(name, parameter, config) else spared).append(parameter)
    return [
        {"params": decayed, "weight_decay": config.weight_decay, "decayed": True},
        {"params": spared, "weight_decay": 0.0, "decayed": False},
    ]


def is_decayed(name: str, parameter: nn.Parameter, config: TrainingConfig) -> bool:
    """Whether weight decay applies to a parameter."""
    if config.no_decay_patterns is not None:
        return not any(part.lower() in name.lower() for part in config.no_decay_patterns)
    # The biases of experts are stacked, but a stack of biases is no matrix.
    return parameter.dim() >= 2 and not name.endswith("bias")


def apart_by_place(model: nn.Module, groups: list[Group]) -> list[Group]:
    """Each group cut in two: matrices between embedding and output (``hidden``), and the rest."""
    hidden = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if parameter.dim() >= 2
        and not name.endswith("bias")
        and not any(part in name for part in _NOT_HIDDEN)
    }
    found: list[Group] = []
    for group in groups:
        for inside in (True, False):
            chosen = [each for each in group["params"] if (id(each) in hidden) is inside]
            found.append({**group, "params": chosen, "hidden": inside})
    return found


def cast_matrices(model: nn.Module) -> set[nn.Parameter]:
    """The weights that the model casts to its compute dtype before their only use.

    Not embeddings, whose gradient adds up one row for each occurrence of a token, nor routers and
    norms, which compute in fp32.
    """
    return {
        module.weight
        for module in model.modules()
        if isinstance(module, Linear) and module.weight.requires_grad
    }

"""Names of activation functions without a gate."""

from __future__ import annotations

from workbench.config.huggingface.words import UnsupportedError

_NAMES = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "relu": "relu",
    "relu2": "relu_squared",
    "silu": "silu",
    "swish": "silu",
}


def read_activation(theirs: str) -> str:
    """Their name as ``model.hidden_act``.

    Raises:
        UnsupportedError: The function is not built.
    """
    if theirs not in _NAMES:
        raise UnsupportedError(f"the activation function {theirs} is not built")
    return _NAMES[theirs]


def write_activation(ours: str) -> str:
    """``model.hidden_act`` as their name; one with a gate has none here, and becomes its gate."""
    return (
        "relu2" if ours == "relu_squared" else {"swiglu": "silu", "geglu": "gelu"}.get(ours, ours)
    )

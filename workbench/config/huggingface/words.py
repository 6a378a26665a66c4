"""One family of Hugging Face models as its config.json has it: names, and the way both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.config.schema import ModelConfig


class UnsupportedError(ValueError):
    """A config of Hugging Face asks for something that no key of ``model`` says."""


class Words(NamedTuple):
    """The config.json of one kind of model on the Hugging Face hub."""

    name: str
    """Its ``model_type``."""
    architecture: str
    """The class of transformers that has the head we train."""
    read_config: Callable[[Mapping[str, Any]], dict[str, Any]]
    """Its config.json as keys of ``model``, dotted below (``rope_scaling.type``).

    Raises `UnsupportedError` for what we do not build."""
    write_config: Callable[[ModelConfig], dict[str, Any]]
    """The other way round; what the family cannot say is left out, which the caller notices."""


def refuse(hf: Mapping[str, Any], **wanted: Any) -> None:
    """Refuse a config that has something else than ``wanted`` where it has a word on it.

    Raises:
        UnsupportedError: It has.
    """
    for key, value in wanted.items():
        if hf.get(key, value) != value:
            raise UnsupportedError(
                f"{hf.get('model_type')} with {key}: {hf[key]} is not built, only {value}"
            )

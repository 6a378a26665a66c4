"""How many parameters the model of a reading has here, beside what its own system builds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys
from workbench.config.size import size_of
from workbench.dialects.building import plant

if TYPE_CHECKING:
    from workbench.dialects.building import Builder


def size_here(builder: Builder) -> int | None:
    """Parameters of the model as it has been understood so far; None where it is none."""
    from pydantic import ValidationError

    from workbench.config.schema import ModelConfig

    model: dict[str, Any] = {}
    for path in keys():
        if path.startswith("model.") and (value := builder.ours(path)) is not None:
            plant(model, tuple(path.split(".")[1:]), value)
    try:
        return size_of(ModelConfig.model_validate(model)).total
    except (ValidationError, ZeroDivisionError):
        return None

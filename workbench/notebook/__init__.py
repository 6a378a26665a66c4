"""The workbench in a notebook: one panel, its parts as widgets, and plain functions.

    from workbench.notebook import Workbench
    Workbench("tiny_cpu")

`Workbench` is everything; `MemoryMeter`, `ConfigForm`, `LossCurve` and `RunTable` are its parts for
lessons and for notebooks of one's own. `estimate`, `fit`, `launch` and `runs` need no widgets: they
return objects that show themselves as text, as HTML and as a DataFrame.

Nothing here knows torch, and every training is a process of its own: no kernel's death touches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.notebook.functions import estimate, fit, launch, runs
    from workbench.notebook.widgets import (
        ConfigForm,
        LossCurve,
        MemoryMeter,
        RunTable,
        Workbench,
    )

__all__ = [
    "ConfigForm",
    "LossCurve",
    "MemoryMeter",
    "RunTable",
    "Workbench",
    "estimate",
    "fit",
    "launch",
    "runs",
]

_FUNCTIONS = ("estimate", "fit", "launch", "runs")


def __getattr__(name: str) -> Any:
    """Import a widget or a function when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "functions" if name in _FUNCTIONS else "widgets"
    return getattr(import_module(f"workbench.notebook.{module}"), name)

"""`ava runs`: what happened, what is happening, and what is to happen with it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from workbench.cli.runs.arguments import read

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

# action -> where its function of the same name is
_MODULES = {
    "list": "listing",
    "show": "showing",
    "watch": "showing",
    "stop": "control",
    "pause": "control",
    "resume": "control",
    "extend": "control",
    "note": "labels",
    "tag": "labels",
    "rename": "labels",
    "rm": "labels",
    "compare": "compare",
    "export": "files",
    "checkpoints": "files",
}


def run(_command: str, args: list[str]) -> int:
    """Run one of the `ava runs` commands; without one, list."""
    options = read(args)
    module = import_module(f"workbench.cli.runs.{_MODULES[options.action]}")
    act: Callable[[Namespace], int] = getattr(module, options.action)
    return act(options)

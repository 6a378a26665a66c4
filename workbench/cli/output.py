"""Where words go: data to stdout, narration to stdout or, beside ``--json``, to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from workbench.cli.streams import speaks_unicode

if TYPE_CHECKING:
    from rich.console import Console


def console(*, narration_only: bool = False) -> Console:
    """A rich console: stdout for people, stderr when stdout carries JSON."""
    from rich.console import Console

    return Console(stderr=narration_only, highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(data: Any) -> None:
    """One JSON document on stdout; non-finite numbers become strings, as in the metrics files."""
    text = json.dumps(_finite(data), indent=2, ensure_ascii=not speaks_unicode())
    sys.stdout.write(text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return str(value)
    return value


def relative(path: object) -> str:
    """A path as short as it can be said from the current folder."""
    text = str(path)
    here = os.getcwd()  # noqa: PTH109  a string is what is compared
    return os.path.relpath(text, here) if text.startswith(here + os.sep) else text

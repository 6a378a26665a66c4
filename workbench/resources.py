"""Where the shipped data lies: beside the source in a checkout, in the package when installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from workbench.errors import WorkbenchError

_PACKAGE = Path(__file__).resolve().parent


@cache
def data_dir(name: str) -> Path:
    """The folder ``configs`` or ``lessons``.

    Raises:
        WorkbenchError: The installation is incomplete.
    """
    installed = _PACKAGE / "_data" / name
    checkout = _PACKAGE.parent / name
    for candidate in (installed, checkout):
        if candidate.is_dir():
            return candidate
    raise WorkbenchError(
        f"the installation has no {name}/ folder",
        where=str(_PACKAGE),
        fix="install Ava Workbench again: pip install --force-reinstall ava-workbench",
    )

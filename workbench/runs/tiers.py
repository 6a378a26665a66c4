"""Where the checkpoints of a run lie beside its own directory; known without torch.

The memory tier is a folder of this machine's memory: it survives the death of a training, not that
of the machine, and whoever deletes a run deletes it too.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import RunError

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - not a temporary file: it is what the tier is made of


def identity(run: RunDir) -> str:
    """What tells a run from every other, also after it was renamed."""
    return f"run-{float(run.meta()['created']):.6f}".replace(".", "-")


def memory_folder(namespace: str) -> Path:
    """The folder of a namespace in memory: this user's alone."""
    return SHARED_MEMORY / f"ava-workbench-{os.getuid()}" / namespace


def leave_memory(run: RunDir) -> None:
    """Delete what a run has in memory under its own name, if anything."""
    from shutil import rmtree

    with contextlib.suppress(RunError, KeyError, TypeError, ValueError):
        rmtree(memory_folder(identity(run)), ignore_errors=True)


def make_memory_folder(namespace: str) -> Path:
    """Make the folder of a namespace, if it is not there.

    Raises:
        RunError: There is no shared memory here, or somebody else owns the place.
    """
    folder = memory_folder(namespace)
    home = folder.parent
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        status = home.lstat()
        if home.is_symlink() or status.st_uid != os.getuid():
            raise PermissionError(1, "it belongs to somebody else")
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RunError(
            "there is no place in memory for checkpoints",
            where=str(home),
            why=error.strerror,
            fix="use --checkpointing.memory_tier.enabled false",
        ) from None
    return folder

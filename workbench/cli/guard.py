"""The last line of defence: every error a person sees is one message and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130


def guarded(function: Callable[..., int], *args: Any) -> int:
    """Call a command; turn its errors into a message on stderr and an exit code."""
    try:
        code = function(*args)
        sys.stdout.flush()
    except WorkbenchError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`ava runs | head`): let the exit be quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = str(error.filename) if error.filename else None
        failed = WorkbenchError(
            f"the system refused: {error.strerror or error}", where=place, fix=_remedy(error)
        )
        sys.stderr.write(failed.render() + "\n")
        return 1
    except Exception as error:  # noqa: BLE001  a traceback shown to a user is a bug
        sys.stderr.write(_unforeseen(error).render() + "\n")
        return 1
    return code


def _remedy(error: OSError) -> str | None:
    import errno

    return {
        errno.ENOSPC: "free some space, or put the runs elsewhere: --runs_dir DIR",
        errno.EDQUOT: "your quota is used up; put the runs elsewhere: --runs_dir DIR",
        errno.EACCES: "see who may use it (ls -ld), or keep your runs elsewhere: --runs_dir DIR",
        errno.EROFS: "the disk is read-only; put the runs elsewhere: --runs_dir DIR",
    }.get(error.errno or 0)


def _unforeseen(error: Exception) -> WorkbenchError:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ava-crash-", suffix=".log", delete=False
        ) as log:
            traceback.print_exception(error, file=log)
        place = Path(log.name)
    except OSError:
        return WorkbenchError(f"something unforeseen: {type(error).__name__}: {error}")
    return WorkbenchError(
        f"something unforeseen: {type(error).__name__}: {error}",
        why="this is a defect of the workbench, not of your config",
        fix=f"report it with the details in {place}",
    )

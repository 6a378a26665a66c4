"""Every exception as an error that can be shown: what, where, why, what to do."""

from __future__ import annotations

from workbench.errors import WorkbenchError


def as_error(error: Exception, maker: str) -> WorkbenchError:
    """The error itself when it is one of ours; else what is known about it.

    Args:
        error: What was raised.
        maker: The face that made the mistake.
    """
    if isinstance(error, WorkbenchError):
        return error
    if isinstance(error, OSError):
        return WorkbenchError(
            "a file could not be read or written",
            where=str(error.filename) if error.filename else None,
            why=error.strerror or str(error),
        )
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return WorkbenchError(
        f"{maker} made a mistake; your runs are not touched by it",
        where=f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else None,
        why=f"{type(error).__name__}: {error}",
        fix="please report it with these lines",
    )

"""Standard streams that can always be written to, whatever the shell handed over."""

from __future__ import annotations

import io
import os
import sys


def make_usable() -> None:
    """Open the closed streams on nothing; let a character that a locale lacks become a ``?``.

    Python leaves None for a stream that the shell closed (``ava runs >&-``), and under an ASCII
    locale it refuses to write a ``×`` at all.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            # Open until the process ends, as the stream that it stands for.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def speaks_unicode() -> bool:
    """Whether stdout can carry every character."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")

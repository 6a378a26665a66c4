"""Prepare a text in a process of its own: ``python -m workbench.data SPEC``.

``SPEC`` is one JSON object: ``data`` (a `data` section), ``out``, ``vocab_size``, ``replace``.
Progress goes to stdout as JSON lines: ``{"phase", "fraction", …}``, and last ``{"index": …}`` or
``{"error": …}``. The process that starts it may not load what this one has to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from workbench.config.schema.data import DataConfig
from workbench.data.prepare import prepare
from workbench.errors import DataError, WorkbenchError

_EVERY = 0.1  # seconds between two lines


def main(argv: list[str]) -> int:
    """Run one preparation."""
    spec = json.loads(argv[0])
    told = 0.0

    def progress(phase: str, fraction: float, figures: dict[str, int]) -> None:
        nonlocal told
        now = time.monotonic()
        if fraction >= 1.0 or now - told >= _EVERY:
            told = now
            _say({"phase": phase, "fraction": fraction, **figures})
        if os.getppid() == 1:  # whoever asked is gone
            raise KeyboardInterrupt

    try:
        index = prepare(
            DataConfig.model_validate(spec["data"]),
            Path(spec["out"]),
            vocab_size=spec.get("vocab_size"),
            replace=spec.get("replace", False),
            progress=progress,
        )
    except WorkbenchError as error:
        _say({"error": error.to_dict()})
        return error.exit_code
    except OSError as error:
        failed = DataError(
            f"cannot write the prepared text: {error.strerror or error}",
            where=str(error.filename or spec["out"]),
            fix="make room there, or name another folder: --out DIR",
        )
        _say({"error": failed.to_dict()})
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - nothing may end without a message
        told_error = WorkbenchError(
            f"the preparation met something unforeseen: {type(error).__name__}: {error}",
            why="this is a defect of the workbench, not of your text",
        )
        _say({"error": told_error.to_dict()})
        return 1
    _say({"index": index})
    return 0


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

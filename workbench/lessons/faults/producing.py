"""From a fault to its report, with nothing left alive whatever happens on the way."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from workbench.errors import UsageError, WorkbenchError
from workbench.lessons.faults.report import Report
from workbench.lessons.faults.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.lessons.faults.registry import Fault
    from workbench.lessons.faults.report import Step


def produce(
    fault: Fault,
    folder: Path,
    *,
    tell: Callable[[Step], None] | None,
    begins: Callable[[str], None] | None,
    healthy: Path | None,
) -> Report:
    """Produce a fault; see `workbench.lessons.faults.produce`."""
    if not in_folder(folder):
        raise UsageError(
            f"{folder} holds something already",
            why="a fault is produced in a folder of its own, so that nothing else can be hurt",
            fix="name a folder that is not there yet: -o DIR",
        )
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(
        folder.resolve(), tell or (lambda _: None), begins or (lambda _: None), ready=healthy
    )
    began = time.monotonic()
    try:
        fault.act(stage)
    except subprocess.TimeoutExpired as error:
        stage.expects("every command comes to its end", holds=False, found=str(error))
    except WorkbenchError as error:
        # What did not happen as said is a finding of the lab, and its report is where it belongs.
        why = " ".join((error.why or "").split())
        stage.expects(error.what, holds=False, found=why)
    finally:
        try:
            stage.close()
        except KeyboardInterrupt:  # a second Ctrl-C, while the first one is being obeyed
            stage.close()
            raise
    return Report(fault, stage.folder, tuple(stage.steps), time.monotonic() - began)


def in_folder(folder: Path) -> bool:
    """Whether a folder can become a stage: it is not there, or empty."""
    return not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))

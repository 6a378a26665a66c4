"""A disk that has no room."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.commands import Limit
from workbench.lessons.faults.registry import fault
from workbench.runs.checkpoints import list_checkpoints
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.faults.stage import Stage

_FILE_LIMIT: Final = Limit("f", 600)  # of 512 bytes: 300 KiB, less than the weights take
_SMALL_KIB: Final = 2500  # one checkpoint of 1.4 MiB fits, two do not
_STEPS: Final = 24


@fault(
    "full-disk",
    "The disk is full",
    what_happens="There is room for the metrics, and none for the next checkpoint.",
    see="checkpoint not saved, in the system's own words; the steps go on meanwhile",
    recover="make room, and resume: what was saved before is untouched",
    starts=2,
)
def full_disk(stage: Stage) -> None:
    """Train where no checkpoint fits, make room, and go on."""
    place = stage.folder / "runs"
    place.mkdir()
    mounted = _mounted(stage, place)
    if mounted:
        stage.breaks("A disk of 2.4 MiB for the runs. One checkpoint of this model has 1.4 MiB.")
        stage.ran(f"mount -t tmpfs -o size={_SMALL_KIB}k tmpfs runs")
    else:
        stage.breaks(
            "Mounting a small disk needs rights that you do not have here. A limit on the size of "
            "files will do: it is refused by the same system call, in the middle of the writing."
        )
    stage.sees("")
    stage.ava(
        f"train lesson --name full --max_steps {_STEPS} --save_steps 8"
        " --lr_scheduler_type constant",
        code=1,
        limit=None if mounted else _FILE_LIMIT,
        show="^step|not saved|^error|^  ",
    )
    run = stage.run("full")
    whole = [item.step for item in list_checkpoints(run, hashes=True) if not item.problem]
    done = lab.losses(run, 1)
    error = (verdict(run).error or {}).get("why") or ""
    stage.expects("the run failed, and says why", verdict(run).state == "failed", error)
    stage.expects("every step was done, and its row is there", len(done) == _STEPS)
    stage.expects(
        "no half a checkpoint is left, and none that was good is gone",
        whole == ([8] if mounted else []) and not list(run.checkpoints_dir.glob(".tmp-*")),
        f"whole: {', '.join(f'step {step}' for step in whole) or 'none yet'}",
    )
    stage.because(
        "A checkpoint is written beside the old ones and gets its name when it is whole. A save "
        "that fails costs nothing but itself: the training goes on, and the next save tries "
        "again. Only the last one must succeed."
    )
    if mounted:
        stage.repairs("Make room. Here the disk can grow.")
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        stage.ran("mount -o remount,size=64m runs")
    else:
        stage.repairs("The same without the limit.")
    lab.resumed(stage, run, _STEPS)
    stage.proves("")
    state = verdict(run)
    stage.expects("the run finished, and is saved", state.state == "finished" and not state.reason)
    lab.same_again(stage, run)


def _mounted(stage: Stage, place: Path) -> bool:
    """Mount a small disk; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_KIB}k", "tmpfs", str(place)]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
    except OSError:
        return False
    stage.afterwards.append(lambda: _unmount(place))
    return True


def _unmount(place: Path) -> None:
    """Let go of the small disk, and leave its files where they were."""
    kept = place.with_name(".runs")
    shutil.copytree(place, kept, symlinks=True)
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()
    kept.rename(place)

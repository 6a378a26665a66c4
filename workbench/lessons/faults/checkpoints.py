"""Checkpoints that are no longer what was written, or were never written whole."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault
from workbench.lessons.faults.runs import STEPS
from workbench.runs.checkpoints import list_checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.faults.stage import Stage
    from workbench.runs.directory import RunDir

_WEIGHTS = "model.safetensors"
_LONGER = STEPS + 8
_DAMAGE_WHY = (
    "Each checkpoint has a MANIFEST.json, written last, with the size and the hash of every file. "
    "Before a byte is loaded, all of them are compared; the newest checkpoint that is whole is "
    "taken, and the damaged one is put aside, not deleted."
)


@fault(
    "truncated-checkpoint",
    "A checkpoint has lost its end",
    what_happens="A copy was cut off, or a disk was full: the newest checkpoint is too short.",
    see="ava runs checkpoints verify names the file; a resume says which checkpoint it takes",
    recover="go on: the one before is used, and the same steps come out again",
    starts=2,
)
def truncated_checkpoint(stage: Stage) -> None:
    """Cut the newest checkpoint of a finished run short, and train on."""
    run, weights = _newest_of_healthy(stage)
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(size - 1000)
    stage.ran(f"truncate -s -1000 {weights.relative_to(stage.folder)}")
    _damaged(stage, f"has {size - 1000:,} bytes, not {size:,}")
    stage.because(_DAMAGE_WHY)
    _trained_on(stage, run)


@fault(
    "flipped-bit",
    "One bit of a checkpoint is wrong",
    what_happens="One bit of the newest checkpoint flips: same size, same format, other weights.",
    see="nothing, in most trainers; here the hash tells, before a tensor is read",
    recover="go on: the one before is used, and the same steps come out again",
    starts=2,
)
def flipped_bit(stage: Stage) -> None:
    """Flip one bit in the weights of a finished run, and train on."""
    run, weights = _newest_of_healthy(stage)
    place = weights.stat().st_size // 2
    with weights.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    path = weights.relative_to(stage.folder)
    stage.ran(
        f"printf '\\{byte ^ 1:03o}' | dd of={path} bs=1 seek={place} conv=notrunc",
        f"byte {place:,}: {byte:08b} → {byte ^ 1:08b}",
    )
    _damaged(stage, "has changed since it was written")
    stage.because(
        _DAMAGE_WHY + " Formats alone do not notice: of 50 such flips, torch.load, safetensors and "
        "DCP loaded wrong weights 50 times, without a word."
    )
    _trained_on(stage, run)


@fault(
    "killed-in-a-save",
    "The trainer is killed while it saves",
    what_happens="kill -9 falls into the moment when a checkpoint is half written.",
    see="failed, SIGKILL; a .tmp-… folder beside the good checkpoints",
    recover="resume: what is half written has no name to be loaded by, and is cleared away",
    starts=2,
)
def killed_in_a_save(stage: Stage) -> None:
    """Catch the trainer in a save, kill it there, and resume."""
    stage.breaks("A training that saves often, killed the moment a save has begun.")
    stage.ava(
        "launch lesson --name victim --max_steps 4000 --save_steps 16"
        " --lr_scheduler_type constant --max_restarts 0"
    )
    run = stage.run("victim")
    stage.waits(lambda: lab.newest(run) >= 16, "a first checkpoint is written")
    trainer = lab.trainer(stage, run)

    lab.halts(
        stage,
        trainer,
        lambda: any(run.checkpoints_dir.glob(".tmp-*")),
        "the trainer is caught in a save",
    )
    stage.kills(signal.SIGKILL, *trainer)
    state = stage.waits_for_end(run)
    stage.sees("")
    half = _listed(stage, run)
    stage.ava("runs show victim", show="^victim|SIGKILL|^go on")
    stage.expects("the run failed, and says by which signal", state == "failed")
    stage.expects("a checkpoint is half written", any(name.startswith(".tmp-") for name in half))
    stage.because(
        "A checkpoint is written into .tmp-…, flushed to the disk, given its manifest, and then "
        "gets its name by one rename. So a name is a promise: there is no half a step-00000016."
    )
    stage.repairs("Go on, for a few steps more.")
    last = lab.last_step(run)
    lab.resumed(stage, run, last + 8)
    stage.proves("")
    stage.expects("nothing half written is left", not list(run.checkpoints_dir.glob(".tmp-*")))
    problems = [item.problem for item in list_checkpoints(run, hashes=True) if item.problem]
    stage.expects("every checkpoint is whole", not problems, "; ".join(problems))
    lab.same_again(stage, run)


def _newest_of_healthy(stage: Stage) -> tuple[RunDir, Path]:
    stage.breaks("A short training that ended well. Then its newest checkpoint is damaged.")
    run = stage.healthy()
    return run, run.checkpoints_dir / f"step-{STEPS:08d}" / _WEIGHTS


def _damaged(stage: Stage, how: str) -> None:
    stage.sees("")
    printed = stage.ava("runs checkpoints verify healthy", code=1)
    stage.expects(
        "the damage is found, and the file is named", how in " ".join(printed.split()), how
    )


def _trained_on(stage: Stage, run: RunDir) -> None:
    stage.repairs(
        f"Ask for {_LONGER} steps. It goes back to step {STEPS - 8}, and does the lost ones again."
    )
    lab.resumed(stage, run, _LONGER, show=f"damaged|{lab.GOING_ON}")
    stage.proves("")
    lab.same_again(stage, run)
    stage.expects(
        "the damaged one was put aside",
        any(path.name.startswith(".bad-") for path in run.checkpoints_dir.iterdir()),
        ", ".join(sorted(path.name for path in run.checkpoints_dir.iterdir())),
    )
    problems = [item.problem for item in list_checkpoints(run, hashes=True) if item.problem]
    stage.expects("every checkpoint that has a name is whole", not problems, "; ".join(problems))


def _listed(stage: Stage, run: RunDir) -> list[str]:
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in run.checkpoints_dir.iterdir())
    stage.ran(f"ls -A {run.checkpoints_dir.relative_to(stage.folder)}", "\n".join(names))
    return names

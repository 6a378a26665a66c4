"""Processes that are killed, halted or interrupted."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage


@fault(
    "killed-trainer",
    "The trainer is killed",
    what_happens="kill -9 in the middle of a step: by the kernel, an operator, a bad night.",
    see="failed, SIGKILL (signal 9); then, without a hand on it, another attempt",
    recover="nothing to do: the supervisor starts it again from the newest good checkpoint",
    starts=2,
)
def killed_trainer(stage: Stage) -> None:
    """Kill the trainer, and watch the supervisor start another one."""
    stage.breaks("A training in the background. Its trainer gets kill -9.")
    stage.ava(f"launch lesson --name victim {lab.LONG}")
    run = stage.run("victim")
    trainer = lab.trainer(stage, run)
    lab.halts_past_a_checkpoint(stage, run, trainer)
    stage.kills(signal.SIGKILL, *trainer)
    seen = stage.waits_for(run, "restarting")
    stage.sees("")
    lost = max(lab.losses(run, 1))
    kept = lab.newest(run)
    stage.ava("runs list", show=(4, 4))
    stage.expects("the run restarts by itself", seen.state == "restarting", seen.reason)
    stage.because(
        "A run belongs to a supervisor: a small process without torch, in a session of its own. A "
        f"kill may pass, so it tries again. Steps up to {kept} were saved; those up to {lost} were "
        "only in memory."
    )
    stage.repairs("Wait. Then stop it, for this training would go on for long.")
    lab.retries_and_stops(stage, run, lost)


@fault(
    "vanished-supervisor",
    "The supervisor is killed",
    what_happens="The process that watches over the run gets kill -9; nobody writes how it ended.",
    see="vanished, never a run that seems to be running for ever",
    recover="resume: its trainer has saved and ended by itself",
    starts=2,
)
def vanished_supervisor(stage: Stage) -> None:
    """Kill the supervisor; the trainer notices, saves and ends."""
    stage.breaks("A training in the background. This time its supervisor gets kill -9.")
    stage.ava(f"launch lesson --name victim {lab.LONG}")
    run = stage.run("victim")
    lab.waits_past_a_checkpoint(stage, run)
    trainer = lab.trainer(stage, run)
    stage.kills(signal.SIGKILL, *lab.supervisor(stage, run))
    stage.waits(lambda: lab.is_gone(stage, trainer), "the trainer ends by itself")
    stage.sees("")
    printed = stage.ava("runs show victim", show="^victim|^go on")
    stage.expects(
        "the run is called vanished", verdict(run).state == "vanished", verdict(run).reason
    )
    stage.expects("and how to go on", "ava runs resume victim" in printed)
    done = lab.last_step(run)
    stage.expects(
        "the trainer saved its very last step", lab.newest(run) == done,
        f"step {done}, checkpoint {lab.newest(run)}",
    )  # fmt: skip
    stage.because(
        "Whether a run lives is told by a lock that the kernel frees at any death, never by a pid "
        "in a file. The trainer asked the kernel for SIGTERM when its parent dies: it finishes the "
        "step, saves and ends, and holds no device for nobody."
    )
    stage.repairs("Go on.")
    lab.resumed(stage, run, done + 8)
    stage.proves("")
    second = lab.losses(run, 2)
    stage.expects("it went on with the next step", min(second) == done + 1, f"step {min(second)}")
    lab.complete(stage, run)
    stage.expects("and it finished", verdict(run).state == "finished")


@fault(
    "interrupted-twice",
    "Ctrl-C, and Ctrl-C again",
    what_happens="A step hangs. The first Ctrl-C waits for it, the second one does not.",
    see="stopping; then stopped, ended at once on request, without saving",
    recover="resume from the newest checkpoint: only the steps after it are trained again",
    starts=2,
)
def interrupted_twice(stage: Stage) -> None:
    """Interrupt a training whose step hangs, twice."""
    stage.breaks("A training in the foreground. Its trainer is halted, as a step that hangs.")
    line = f"train lesson --name victim {lab.LONG}"
    started = stage.begin(line)
    run = stage.run("victim")
    stage.waits(run.meta_path.exists, "the run is there")
    trainer = lab.trainer(stage, run)
    lab.halts_past_a_checkpoint(stage, run, trainer)
    person = lab.process_of(stage, started.pid)
    stage.ran(f"ava {line}  # process {started.pid}; the trainer is {trainer[0]}")
    stage.kills(signal.SIGSTOP, *trainer)
    stage.kills(signal.SIGINT, *person)
    seen = stage.waits_for(run, "stopping")
    stage.sees("The first Ctrl-C (kill -INT is the same) asks politely.")
    stage.expects("the run is stopping", seen.state == "stopping", seen.reason)
    stage.kills(signal.SIGINT, *person)
    stage.ended(started, line, code=130, show=(0, 7))
    stage.waits_for_end(run)
    stage.expects(
        "the second one ended it at once",
        verdict(run).state == "stopped" and "at once" in verdict(run).reason,
        verdict(run).reason,
    )
    lost, kept = max(lab.losses(run, 1)), lab.newest(run)
    stage.because(
        "Once: finish the step, save, exit. Twice: now. The first loses nothing; the second costs "
        f"what came after the newest checkpoint, here steps {kept + 1} to {lost}."
    )
    stage.repairs("Go on from what was saved.")
    lab.resumed(stage, run, lost + 8)
    stage.proves("")
    lab.same_again(stage, run)

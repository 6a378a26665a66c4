"""Trainings of several processes, of which one fails or a port is taken."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from workbench.lessons.faults import commands
from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.excerpts import excerpt
from workbench.lessons.faults.registry import fault
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage
    from workbench.runs.directory import RunDir

_TWO: Final = "--parallel.devices_per_node 2"
_SECONDS: Final = 120


@fault(
    "killed-rank",
    "One of two processes is killed",
    what_happens="Two processes share each step; one gets kill -9, the other waits for its half.",
    see="another process of this run has ended; and none of it is left waiting",
    recover="nothing to do: both are started again from the newest good checkpoint",
    starts=6,
)
def killed_rank(stage: Stage) -> None:
    """Kill one rank of two, and watch the supervisor start both again."""
    stage.breaks("A training of two processes, each with half of every step. One gets kill -9.")
    run = _launched(stage)
    both = lab.ranks(run)
    lab.halts_past_a_checkpoint(stage, run, both[1])
    stage.kills(signal.SIGKILL, *both[1])
    seen = stage.waits_for(run, "restarting")
    left = [rank for rank in both if not lab.is_gone(stage, rank)]
    stage.sees("")
    lost = max(lab.losses(run, 1))
    stage.ava("runs list", show=(4, 4))
    stage.expects("the run restarts by itself", seen.state == "restarting", seen.reason)
    stage.expects("no process is left of the attempt", not left)
    stage.because(
        "The other rank would wait in a collective for ever: nobody tells it. torchrun ends it "
        "when a rank dies; should torchrun itself be killed, the supervisor ends what is left, "
        "which it finds by a mark in the environment."
    )
    stage.repairs("Wait. Then stop it.")
    lab.retries_and_stops(stage, run, lost)


@fault(
    "stalled-rank",
    "One of two processes hangs",
    what_happens="One process is halted. Nothing fails, and nothing goes on: the silent hang.",
    see="stalled, with the time since the last sign of life; never crashed, never running",
    recover="let it go on if it can (kill -CONT); else ava runs stop --now, and resume",
    starts=3,
    waits=32,
)
def stalled_rank(stage: Stage) -> None:
    """Halt one rank until the run is called stalled, and let it go on."""
    stage.breaks("A training of two processes. One is halted (SIGSTOP), as by a dead disk.")
    run = _launched(stage)
    rank = lab.ranks(run)[1]
    stage.kills(signal.SIGSTOP, *rank)
    stage.begins("waiting for 30 s without a step …")
    seen = stage.waits_for(run, "stalled")
    stage.sees("After 30 seconds without a step, and at least 20 times what a step usually takes:")
    stage.ava("runs list", show=(4, 4))
    stage.expects("the run is called stalled", seen.state == "stalled", seen.reason)
    stage.because(
        "Each step ends with a sum over all processes. The other one waits in it, using no time, "
        "and may wait so for ever: no exit code, no message. Only the clock can tell, and it is "
        "one that no change of the date moves."
    )
    stage.repairs("This one can go on.")
    stage.kills(signal.SIGCONT, *rank)
    stage.waits(lambda: verdict(run).step > seen.step + 8, "the steps go on")
    stage.ava("runs stop pair")
    state = stage.waits_for_end(run)
    stage.proves("")
    stage.expects("it trained on, and stopped with a checkpoint", state == "stopped")
    lab.complete(stage, run)


@fault(
    "port-taken",
    "The port is taken",
    what_happens="Processes meet at a port. Another program listens there already.",
    see="EADDRINUSE, address already in use; from some launchers no line at all, only a hang",
    recover="never fix a port on one machine: the workbench takes a free one for each attempt",
    starts=4,
)
def port_taken(stage: Stage) -> None:
    """Let a plain launcher meet a port that is taken, and then the workbench's own."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        stage.breaks(
            f"Port {port} is taken: by this very lab. A plain torchrun is told to meet there."
        )
        stage.sees("")
        printed = _plain_torchrun(stage, port)
        stage.expects("the address is in use", "EADDRINUSE" in printed)
        stage.because(
            "A port in a script works until two trainings share a machine, or the last one has "
            "left an orphan that still listens."
        )
        stage.repairs("The workbench's launch of two processes, with that port still taken.")
        steps = 8
        stage.ava(
            f"train lesson --name pair --max_steps {steps} {_TWO} --max_eval_examples 4"
            f" --parallel.master_port {port} --warmup_steps 0",
            show="^batch|^step|^finished",
        )
    stage.proves("")
    run = stage.run("pair")
    stage.expects("both trained to the end", len(lab.losses(run)) == steps, verdict(run).state)


def _launched(stage: Stage) -> RunDir:
    stage.ava(f"launch lesson --name pair {lab.LONG} {_TWO}")
    run = stage.run("pair")
    lab.waits_past_a_checkpoint(stage, run)
    stage.waits(lambda: len(lab.ranks(run)) == 2, "both processes are there")
    return run


def _plain_torchrun(stage: Stage, port: int) -> str:
    """What torchrun itself says to a port that is taken; it does not get as far as a trainer."""
    words = ["--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}", "train.py"]
    command = f"torchrun {' '.join(words)}"
    stage.writes("train.py", "print('this is never reached')\n")
    stage.begins(command)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "torch.distributed.run", *words],
        cwd=stage.folder,
        env=commands.environment(stage.folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    printed = done.stdout + done.stderr
    stage.ran(command, excerpt(printed, "EADDRINUSE"), done.returncode)
    return printed

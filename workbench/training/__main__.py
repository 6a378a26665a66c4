"""The trainer process: ``python -m workbench.training RUN_DIR --attempt N``.

Exit codes: 0 finished, 75 stopped on request and saved, 2 the config or the data is wrong, 1 any
other failure. A failure that we understand is one message on stderr and the same in failure.json;
for one that we do not, the traceback goes to stderr, which is the attempt's out.log.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import RunError, TrainingError, WorkbenchError
from workbench.runs.directory import RunDir
from workbench.runs.files import atomic_write_json, explain, read_json
from workbench.training.stop import StopSignals

if TYPE_CHECKING:
    from collections.abc import Sequence

FINISHED, FAILED, STOPPED = 0, 1, 75

SEVERAL = os.environ.get("WORLD_SIZE", "1") != "1"
"""Whether this is one of several processes of the run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one attempt and say how it ended."""
    stop = StopSignals().install()  # before torch is loaded, which takes seconds
    parser = argparse.ArgumentParser(prog="python -m workbench.training")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    arguments = parser.parse_args(argv)
    run = RunDir(arguments.run_dir)
    try:
        return _attempt(run, arguments.attempt, stop)
    except Exception as error:  # noqa: BLE001 - nothing may end without a message
        # The frames of the step hold its tensors, and where memory ran out the message needs some.
        traceback.clear_frames(error.__traceback__)
        explained, unforeseen = _explained(run, arguments.attempt, error)
        code = _fail(run, arguments.attempt, explained, unforeseen=unforeseen)
    if SEVERAL:
        # The others may never answer again, and parting in order would wait for them.
        sys.stderr.flush()
        os._exit(code)
    return code


def _attempt(run: RunDir, number: int, stop: StopSignals) -> int:
    # Waiting threads should sleep; OpenMP reads this when torch is loaded. On 2 quiet cores a step
    # of tiny_cpu took 115 ms with it and 88 ms without, but beside two busy processes 0.3 s and
    # 0.9 to 1.8 s: spinning, they wait in the way of the thread that they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # An expert has another number of rows in each step, and oneDNN keeps a compiled product for
    # each number: 1,024 of them, its default, held 0.5 GB more before they were rounded
    # (kernels/ava_kernels/grouped_swiglu.py). With room for 128, eight experts in bf16 still had
    # 8 % of their time go into compiling, with 256 or more 4 %, at the same memory.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

    from workbench.training.distributed import World, open_world
    from workbench.training.environment import choose_device
    from workbench.training.loop import train
    from workbench.training.session import open_session, read_config

    config = read_config(run)
    device = choose_device(config.run, World.from_environment().local_rank)
    with open_world(config, device) as world:
        session = open_session(run, number, stop, world)
        try:
            outcome = train(session)
        finally:
            session.close()
        if world.leads:
            atomic_write_json(run.attempt_dir(number) / "ending.json", {"outcome": outcome})
    if SEVERAL:
        # While the session is still held: freeing DDP's reducer joins gloo's thread with the GIL in
        # hand, and that thread may want the GIL to let go of the last barrier. One in forty hung.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FINISHED)
    # torchrun calls everything but 0 a failure.
    return STOPPED if outcome == "stopped" and "WORLD_SIZE" not in os.environ else FINISHED


def _explained(run: RunDir, attempt: int, error: Exception) -> tuple[WorkbenchError, bool]:
    """The error as one message, and whether it may pass when the attempt is repeated."""
    if isinstance(error, WorkbenchError):
        return error, False
    if (memory := _out_of_memory(run, error)) is not None:
        return memory, False
    if SEVERAL and _is_lost_peer(error):
        return _lost_peer(error), True
    if isinstance(error, OSError):
        return _disk_trouble(run, error), False
    traceback.print_exception(error)
    return _unforeseen(run, attempt, error), True


def _fail(run: RunDir, attempt: int, error: WorkbenchError, *, unforeseen: bool = False) -> int:
    print(error.render(), file=sys.stderr)  # noqa: T201 - stderr is for narration
    with contextlib.suppress(OSError, WorkbenchError):
        directory = run.attempt_dir(attempt)
        directory.mkdir(parents=True, exist_ok=True)
        # What nobody has foreseen may pass: the supervisor tries it again (runs/restarts.py).
        told = error.to_dict() | {"unforeseen": unforeseen}
        # Of several processes the first one to fail knows why; the others only miss it.
        if not (SEVERAL and "what" in read_json(directory / "failure.json")):
            atomic_write_json(directory / "failure.json", told)
    return error.exit_code


def _disk_trouble(run: RunDir, error: OSError) -> RunError:
    return RunError(
        "the run directory cannot be written to",
        where=str(error.filename or run.path),
        why=explain(error),
        fix="make room there, or choose another folder for runs: --runs_dir DIR",
    )


def _out_of_memory(run: RunDir, error: Exception) -> WorkbenchError | None:
    """The message, if it is this that has happened."""
    from workbench.training.out_of_memory import explain as explain_memory
    from workbench.training.out_of_memory import is_out_of_memory

    if not is_out_of_memory(error):
        return None
    from workbench.training.session import read_config

    config = None
    with contextlib.suppress(WorkbenchError):
        config = read_config(run)
    return explain_memory(error, config)


def _is_lost_peer(error: Exception) -> bool:
    from workbench.training.distributed import is_lost_peer

    return is_lost_peer(error)


def _lost_peer(error: Exception) -> TrainingError:
    return TrainingError(
        "another process of this run has ended",
        where=f"rank {os.environ.get('RANK')}",
        why=str(error).splitlines()[0],
        fix="what it said is in the attempt's out.log; resuming goes on from the last checkpoint",
    )


def _unforeseen(run: RunDir, attempt: int, error: Exception) -> TrainingError:
    return TrainingError(
        f"the trainer met something that it does not understand: {type(error).__name__}: {error}",
        where=str(run.attempt_dir(attempt) / "out.log"),
        fix="the full story is in that file; resuming the run goes on from its last checkpoint",
    )


if __name__ == "__main__":
    sys.exit(main())

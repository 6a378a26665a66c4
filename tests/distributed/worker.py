"""One process of several: trains run after run, side by side with the others.

    torchrun … worker.py RUN_DIR:ATTEMPT …

Starting processes and loading torch costs more than training a tiny model, so one start serves
many runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.runs.directory import RunDir
from workbench.training.distributed import World, open_world
from workbench.training.environment import choose_device
from workbench.training.loop import train
from workbench.training.session import open_session, read_config
from workbench.training.stop import StopSignals


def main() -> None:
    jobs = [
        (RunDir(Path(path)), int(n)) for path, _, n in (a.rpartition(":") for a in sys.argv[1:])
    ]
    config = read_config(jobs[0][0])
    device = choose_device(config.run, World.from_environment().local_rank)
    with open_world(config, device) as world:
        for run, attempt in jobs:
            session = open_session(run, attempt, StopSignals(), world)
            try:
                train(session)
            finally:
                session.close()


if __name__ == "__main__":
    try:
        main()
    except WorkbenchError as error:
        sys.stderr.write(f"rank {os.environ['RANK']}: {error.render()}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)
    sys.stdout.flush()
    sys.stderr.flush()
    # As the trainer itself: gloo's threads sometimes abort a process that ends in the usual way.
    os._exit(0)

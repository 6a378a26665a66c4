"""torchrun and the deepspeed launcher with the real trainer: started, stopped, gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.trainers import output, real_run
from tests.runs.conftest import end
from tests.runs.fakes import eventually, nobody_left
from workbench.runs import process
from workbench.runs.control import start, stop, wait_for_end
from workbench.runs.files import read_json
from workbench.runs.status import verdict


@pytest.mark.slow
@pytest.mark.honours("parallel.launcher")
@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_two_at_once_are_stopped_and_go_on(
    tmp_path: Path, corpus: Path, launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of two processes beside each other meet neither each other's ports nor stops."""
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    runs = [
        real_run(
            tmp_path, name, corpus, max_steps=steps, parallel__devices_per_node=2,
            parallel__strategy="ddp", parallel__launcher=launcher, run__max_restarts=0,
        )
        for name, steps in (("short", 6), ("long", 100_000))
    ]  # fmt: skip
    short, long = runs
    try:
        for run in runs:
            start(run)
        assert read_json(short.attempt_dir(1) / "cmd.json")["launcher"] == launcher
        assert wait_for_end(short, 300).state == "finished", output(short)
        eventually(lambda: verdict(long).step >= 2 or not verdict(long).alive, 300)
        assert len(process.ranks(long.path)) == 2, output(long)
        stop(long)
        state = wait_for_end(long, 300)
        assert (state.state, state.reason) == ("stopped", "saved on request"), output(long)
        assert nobody_left(long)
        assert nobody_left(short)
    finally:
        for run in runs:
            end(run)

"""The script that compares the ledger with a GPU: as far as it goes without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.gpu_memory import Case, cases, judge, off, summary, write
from tests.conftest import ROOT
from workbench.config.schema import Config
from workbench.estimate.memory import memory_of
from workbench.hardware.devices import device
from workbench.hardware.here import with_memory

GPU = device("h100_80gb")


def test_the_configs_fill_different_parts_of_the_card() -> None:
    found = cases(GPU, 10)
    assert len(found) == 10
    assert GPU.memory_bytes is not None
    shares = [memory_of(case.config, GPU).allocated / GPU.memory_bytes for case in found]
    assert all(0.02 < share <= 0.97 for share in shares)
    at_limit = [case for case in found if case.name.startswith("at the limit")]
    assert len(at_limit) == 2
    assert [case.config for case in cases(GPU, 10)] == [case.config for case in found]


def test_what_fails_is_told_and_not_counted(tmp_path: Path) -> None:
    row = {
        "name": "one", "peak": "loss", "measured": {"allocated": 100, "reserved": 110},
        "predicted": {"allocated": 101, "reserved": None, "process": None},
    }  # fmt: skip
    broken = row | {"measured": None, "error": "out of memory"}
    assert off(row, "allocated") == pytest.approx(0.01)
    assert off(row, "reserved") is None
    told = summary([row, broken])
    assert "1 configs, median 1.000%" in told[0]
    assert "1 of 2 did not run" in told[-1]
    table = write([row, broken], {"hardware": "x", "date": "2026-01-01"}, tmp_path)
    assert "out of memory" in table.read_text()
    raw = [json.loads(line) for line in table.with_suffix(".jsonl").read_text().splitlines()]
    assert len(raw) == 3


@pytest.mark.slow
def test_the_rehearsal_meets_its_goal(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tests/benchmarks/gpu_memory.py", "--cpu", "--configs", "3", "--out",
         str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goal met" in done.stdout


@pytest.mark.slow
def test_a_config_that_does_not_run_is_a_row() -> None:
    cpu = with_memory(device("cpu"))
    config = Config.model_validate({"training": {"batch_size": 1}, "data": {"max_length": 64}})
    tree = config.model_copy(update={"model": config.model.model_copy(update={"hidden_size": 17})})
    row = judge(Case("broken", tree), cpu)
    assert row["measured"] is None
    assert row["error"]

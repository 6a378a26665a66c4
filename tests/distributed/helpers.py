"""Start several real processes, and compare what they trained with what one process trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from tests.training.helpers import curve
from workbench.training import loop
from workbench.training.session import open_session
from workbench.training.stop import StopSignals

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")


def launch(*jobs: tuple[RunDir, int], processes: int, nodes: int = 1, seconds: float = 300) -> str:
    """Train the attempts one after another on that many processes, as torchrun starts them."""
    done = subprocess.run(
        [*torchrun(processes), str(WORKER), *(f"{run.path}:{attempt}" for run, attempt in jobs)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def torchrun(processes: int) -> list[str]:
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(processes), "--",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "PYTHONWARNINGS": "default",
    }


def alone(run: RunDir, attempt: int = 1) -> None:
    """Train an attempt in this process."""
    session = open_session(run, attempt, StopSignals())
    try:
        loop.train(session)
    finally:
        session.report.close()


def assert_same_training(one: RunDir, other: RunDir, *, rtol: float = 2e-5, step: int) -> None:
    """The same curves, weights and optimizer, but for the order of additions."""
    for name, expected in curve(one).items():
        found = curve(other)[name]
        assert [step for step, _ in found] == [step for step, _ in expected], name
        torch.testing.assert_close(
            torch.tensor([value for _, value in found]),
            torch.tensor([value for _, value in expected]),
            rtol=rtol, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip
    for file in ("model.safetensors", "optimizer.safetensors"):
        first, second = (
            load_file(run.checkpoints_dir / f"step-{step:08d}" / file) for run in (one, other)
        )
        assert first.keys() == second.keys(), file
        for name, expected_tensor in first.items():
            torch.testing.assert_close(
                second[name], expected_tensor, rtol=10 * rtol, atol=1e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )  # fmt: skip

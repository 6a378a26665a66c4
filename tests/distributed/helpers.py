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


def launch(*jobs: tuple[RunDir, int], processes: int, seconds: float = 300) -> str:
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
        session.close()


def assert_same_training(
    one: RunDir,
    other: RunDir,
    *,
    last: int,
    first: int = 1,
    rtol: float = 2e-5,
    weights: bool = True,
) -> None:
    """The same curves, weights and optimizer, but for the order of additions.

    Args:
        one: The run that the other is to equal.
        other: A run that has trained from step ``first`` to ``last``.
        last: Where both have saved.
        first: Where the other one began.
        rtol: Relative tolerance of the curves.
        weights: Whether to compare the checkpoints of the last step.
    """
    found_curves = curve(other)
    for name, points in curve(one).items():
        expected = [(step, value) for step, value in points if step >= first]
        found = found_curves[name]
        assert [step for step, _ in found] == [step for step, _ in expected], name
        torch.testing.assert_close(
            torch.tensor([value for _, value in found]),
            torch.tensor([value for _, value in expected]),
            rtol=rtol, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip
    if not weights:
        return
    for file in ("model.safetensors", "optimizer.safetensors"):
        before, after = (
            load_file(run.checkpoints_dir / f"step-{last:08d}" / file) for run in (one, other)
        )
        assert after.keys() == before.keys(), file
        for name, tensor in before.items():
            torch.testing.assert_close(
                after[name], tensor, rtol=10 * rtol, atol=1e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )  # fmt: skip

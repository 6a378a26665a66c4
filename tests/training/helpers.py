"""Start the real trainer, and read what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.runs.directory import RunDir
from workbench.runs.follow import Follower

ROOT = Path(__file__).resolve().parents[2]

MakeRun = Callable[..., RunDir]


def start(run: RunDir, attempt: int) -> subprocess.Popen[bytes]:
    """The real trainer process; what it prints goes to the attempt's out.log."""
    directory = run.attempt_dir(attempt)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "out.log").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench.training", str(run.path), "--attempt", str(attempt)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def events(run: RunDir, attempt: int, kind: str) -> list[dict[str, Any]]:
    """The events of one kind that an attempt wrote."""
    path = run.attempt_events_path(attempt)
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def curve(run: RunDir) -> dict[str, list[tuple[float, float]]]:
    """What must not depend on interruptions: loss, learning rate, gradient norm, validation."""
    follower = Follower(run)
    follower.poll()
    return {
        name: list(zip(follower.series(name).steps, follower.series(name).values, strict=True))
        for name in ("loss", "lr", "grad_norm", "tokens", "val_loss")
    }


def weights(run: RunDir, step: int) -> dict[str, bytes]:
    """The tensors of a checkpoint, as bytes."""
    folder = run.checkpoints_dir / f"step-{step:08d}"
    return {
        name: (folder / name).read_bytes()
        for name in ("model.safetensors", "optimizer.safetensors")
    }


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Poll until the condition holds; the deadline is a safety net, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def rows(run: RunDir, attempt: int) -> int:
    """How many rows an attempt has written."""
    path = run.metrics_path(attempt)
    return path.read_bytes().count(b"\n") if path.exists() else 0

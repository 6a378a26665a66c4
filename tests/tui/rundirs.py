"""Run directories in every state, written as trainer and supervisor write them."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Any

from workbench.runs import process
from workbench.runs.directory import RunDir, create_run
from workbench.runs.files import atomic_write_json
from workbench.runs.writer import EventWriter, MetricWriter

if TYPE_CHECKING:
    from pathlib import Path

MAX_STEPS = 400
SAMPLE = '''\
def read(self, size=-1):
    """Read and return up to size bytes."""
    if not self._file:
        raise ValueError("not open")
    return self._buffer[:size]
'''
ERROR = {
    "kind": "DataError",
    "what": "there is no text to train on in 'notes'",
    "where": "data.path, set by command line",
    "why": "the folder holds 3 files and all of them are binary",
    "fix": "give a folder with .txt, .md, .py or .jsonl files: --data.path FOLDER",
}


def make_run(
    runs_dir: Path, name: str, *, steps: int = MAX_STEPS, seed: int = 0, nan_at: int = 0
) -> RunDir:
    """A run that has been started and has done some steps."""
    run = create_run(
        runs_dir,
        name,
        config={"training": {"max_steps": MAX_STEPS}},
        origins={},
        config_yaml="training:\n  max_steps: 400\n",
        meta={"recipe": "tiny_cpu", "title": "A small language model on this computer"},
    )
    supervisor = EventWriter(run.events_path)
    supervisor.write("attempt", attempt=1, pid=0, start_ticks=0, boot_id="", host="")
    run.attempt_dir(1).mkdir(parents=True)
    trainer = EventWriter(run.attempt_events_path(1))
    trainer.write("ready", max_steps=MAX_STEPS, start_step=0, untrained_loss=math.log(256))
    metrics = MetricWriter(run.metrics_path(1))
    noise = random.Random(seed)
    lines = []
    for step in range(1, steps + 1):
        loss = 1.75 + 3.8 * math.exp(-step / 45) + noise.gauss(0, 0.08)
        row: dict[str, Any] = {
            "step": step,
            "t": 1_700_000_000.0 + step,
            "loss": math.nan if step == nan_at else loss,
            "lr": 1e-3 * min(step / 50, 1),
            "grad_norm": 0.6 + 0.2 * noise.random(),
            "tokens": step * 4096,
            "tokens_per_s": 12_300.0,
            "step_s": 0.333,
        }
        metrics.write(row)
        lines.append(f"step {step:>4}  loss {loss:.4f}  grad norm {row['grad_norm']:.2f}")
        if step % 50 == 0:
            metrics.write({"step": step, "t": row["t"], "val_loss": loss + 0.05})
            trainer.write("sample", step=step, text=SAMPLE, path=f"samples/step-{step:08d}.txt")
    metrics.close()
    run.log_path.write_text("".join(f"{line}\n" for line in lines))
    return run


def finish(run: RunDir, *, loss: float = 1.8421) -> None:
    """All steps are done."""
    facts = {"state": "finished", "loss": loss, "seconds": 151.2, "untrained_loss": math.log(256)}
    atomic_write_json(run.summary_path, facts)
    _exit(run, code=0)


def stop(run: RunDir) -> None:
    """It was stopped and has saved."""
    _exit(run, code=75)


def fail(run: RunDir, error: dict[str, Any]) -> None:
    """It failed in a way that the trainer understood."""
    atomic_write_json(run.attempt_dir(1) / "failure.json", error)
    _exit(run, code=2)


def _exit(run: RunDir, *, code: int) -> None:
    end = {"code": code, "signal": None, "t": time.time()}
    atomic_write_json(run.attempt_dir(1) / "exit.json", end)


def hold(run: RunDir) -> int:
    """Hold the lock as a living supervisor does; close the descriptor to let go."""
    lock = process.try_lock(run.lock_path)
    assert lock is not None
    return lock

"""Real trainers without the seconds that each would take to load torch.

A nursery is a process that has torch loaded and forks a trainer when asked: a process of its own,
which runs the trainer's own `main`, and can be killed as any other.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conftest import MINI, ROOT
from workbench.plan import plan_from
from workbench.runs.directory import RunDir, create_run
from workbench.runs.follow import Follower

SERVER = """
import json, os, sys
import torch
import torch._inductor  # what use_deterministic_algorithms loads, in two seconds
torch.set_num_threads(1)
from workbench.training import __main__ as trainer
from workbench.training import loop, session
loop.draw_curves = lambda *_: None  # half of a short attempt, and nothing is compared with it
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        told = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
    else:
        told = os.fork()
        if not told:
            out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for number in (1, 2):
                os.dup2(out, number)
            os.environ.update(asked["env"])
            trainer.SEVERAL = "RANK" in asked["env"]  # as it would be found at its import
            try:
                code = trainer.main(asked["args"])
            except BaseException:
                import traceback
                traceback.print_exc()
                code = 1
            sys.stderr.flush()
            os._exit(code)
    print(json.dumps(told), flush=True)
"""


class Nursery:
    """Forks trainers; ends them all when it is left."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1"},
        )
        self._living: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pid in set(self._living):
            os.kill(pid, 9)
            self.wait(pid)
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait(120)
        self._server.stdout.close()

    def start(self, run: RunDir, attempt: int, **env: str) -> int:
        """A trainer of one process; returns its pid."""
        run.attempt_dir(attempt).mkdir(parents=True, exist_ok=True)
        asked = {
            "args": [str(run.path), "--attempt", str(attempt)],
            "out": str(run.output_path(attempt)),
            "env": env,
        }
        pid = int(self._ask(asked))
        self._living.add(pid)
        return pid

    def start_ranks(self, run: RunDir, attempt: int, count: int) -> list[int]:
        """A trainer of several processes; returns their pids by rank."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = str(listener.getsockname()[1])
        return [
            self.start(
                run, attempt, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count),
                LOCAL_WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
            )
            for rank in range(count)
        ]  # fmt: skip

    def wait(self, pid: int) -> int:
        """Wait for the end of a trainer; its exit code, negative for a signal."""
        code = int(self._ask({"wait": pid}))
        self._living.discard(pid)
        return code

    def _ask(self, what: dict[str, Any]) -> Any:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(what).encode() + b"\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the nursery has died"
        return json.loads(answer)


def real_run(folder: Path, name: str, corpus: Path, **overrides: object) -> RunDir:
    """A run of the mini model with a full config; dropout shows a forgotten random state."""
    options = {
        **MINI,
        "hidden_dropout": "0.1",
        "max_steps": "60",
        "save_steps": "7",
        "eval_steps": "20",
        "warmup_steps": "5",
        "save_total_limit": "3",
        "threads": "1",
        "device": "cpu",
        "data.path": str(corpus),
        **{key.replace("__", "."): str(value) for key, value in overrides.items()},
    }
    plan = plan_from("tiny_cpu", overrides=options)
    return create_run(
        folder / "runs",
        name,
        config=plan.tree,
        origins=plan.origins,
        config_yaml="",
        meta={"recipe": "tiny_cpu"},
    )


def story(run: RunDir) -> dict[str, list[tuple[float, str]]]:
    """What must not depend on interruptions: every step's figures, to the last bit."""
    follower = Follower(run, cached=False)
    while follower.poll():
        pass
    names = ("loss", "lr", "grad_norm", "tokens", "val_loss")
    return {
        name: [
            (step, float(value).hex())
            for step, value in zip(
                follower.series(name).steps, follower.series(name).values, strict=True
            )
        ]
        for name in names
    }


def weights(run: RunDir) -> dict[str, bytes]:
    """The tensors of the newest checkpoint, weights and optimizer, as bytes."""
    newest = max(run.checkpoints_dir.glob("step-*"))
    return {
        str(path.relative_to(newest)): path.read_bytes()
        for path in sorted(newest.rglob("*.safetensors"))
    }


def output(run: RunDir) -> str:
    """What all attempts have printed, for a message."""
    return "\n".join(run.output_path(n).read_text(errors="replace") for n in run.attempts())

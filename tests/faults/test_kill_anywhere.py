"""kill -9 at random moments of the real trainer, and again, and again: nothing is ever lost.

Attempts are forked from a process that has torch loaded, so that two hundred of them take minutes.
The moments are chosen by what the files show: in a save, in an evaluation, right after a row, in
the start; and at any time.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from typing import Any

import pytest

from tests.amounts import times
from tests.training.conftest import make_run  # noqa: F401 - a fixture
from tests.training.helpers import MakeRun, curve, events, rows, wait_for, weights
from workbench.runs.directory import RunDir
from workbench.training.__main__ import main
from workbench.training.checkpoint import verify

EVAL_STEPS = 10
TRAINING: dict[str, Any] = {"save_steps": 3, "eval_steps": EVAL_STEPS, "save_total_limit": 3}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"asynchronous": False},
    {"keep_best_n": 1, "memory_tier": {"enabled": True, "save_steps": 2}},
]
START = [
    "workbench.training.loop",
    "workbench.training.session",
    "workbench.training.curves_png",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "torch._dynamo",
]

Start = Callable[[RunDir, int], Any]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts an attempt; the processes and their parent are gone at the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(START)
    made: list[Any] = []

    def begin(run: RunDir, attempt: int) -> Any:
        run.attempt_dir(attempt).mkdir(parents=True, exist_ok=True)
        arguments = [str(run.path), "--attempt", str(attempt)]
        process = context.Process(target=main, args=(arguments,), daemon=True)
        process.start()
        made.append(process)
        return process

    yield begin
    for process in made:
        process.kill()
        process.join()
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def moment(
    kind: str, run: RunDir, attempt: int, process: Any, rng: random.Random
) -> Callable[[], None]:
    """Waits for a moment of that kind, or for the end of the process."""
    over = process.exitcode

    def gone() -> bool:
        return process.exitcode is not over

    def spin(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass

    def wait() -> None:
        if kind == "start":
            spin(rng.uniform(0, 0.4))
            return
        wanted = rng.randrange(2, 25)
        wait_for(lambda: gone() or rows(run, attempt) >= wanted, 120)
        if kind == "save":
            wait_for(lambda: gone() or any(run.checkpoints_dir.glob(".tmp-*")), 120)
            spin(rng.uniform(0, 0.004))
        elif kind == "evaluation":
            now = rows(run, attempt)
            wait_for(lambda: gone() or rows(run, attempt) >= now + EVAL_STEPS - 2, 120)
            spin(rng.uniform(0, 0.01))
        else:
            spin(rng.uniform(0, 0.02))

    return wait


def saved_steps(run: RunDir) -> list[int]:
    """The steps whose checkpoints are whole on disk."""
    return [
        int(path.name[5:]) for path in run.checkpoints_dir.glob("step-*") if verify(path) is None
    ]


def campaign(
    run: RunDir, whole: RunDir, start: Start, rng: random.Random, kills: int, last: int
) -> int:
    """Train a run to its end, killing it up to so many times. Returns how many kills there were."""
    done, promised = 0, 0
    for attempt in itertools.count(1):
        process = start(run, attempt)
        if done < kills:
            kind = rng.choice(["start", "save", "save", "evaluation", "step"])
            moment(kind, run, attempt, process, rng)()
            process.kill()
        process.join(180)
        assert process.exitcode is not None, "it hangs"
        assert not (run.attempt_dir(attempt) / "failure.json").exists()
        assert not events(run, attempt, "checkpoint_bad"), "a half one was read"
        for event in events(run, attempt, "ready"):
            assert event["start_step"] >= promised, "what was saved was not gone on from"
        promised = max([promised, *saved_steps(run)])
        steps = [step for step, _ in curve(run)["loss"]]
        assert steps == list(range(1, len(steps) + 1)), "each step once, none missing"
        if run.summary_path.exists():
            break
        done += process.exitcode != 0
    assert curve(run) == curve(whole)
    assert weights(run, last) == weights(whole, last)
    assert not list(run.checkpoints_dir.glob(".tmp-*"))
    return done


def campaigns(make_run: MakeRun, start: Start, *, kills: int, steps: int, seed: int) -> None:  # noqa: F811
    rng = random.Random(seed)
    training = TRAINING | {"max_steps": steps}
    quiet = {"evaluation": {"max_new_tokens": 4}}
    whole = make_run(training=training, **quiet)
    process = start(whole, 1)
    process.join(180)
    assert whole.summary_path.exists(), "the undisturbed run has to end"
    done = 0
    for variant in itertools.cycle(VARIANTS):
        if done >= kills:
            break
        run = make_run(training=training, checkpointing=variant, **quiet)
        done += campaign(run, whole, start, rng, kills - done, steps)


def test_a_few_kills(make_run: MakeRun, start: Start) -> None:  # noqa: F811
    campaigns(make_run, start, kills=8, steps=80, seed=7)


@pytest.mark.slow
def test_two_hundred_kills(make_run: MakeRun, start: Start) -> None:  # noqa: F811
    campaigns(make_run, start, kills=times(200), steps=400, seed=2026)

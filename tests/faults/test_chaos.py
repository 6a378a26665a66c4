"""Killed, halted and damaged at random moments, a run ends as if nothing had happened, bit for bit.

A campaign is one run that is interrupted several times: kill -9 at any moment, also inside a save;
SIGSTOP and SIGCONT; one bit of its newest checkpoint flipped; the start of a row left behind, as a
kill inside write(2) leaves it. Every attempt is the real trainer. The plan of reference/
reliability.md, finding 12 and section 5.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.amounts import times
from tests.faults.trainers import Nursery, output, real_run, story, weights
from tests.runs.conftest import end
from workbench.runs import process
from workbench.runs.control import start, wait_for_end
from workbench.runs.directory import RunDir
from workbench.runs.files import read_json
from workbench.runs.follow import last_row
from workbench.runs.status import verdict

LAST = 60  # steps, as in trainers.real_run
TWO = {"parallel__devices_per_node": 2, "parallel__strategy": "ddp"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(400)))
    return path


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


class Undisturbed:
    """The run that all others must equal."""

    def __init__(self, run: RunDir) -> None:
        self.story, self.weights = story(run), weights(run)


def undisturbed(
    nursery: Nursery, folder: Path, corpus: Path, ranks: int, **options: object
) -> Undisturbed:
    run = real_run(folder, "undisturbed", corpus, **options)
    codes = [nursery.wait(pid) for pid in attempt(nursery, run, 1, ranks)]
    assert codes == [0] * ranks, output(run)
    found = Undisturbed(run)
    assert len(found.story["loss"]) == LAST
    assert found.weights
    return found


@pytest.fixture(scope="module")
def reference(
    nursery: Nursery, tmp_path_factory: pytest.TempPathFactory, corpus: Path
) -> Undisturbed:
    return undisturbed(nursery, tmp_path_factory.mktemp("reference"), corpus, 1)


def attempt(nursery: Nursery, run: RunDir, number: int, ranks: int) -> list[int]:
    if ranks == 1:
        return [nursery.start(run, number)]
    return nursery.start_ranks(run, number, ranks)


def campaign(
    nursery: Nursery,
    run: RunDir,
    chance: random.Random,
    *,
    ranks: int,
    kills: int,
) -> dict[str, int]:
    """Interrupt a run at random until it has had enough, then let it end.

    The moments are random steps and a random while after them, so that they fall into steps,
    evaluations and saves on a machine of any speed; now and then one falls into the start.
    """
    did = {"kills": 0, "halts": 0, "flips": 0, "torn": 0}
    for number in range(1, kills + 1):
        goal = min(LAST - 1, reached(run) + chance.randrange(1, 2 * LAST // kills))
        pids = attempt(nursery, run, number, ranks)
        if chance.random() < 0.9:
            wait_for_step(run, goal, pids)
        time.sleep(chance.random() * 0.02)
        if chance.random() < 0.3:
            did["halts"] += 1
            victim = chance.choice(pids)
            os.kill(victim, signal.SIGSTOP)
            time.sleep(0.03)
            os.kill(victim, signal.SIGCONT)
        for pid in chance.sample(pids, len(pids)):
            os.kill(pid, signal.SIGKILL)  # not waited for yet, so it is still that process
        codes = [nursery.wait(pid) for pid in pids]
        did["kills"] += codes.count(-signal.SIGKILL)
        assert set(codes) <= {-signal.SIGKILL, 0} or ranks > 1, output(run)
        did["flips"] += chance.random() < 0.3 and flip_a_bit(run, chance)
        rows = run.metrics_path(number)
        if chance.random() < 0.3 and rows.exists():
            did["torn"] += 1
            with rows.open("ab") as file:
                file.write(b'{"step":50,"t":1.0,"loss":9.9')
    pids = attempt(nursery, run, kills + 1, ranks)
    assert [nursery.wait(pid) for pid in pids] == [0] * ranks, output(run)
    return did


def reached(run: RunDir) -> int:
    """The newest step of the newest attempt that has one."""
    for number in reversed(run.attempts()):
        if row := last_row(run, number):
            return int(row["step"])
    return 0


def wait_for_step(run: RunDir, step: int, pids: list[int]) -> None:
    number = max(run.attempts())
    deadline = time.monotonic() + 300
    while int((last_row(run, number) or {"step": 0})["step"]) < step:
        if not all(process.identify(pid) for pid in pids):
            return
        assert time.monotonic() < deadline, output(run)
        time.sleep(0.001)


def flip_a_bit(run: RunDir, chance: random.Random) -> bool:
    newest = max(run.checkpoints_dir.glob("step-*"), default=None)
    if newest is None:
        return False
    victim = chance.choice(sorted(path for path in newest.rglob("*") if path.is_file()))
    data = bytearray(victim.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    victim.write_bytes(data)
    return True


def check(run: RunDir, wanted: Undisturbed) -> None:
    assert story(run) == wanted.story, output(run)
    assert weights(run) == wanted.weights
    assert not list(run.checkpoints_dir.glob(".tmp-*"))


def many(
    count: int, nursery: Nursery, folder: Path, corpus: Path, wanted: Undisturbed,
    *, ranks: int, kills: int, **options: object,
) -> None:  # fmt: skip
    chance = random.Random()  # another campaign each time; its seed is told
    seed = chance.randrange(2**32)
    chance.seed(seed)
    sums: dict[str, int] = {}
    for number in range(count):
        run = real_run(folder, f"campaign-{number}", corpus, **options)
        did = campaign(nursery, run, chance, ranks=ranks, kills=kills)
        check(run, wanted)
        sums = {name: sums.get(name, 0) + times for name, times in did.items()}
    print(f"\n{count} of {count} campaigns of {ranks} bit-identical, seed {seed}: {sums}")


def test_three_campaigns(
    nursery: Nursery, tmp_path: Path, corpus: Path, reference: Undisturbed
) -> None:
    many(3, nursery, tmp_path, corpus, reference, ranks=1, kills=4)


@pytest.mark.slow
def test_forty_campaigns(
    nursery: Nursery, tmp_path: Path, corpus: Path, reference: Undisturbed
) -> None:
    many(times(40), nursery, tmp_path, corpus, reference, ranks=1, kills=6)


@pytest.mark.slow
def test_campaigns_of_two_processes(nursery: Nursery, tmp_path: Path, corpus: Path) -> None:
    wanted = undisturbed(nursery, tmp_path / "undisturbed", corpus, 2, **TWO)
    # Each takes more than a minute on two cores.
    many(times(10), nursery, tmp_path, corpus, wanted, ranks=2, kills=4, **TWO)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_under_its_supervisor_a_run_heals_itself(
    nursery: Nursery, tmp_path: Path, corpus: Path, reference: Undisturbed, ranks: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nobody resumes: kill -9 of a trainer, or of torchrun, is followed by the next attempt."""
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    options = TWO if ranks == 2 else {}
    wanted = (
        undisturbed(nursery, tmp_path / "undisturbed", corpus, ranks, **options)
        if ranks == 2
        else reference
    )
    run = real_run(tmp_path, "healing", corpus, run__max_restarts=50, **options)
    chance = random.Random(ranks)
    try:
        start(run, back_off=(0.1,))
        for goal in (10, 30, 50):
            deadline = time.monotonic() + 180
            while verdict(run).step < goal and verdict(run).alive:
                assert time.monotonic() < deadline, output(run)
                time.sleep(0.02)
            victims = [*process.ranks(run.path), verdict(run).pid]
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(chance.choice(victims), signal.SIGKILL)  # type: ignore[arg-type]
        state = wait_for_end(run, 300)
        assert state.state == "finished", f"{state}\n{output(run)}"
        check(run, wanted)
        assert not process.marked(run.path)
        ends = [read_json(run.attempt_dir(n) / "exit.json") for n in run.attempts()]
        assert all("restart" in each for each in ends[:-1])
    finally:
        end(run)

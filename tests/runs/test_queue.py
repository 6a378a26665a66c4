"""The line of runs: order of arrival, no daemon, nothing left of the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs.fakes import OBEDIENT, eventually, nobody_left, trainer
from workbench.runs.control import pause, start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir
from workbench.runs.files import read_json
from workbench.runs.overview import Overview
from workbench.runs.queue import Line, Ticket, ahead_of, devices_of, line_folder, overlap
from workbench.runs.status import verdict

Make = Callable[..., RunDir]
CPU = frozenset({"cpu"})


def tickets() -> list[str]:
    return sorted(path.name for path in line_folder().glob("*.json"))


def supervisor_of(run: RunDir) -> int:
    return int(read_json(run.lock_path)["pid"])


# The line itself.


def test_first_come_first_served(tmp_path: Path) -> None:
    lines = [Line(tmp_path / name, CPU) for name in "abc"]
    for line in lines:
        line.join(running=False)
    a, b, c = lines
    assert [each.my_turn() for each in (c, b, a)] == [False, False, True]
    assert [t.name for t in ahead_of(tmp_path / "c")] == ["a", "b"]
    assert [t.running for t in ahead_of(tmp_path / "c")] == [True, False]
    b.leave()
    assert not c.my_turn()
    a.leave()
    assert c.my_turn()
    c.leave()
    assert tickets() == []


def test_who_did_not_wait_is_waited_for(tmp_path: Path) -> None:
    first, eager = Line(tmp_path / "first", CPU), Line(tmp_path / "eager", CPU)
    first.join(running=False)
    eager.join(running=True)
    assert not first.my_turn(), "the device is taken, by a run that came later"
    eager.leave()
    assert first.my_turn()
    first.leave()


def test_other_devices_are_no_obstacle(tmp_path: Path) -> None:
    gpus = [Line(tmp_path / str(n), frozenset({f"cuda:{n}"})) for n in range(2)]
    everything = Line(tmp_path / "all", frozenset({"cuda:*"}))
    for line in (*gpus, everything):
        line.join(running=False)
    assert all(line.my_turn() for line in gpus)
    assert not everything.my_turn()
    for line in gpus:
        line.leave()
    assert everything.my_turn()
    everything.leave()


def test_a_dead_waiter_is_nobodys_obstacle_even_when_its_pid_lives_on(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom workbench.runs.queue import Line\n"
        "line = Line(Path(sys.argv[1]), frozenset({'cpu'}))\nline.join(running=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dead")], check=False, cwd=root)
    (ticket,) = line_folder().glob("*.json")
    # As if its pid were somebody else's by now: the one of this test.
    pid = str(read_json(ticket)["pid"])
    ticket.write_text(ticket.read_text().replace(f'"pid":{pid}', f'"pid":{os.getpid()}'))
    mine = Line(tmp_path / "mine", CPU)
    mine.join(running=False)
    assert mine.my_turn()
    assert len(tickets()) == 1, "and its ticket is gone"
    mine.leave()


def test_junk_in_the_folder_disturbs_nobody(tmp_path: Path) -> None:
    line_folder().mkdir(parents=True)
    (line_folder() / "0000000005.json").write_text("{")
    (line_folder() / "notes.txt").write_text("mine")
    line = Line(tmp_path / "r", CPU)
    line.join(running=False)
    assert line.my_turn()
    line.leave()
    assert (line_folder() / "notes.txt").exists()
    assert ahead_of(tmp_path / "r") == []


@pytest.mark.parametrize(
    ("device", "visible", "gpu", "found"),
    [
        ("cpu", None, True, {"cpu"}),
        ("auto", None, False, {"cpu"}),
        ("auto", None, True, {"cuda:*"}),
        ("auto", "2, 3", True, {"cuda:2", "cuda:3"}),
        ("auto", "", True, {"cpu"}),
        ("cuda", None, False, {"cuda:*"}),
        (None, None, False, {"cpu"}),
    ],
)
def test_devices(
    *, gpu: bool, tmp_path: Path, device: str | None, visible: str | None, found: set[str]
) -> None:
    if gpu:
        (tmp_path / "driver/nvidia/gpus").mkdir(parents=True)
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert devices_of({"run": {"device": device}}, environ, tmp_path) == found


def test_overlap() -> None:
    def both(a: str, b: str) -> bool:
        return overlap(frozenset(a.split()), frozenset(b.split()))

    assert both("cuda:1 cuda:2", "cuda:2 cuda:3")
    assert not both("cuda:1", "cuda:2")
    assert both("cuda:*", "cuda:2")
    assert not both("cuda:*", "cpu")
    first, later = (Ticket(n, "r", CPU, running=False, pid=1) for n in (1, 2))
    assert first.in_the_way_of(later)
    assert not later.in_the_way_of(first)


# Runs that wait.


@pytest.mark.honours("run.queue")
def test_the_next_starts_when_the_device_is_free(make: Make) -> None:
    first = make("first")
    start(first, command=trainer(OBEDIENT))
    wait_for_start(first, 120)
    queued = make("queued", run={"queue": True})
    later = make("later")
    start(queued, command=trainer("row(1, loss=1)\nwait()"))
    start(later, command=trainer("row(1, loss=1)"), queue=True)
    state = verdict(queued)
    assert (state.state, state.alive, state.attempt) == ("queued", True, 0)
    assert state.reason == "it waits for first"
    assert verdict(later).reason == "it waits for first, queued (queued)"
    overview = Overview(first.path.parent)
    overview.poll()
    assert [entry.state for entry in overview.entries].count("queued") == 2
    stop(first)
    assert wait_for_end(first, 120).state == "stopped"
    assert wait_for_start(queued, 120).state == "running"
    assert verdict(later).reason == "it waits for queued"
    stop(queued, now=True)
    assert wait_for_end(later, 120).state == "finished"
    assert tickets() == []


@pytest.mark.parametrize(("how", "said"), [(stop, "stopped"), (pause, "paused")])
def test_a_waiting_run_can_be_stopped(make: Make, how: Callable[[RunDir], None], said: str) -> None:
    first, second = make("first"), make("second")
    start(first, command=trainer(OBEDIENT))
    start(second, command=trainer(""), queue=True)
    how(second)
    state = wait_for_end(second, 120)
    assert (state.state, state.reason) == (said, "on request, while it was queued")
    assert second.attempts() == []
    start(second, command=trainer("row(1, loss=1)"))
    assert wait_for_end(second, 120).state == "finished", "and started after all, out of turn"


def test_a_killed_waiter_is_seen_and_holds_nobody_up(make: Make) -> None:
    first, second, third = make("first"), make("second"), make("third")
    start(first, command=trainer(OBEDIENT))
    start(second, command=trainer(""), queue=True)
    start(third, command=trainer("row(1, loss=1)"), queue=True)
    os.kill(supervisor_of(second), signal.SIGKILL)
    eventually(lambda: not verdict(second).alive, 120)
    assert verdict(second).state == "vanished"
    assert verdict(second).reason == "its supervisor was killed while it was queued"
    stop(first)
    assert wait_for_end(third, 120).state == "finished"
    assert tickets() == []


def test_a_killed_face_leaves_the_waiter_waiting(make: Make) -> None:
    first, second = make("first"), make("second")
    start(first, command=trainer(OBEDIENT))
    script = f"""
import os, sys
from pathlib import Path
from workbench.runs.control import start
from workbench.runs.directory import RunDir
start(RunDir(Path(sys.argv[1])), command={trainer("row(1, loss=1)")!r}, queue=True)
os.kill(os.getpid(), 9)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(second.path)], cwd=root, check=False, timeout=120
    )
    assert done.returncode == -signal.SIGKILL
    assert verdict(second).state == "queued"
    stop(first)
    assert wait_for_end(second, 120).state == "finished"


def test_a_start_that_fails_when_the_turn_comes_is_told(make: Make) -> None:
    first, second = make("first"), make("second")
    start(first, command=trainer(OBEDIENT))
    start(second, command=["/nonexistent/python"], queue=True)
    assert verdict(second).state == "queued"
    stop(first)
    state = wait_for_end(second, 120)
    assert (state.state, state.attempt) == ("failed", 0)
    assert state.error
    assert state.error["where"] == "/nonexistent/python"
    assert nobody_left(second)
    assert tickets() == []


def test_without_a_home_a_run_starts_and_does_not_wait(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "file"))
    run = make()
    start(run, command=trainer("row(1, loss=1)"))
    assert wait_for_end(run, 120).state == "finished"
    with pytest.raises(Exception, match="cannot be started"):
        start(run, command=trainer(""), queue=True)

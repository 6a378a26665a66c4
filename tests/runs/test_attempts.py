"""Restarts, several processes, secrets, memory: what the supervisor does around an attempt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runs.fakes import CHECKPOINT, LAUNCHER, OBEDIENT, eventually, nobody_left, trainer
from workbench.runs import process, restarts
from workbench.runs.control import pause, start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.launcher import HEAP
from workbench.runs.memory import kills, limit, risen
from workbench.runs.restarts import Restarts, worth_it
from workbench.runs.status import verdict

Make = Callable[..., RunDir]


def supervised(run: RunDir, command: list[str], before: str) -> None:
    """A supervisor in a process where something is not what it is, followed to its end."""
    script = f"""
import sys
from pathlib import Path
from workbench.runs import supervise
{before}
sys.exit(supervise.main(Path({str(run.path)!r}), command={command!r}, back_off=(0.0,)))
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=120)


def events(run: RunDir, kind: str) -> list[dict[str, Any]]:
    follower = Follower(run)
    follower.poll()
    return [event for event in follower.events if event["event"] == kind]


# Restarts.

FOR_EVER = (600.0,)
AT_ONCE = (0.0,)


@pytest.mark.honours("run.max_restarts")
def test_a_killed_trainer_is_started_again(make: Make) -> None:
    run = make(run={"max_restarts": 1})
    script = (
        CHECKPOINT
        + """
if attempt == 1:
    row(4, loss=1.0)
    os.kill(os.getpid(), signal.SIGKILL)
row(9, loss=0.5)
"""
    )
    start(run, command=trainer(script), back_off=AT_ONCE)
    state = wait_for_end(run, 120)
    assert (state.state, state.attempt, state.step) == ("finished", 2, 9)
    (first, second) = events(run, "exited")
    assert first["restart"] == {"in_seconds": 0.0, "number": 1, "of": 1}
    assert "restart" not in second


@pytest.mark.parametrize("limit", [0, 1])
def test_a_crash_loop_ends_with_the_last_reason(make: Make, limit: int) -> None:
    run = make(run={"max_restarts": limit})
    script = "row(attempt, loss=1)\nprint(f'end {attempt}')\nsys.exit(1)"
    start(run, command=trainer(script), back_off=AT_ONCE)
    state = wait_for_end(run, 120)
    assert (state.state, state.attempt) == ("failed", limit + 1)
    assert state.error
    assert state.error["why"] == f"end {limit + 1}"


def waiting_to_restart(make: Make) -> RunDir:
    run = make(run={"max_restarts": 9})
    start(run, command=trainer("row(4, loss=1)\nsys.exit(1)"), back_off=FOR_EVER)
    state = eventually(lambda: (s := verdict(run)).state == "restarting" and s, 120)
    assert (state.alive, state.attempt) == (True, 1)
    assert "exit code 1 at step 4; it starts again after 10" in state.reason
    return run


@pytest.mark.parametrize(("how", "said"), [(stop, "stopped"), (pause, "paused")])
def test_a_request_while_it_waits_to_restart(
    make: Make, how: Callable[[RunDir], None], said: str
) -> None:
    run = waiting_to_restart(make)
    how(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.attempt) == (said, 1)
    assert "before it was started again; the trainer ended with exit code 1" in state.reason
    assert nobody_left(run)


def test_a_supervisor_killed_while_it_waits(make: Make) -> None:
    run = waiting_to_restart(make)
    os.kill(int(read_json(run.lock_path)["pid"]), signal.SIGKILL)
    eventually(lambda: not verdict(run).alive, 120)
    assert verdict(run).state == "vanished"
    start(run, command=trainer(""))
    assert wait_for_end(run, 120).state == "finished"


def test_a_restart_that_is_refused_is_told(make: Make) -> None:
    run = make(run={"max_restarts": 9})
    supervised(
        run,
        trainer("row(4, loss=1)\nsys.exit(1)"),
        """
from workbench.runs.attempt import Attempt
real = Attempt.start
def start(self, *args):
    if self.number == 2:
        raise OSError(28, "full", "there")
    real(self, *args)
Attempt.start = start
""",
    )
    state = verdict(run)
    assert (state.state, state.alive, state.attempt) == ("failed", False, 1)
    assert state.reason.startswith("the trainer ended with exit code 1 at step 4; it was not start")
    assert events(run, "restart_failed")[0]["error"]["why"] == "there is no space left on the disk"


END = {"code": None, "signal": 9, "outcome": None, "requested": None, "began": True}


@pytest.mark.parametrize(
    ("change", "failure", "again"),
    [
        ({}, {}, True),
        ({"began": False}, {}, True),
        ({"signal": None, "code": 1}, {}, True),
        ({"signal": None, "code": 1, "began": False}, {}, False),  # an import that fails
        ({"requested": "stop"}, {}, False),
        ({"outcome": "finished", "signal": None, "code": 0}, {}, False),
        ({"out_of_memory": {}}, {}, True),
        ({"out_of_memory": {"limit_bytes": 5}}, {}, False),
        ({"signal": None, "code": 2}, {"what": "no text"}, False),
        ({"signal": None, "code": 1}, {"what": "?", "unforeseen": True}, True),
        ({"signal": None, "code": 1, "began": False}, {"what": "?", "unforeseen": True}, False),
    ],
)
def test_what_is_worth_a_restart(
    change: dict[str, Any], failure: dict[str, Any], *, again: bool
) -> None:
    assert worth_it(END | change, failure) is again


def test_waits_grow_and_progress_starts_them_over(tmp_path: Path) -> None:
    counter = Restarts(4, tmp_path)
    assert [counter.after(END, {}) for _ in range(5)] == [1.0, 5.0, 25.0, 25.0, None]
    (tmp_path / ".tmp-00000007").mkdir()
    assert counter.after(END, {}) is None, "a checkpoint that is not complete is no progress"
    (tmp_path / "step-00000007").mkdir()
    assert counter.after(END, {}) == 1.0
    assert Restarts(0, tmp_path / "missing").after(END, {}) is None
    assert restarts.newest_step(tmp_path) == 7


# Several processes.


def test_a_stop_goes_to_the_ranks_and_not_to_their_launcher(make: Make) -> None:
    run = make(parallel={"devices_per_node": 2})
    script = (
        LAUNCHER
        + """
def stop(*_):
    checkpoint(5)
    ending("stopped")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
# A data loader has inherited the rank's environment; a stop would kill it, and so the rank.
loader = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
(run / f"up{rank}").touch()
if rank == 0:
    event("ready", max_steps=9)
    row(5, loss=1.0)
while loader.poll() is None:
    time.sleep(0.01)
sys.exit(3)
"""
    )
    start(run, command=trainer(script))
    eventually(lambda: all((run.path / f"up{rank}").exists() for rank in range(2)), 120)
    assert len(process.ranks(run.path)) == 2
    stop(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("stopped", "saved on request")
    end = read_json(run.attempt_dir(1) / "exit.json")
    assert (end["code"], end["outcome"], end["forced"]) == (0, "stopped", False)
    assert nobody_left(run)


def test_exit_0_of_a_launcher_alone_is_no_success(make: Make) -> None:
    """The deepspeed launcher ends with 0 when a rank was killed."""
    run = make(parallel={"devices_per_node": 2})
    start(run, command=trainer(LAUNCHER + "row(5, loss=1.0)"))
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("failed", "the trainer ended with exit code 0 at step 5")


def test_several_processes_finish_by_saying_so(make: Make) -> None:
    run = make(parallel={"devices_per_node": 2})
    start(run, command=trainer(LAUNCHER + "row(9, loss=1.0)\nending('finished')"))
    assert wait_for_end(run, 120).state == "finished"


def test_ranks_that_hang_after_all_is_done_are_ended_and_it_counts(make: Make) -> None:
    """Seen with gloo: a rank that deadlocks in a destructor, after the last checkpoint."""
    run = make(parallel={"devices_per_node": 2}, run={"max_restarts": 3})
    script = (
        LAUNCHER
        + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
row(9, loss=1.0)
ending("finished")
if rank == 1:
    wait()
"""
    )
    supervised(
        run, trainer(script), "from workbench.runs import attempt\nattempt._PARTING_SECONDS = 0.5"
    )
    state = verdict(run)
    assert (state.state, state.attempt) == ("finished", 1)
    assert events(run, "parting_hangs")
    assert nobody_left(run)


def test_stop_before_there_are_ranks(make: Make) -> None:
    run = make(parallel={"devices_per_node": 2})
    start(run, command=trainer("wait()"))
    stop(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("stopped", "stopped on request before it began to train")


@pytest.mark.parametrize("victim", ["launcher", "rank"])
def test_whichever_process_is_killed_none_is_left(make: Make, victim: str) -> None:
    run = make(parallel={"devices_per_node": 2})
    script = LAUNCHER + "(run / f'up{rank}').touch()\nrow(1, loss=1.0)\nwait()"
    start(run, command=trainer(script))
    eventually(lambda: all((run.path / f"up{rank}").exists() for rank in range(2)), 120)
    pid = verdict(run).pid if victim == "launcher" else min(process.ranks(run.path))
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(run, 120).state == "failed"
    assert nobody_left(run)


def test_who_ignores_everything_is_killed_in_all_ranks(make: Make) -> None:
    run = make(parallel={"devices_per_node": 2})
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n(run / f'up{rank}').touch()\n"
    start(run, command=trainer(LAUNCHER + deaf + "event('ready')\nwait()"), grace=0.1)
    eventually(lambda: all((run.path / f"up{rank}").exists() for rank in range(2)), 120)
    stop(run)
    state = wait_for_end(run, 120)
    assert state.state == "stopped"
    assert "without saving" in state.reason
    assert nobody_left(run)


# Pause and resume.


def test_pause_saves_and_frees_the_device(make: Make) -> None:
    run = make()
    start(run, command=trainer(OBEDIENT))
    assert wait_for_start(run, 120).state == "running"
    pause(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.alive) == ("paused", False)
    assert (run.path / "saved").exists()
    assert nobody_left(run)
    start(run, command=trainer("row(9, loss=1)"))
    assert wait_for_end(run, 120).state == "finished"


def test_stop_after_pause_changes_nothing_and_kill_does(make: Make) -> None:
    run = make()
    slow = OBEDIENT.replace("os._exit(75)", "time.sleep(600)")
    start(run, command=trainer(slow))
    wait_for_start(run, 120)
    pause(run)
    eventually((run.path / "saved").exists)
    stop(run)
    stop(run, now=True)
    assert wait_for_end(run, 120).reason == "ended at once on request, without saving"


def test_a_changed_config_is_taken_over_by_the_supervisor(make: Make) -> None:
    run = make()
    changed = {
        "config": {"training": {"max_steps": 20}},
        "origins": {"training.max_steps": {"layer": "resumed"}},
        "yaml": "# changed\ntraining:\n  max_steps: 20\n",
        "changes": {"training.max_steps": [9, 20]},
    }
    start(run, command=trainer("row(20, loss=1)"), changes=changed)
    state = wait_for_end(run, 120)
    assert state.max_steps == 20
    assert (run.path / "config.yaml").read_text() == changed["yaml"]
    assert run.origins() == changed["origins"]
    assert events(run, "config_changed")[0]["changes"] == changed["changes"]
    assert not list(run.inbox.iterdir())


def test_a_change_for_a_run_that_cannot_start_leaves_nothing(make: Make) -> None:
    run = make()
    start(run, command=trainer(OBEDIENT))
    wait_for_start(run, 120)
    with pytest.raises(Exception, match="running already"):
        start(run, command=trainer(""), changes={"config": {"training": {"max_steps": 1}}})
    assert not list(run.inbox.iterdir())
    assert verdict(run).max_steps == 9


# Secrets.

CANARIES = {
    "HF_TOKEN": "canary-aaaaaaaa",
    "WANDB_API_KEY": "canary-bbbbbbbb",
    "MY_PASSWORD": "canary c\"c'c\\c",
    "AWS_SECRET_ACCESS_KEY": "canary+dddd/dddd",
}
SHAPED = {
    "hf": "hf_" + "AbCd1234" * 4,
    "sk": "sk-" + "AbCd1234" * 4,
    "gh": "ghp_" + "AbCd1234" * 5,
    "url": "s3cr3t-pass",
}


def test_canaries_are_found_nowhere(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 secrets through environment, arguments, output, exceptions, events and messages."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    run = make()
    script = f"""
from workbench.runs.writer import EventWriter, LogWriter
from workbench.runs.files import atomic_write_json
names = {list(CANARIES)!r}
assert all(os.environ[name] for name in names), "the trainer itself gets them"
told = " ".join(os.environ[name] for name in names)
told += " {SHAPED["hf"]} {SHAPED["sk"]} {SHAPED["gh"]} https://me:{SHAPED["url"]}@host/x"
print("x" * 5000000 + " " + told, flush=True)
print(json.dumps(told))
events, log = EventWriter(run / "attempts/0001/events.jsonl"), LogWriter(run / "training.log")
events.write("ready", told=told)
log.write(told)
atomic_write_json(run / "attempts/0001/failure.json", {{"what": told}})
raise ValueError(told)
"""
    start(run, command=[sys.executable, "-c", *trainer(script)[3:]])
    assert wait_for_end(run, 120).state == "failed"
    out = run.output_path(1).read_bytes()
    assert b"ValueError" in out
    assert b"***" in out
    texts = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for secret in (*CANARIES.values(), *SHAPED.values()):
        leaks = [str(path) for path, text in texts.items() if secret.encode() in text]
        leaks = [leak for leak in leaks if not leak.endswith("cmd.json")]  # holds this script
        assert not leaks, secret


def test_arguments_and_environment_are_masked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "canary-5f3a77")
    monkeypatch.setenv("SOMETHING_OF_MINE", "harmless, and nobody's business")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    run = make()
    start(run, command=[*trainer("")[:-1], "pass", "canary-5f3a77", SHAPED["hf"]])
    assert wait_for_end(run, 120).state == "finished"
    told = (run.attempt_dir(1) / "cmd.json").read_text()
    assert "canary" not in told
    assert SHAPED["hf"] not in told
    environment = read_json(run.attempt_dir(1) / "env.json")
    assert environment["set"]["CUDA_VISIBLE_DEVICES"] == ""
    assert {"MY_API_TOKEN", "SOMETHING_OF_MINE"} <= set(environment["names_only"])
    assert "harmless" not in str(environment)


def test_the_trainer_keeps_its_heap_unless_somebody_says_otherwise(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "131072")
    run = make()
    start(run, command=[*trainer("")[:-1], "pass"])
    assert wait_for_end(run, 120).state == "finished"
    told = read_json(run.attempt_dir(1) / "env.json")["set"]
    assert told["MALLOC_TRIM_THRESHOLD_"] == HEAP["MALLOC_TRIM_THRESHOLD_"]
    assert told["MALLOC_TOP_PAD_"] == "131072"


# Memory.


def fake_kernel(folder: Path, machine: int, group: int, *, version: int = 2) -> tuple[Path, Path]:
    proc, cgroup = folder / "proc", folder / "cgroup"
    inside = cgroup / ("a" if version == 2 else "memory/a")
    (proc / "self").mkdir(parents=True, exist_ok=True)
    inside.mkdir(parents=True, exist_ok=True)
    (proc / "vmstat").write_text(f"nr_free_pages 5\noom_kill {machine}\n")
    (proc / "meminfo").write_text("MemTotal:       1000 kB\n")
    if version == 2:
        (proc / "self/cgroup").write_text("0::/a\n")
        (inside / "memory.events").write_text(f"low 0\noom 1\noom_kill {group}\n")
        (inside / "memory.max").write_text("512000\n")
    else:
        (proc / "self/cgroup").write_text("3:cpu:/\n8:memory:/a\n0::/\n")
        (inside / "memory.oom_control").write_text(f"under_oom 0\noom_kill {group}\n")
        (inside / "memory.limit_in_bytes").write_text("512000\n")
    return proc, cgroup


@pytest.mark.parametrize("version", [1, 2])
def test_the_kernels_counts_are_read(tmp_path: Path, version: int) -> None:
    before = kills(*fake_kernel(tmp_path, 3, 1, version=version))
    assert before == {"machine": 3, "group": 1}
    assert limit(*fake_kernel(tmp_path, 3, 1, version=version)) == 512000
    assert not risen(before, before)
    assert risen(before, kills(*fake_kernel(tmp_path, 4, 1, version=version)))
    assert risen(before, kills(*fake_kernel(tmp_path, 3, 2, version=version)))
    assert kills(tmp_path / "none", tmp_path / "none") == {}
    assert limit(tmp_path / "none", tmp_path / "none") is None
    assert set(kills()) <= {"machine", "group"}, "on this machine"


def test_a_kill_by_the_kernel_is_told_as_such(make: Make, tmp_path: Path) -> None:
    """The supervisor runs in a process where the counts rise while its trainer is killed."""
    run = make(run={"max_restarts": 3})
    supervised(
        run,
        trainer("row(7, loss=1)\nos.kill(os.getpid(), signal.SIGKILL)"),
        """
from workbench.runs import memory
counts = iter([{"machine": 3, "group": 0}, {"machine": 4, "group": 1}])
memory.kills = lambda: next(counts)
memory.limit = lambda: 2 * 2**30
""",
    )
    state = verdict(run)
    assert (state.state, state.attempt) == ("failed", 1), "the same would happen again"
    assert state.reason == "memory ran out at step 7: the kernel killed the trainer"
    assert state.error
    assert "2.0 GiB are there" in state.error["why"] or "2 GiB are there" in state.error["why"]
    assert "--training.batch_size" in state.error["fix"]


def test_a_place_among_other_processes_is_not_inherited(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod's, or one that a library has left in the environment of who launches."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "7")
    run = make()
    script = "(run / 'told').write_text(' '.join(os.environ)); row(9, loss=1.0)"
    start(run, command=trainer(script))
    assert wait_for_end(run, 120).state == "finished"
    told = (run.path / "told").read_text().split()
    assert "PATH" in told
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} & set(told)

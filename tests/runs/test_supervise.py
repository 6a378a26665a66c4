"""The supervisor with real processes: every end is seen, told, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runs.fakes import (
    OBEDIENT,
    eventually,
    everything_in,
    fill_disk,
    make_run,
    nobody_left,
    trainer,
)
from workbench.errors import DataError, RunError, WorkbenchError
from workbench.runs import control, process
from workbench.runs.control import start, stop, wait_for_end, wait_for_start
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.status import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.runs.directory import RunDir

    Train = Callable[..., RunDir]

ROOT = Path(__file__).parents[2]


def begin(run: RunDir, script: str = OBEDIENT, grace: float | None = None) -> Verdict:
    start(run, command=trainer(script), grace=grace)
    state = wait_for_start(run, 120)
    assert state.state == "running", state
    return state


def supervisor_of(run: RunDir) -> int:
    return int(read_json(run.lock_path)["pid"])


def events(run: RunDir) -> list[str]:
    follower = Follower(run)
    follower.poll()
    return [event["event"] for event in follower.events]


# How a training ends.


def test_a_run_that_finishes(trained: Train) -> None:
    run = trained(trainer('event("ready")\nrow(9, loss=1.5)\nprint("hello")'))
    assert verdict(run) == Verdict("finished", "", False, None, 1, 9, 9)
    end = read_json(run.attempt_dir(1) / "exit.json")
    assert (end["code"], end["signal"], end["requested"]) == (0, None, None)
    assert run.output_path(1).read_text() == "hello\n"
    assert events(run) == ["attempt", "ready", "exited"]
    assert run.supervisor_log_path.read_bytes() == b""
    assert not [name for name in everything_in(run.path) if ".tmp-" in name or ".reserve-" in name]
    for path in run.path.rglob("*"):
        if path.parent != run.metrics_dir and path.name != "events.jsonl":
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, f"others can read {path}"


def test_a_trainer_that_saved_and_stopped_by_itself(trained: Train) -> None:
    assert verdict(trained(trainer("sys.exit(75)"))).state == "stopped"


def test_an_error_that_the_trainer_understood(trained: Train) -> None:
    error = DataError("no text", where="x.txt", why="it is empty", fix="write some").to_dict()
    run = trained(
        trainer(
            f"(run / 'attempts/0001/failure.json').write_text(json.dumps({error!r}))\nsys.exit(2)"
        )
    )
    state = verdict(run)
    assert (state.state, state.reason, state.error) == ("failed", "no text", error)
    assert state.error
    assert WorkbenchError.from_dict(state.error).exit_code == 2


def test_a_crash_is_told_with_its_last_words(trained: Train) -> None:
    run = trained(trainer('row(4, loss=1)\nprint("\\x1b[31mx")\nraise ValueError("of all things")'))
    state = verdict(run)
    assert state.state == "failed"
    assert "exit code 1 at step 4" in state.reason
    assert state.error
    assert state.error["where"] == str(run.output_path(1))
    assert "ValueError: of all things" in state.error["why"]
    assert "\x1b" not in state.error["why"]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_signal_is_told_by_name(trained: Train, name: str) -> None:
    end = f'print("last", flush=True)\nos.kill(os.getpid(), signal.{name})'
    run = trained(trainer("row(7, loss=1)\n" + end))
    state = verdict(run)
    assert state.state == "failed"
    assert f"{name} (signal {signal.Signals[name].value}) at step 7" in state.reason
    assert state.error
    assert state.error["why"] == "last"


def test_a_trainer_killed_from_outside(run: RunDir) -> None:
    state = begin(run)
    assert state.pid
    os.kill(state.pid, signal.SIGKILL)
    state = wait_for_end(run, 120)
    assert (state.state, state.alive, state.pid) == ("failed", False, None)
    assert "SIGKILL" in state.reason
    start(run, command=trainer("row(2, loss=1)"))
    assert wait_for_end(run, 120).state == "finished"
    assert verdict(run).attempt == 2


# Stopping.


def test_stop_lets_the_trainer_save(run: RunDir) -> None:
    begin(run)
    stop(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.error) == ("stopped", None)
    assert (run.path / "saved").exists()
    end = read_json(run.attempt_dir(1) / "exit.json")
    assert (end["code"], end["requested"], end["forced"]) == (75, "stop", False)
    assert "stop_requested" in events(run)
    assert not everything_in(run.inbox)
    stop(run)
    assert not everything_in(run.inbox), "nothing is asked of a run that has ended"


def test_stop_without_an_inbox(run: RunDir) -> None:
    begin(run)
    run.inbox.rmdir()
    stop(run)
    assert wait_for_end(run, 120).state == "stopped"


def test_stopping_is_seen(run: RunDir) -> None:
    begin(run, OBEDIENT.replace("os._exit(75)", "time.sleep(60)"))
    stop(run)
    eventually((run.path / "saved").exists)
    assert verdict(run).state == "stopping"
    assert eventually(lambda: not everything_in(run.inbox))
    assert verdict(run).state == "stopping", "also when the request has been taken"
    stop(run, now=True)
    assert wait_for_end(run, 120).state == "stopped"


def test_stop_before_the_trainer_listens(run: RunDir) -> None:
    start(run, command=trainer("wait()"))
    stop(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("stopped", "stopped on request before it began to train")


def test_who_does_not_save_in_time_is_told_again(run: RunDir) -> None:
    script = """
calls = []
def again(*_):
    calls.append(1)
    if len(calls) == 2:
        os._exit(143)
signal.signal(signal.SIGTERM, again)
event("ready")
wait()
"""
    begin(run, script, grace=0.2)
    stop(run)
    state = wait_for_end(run, 120)
    assert state.state == "stopped"
    assert "without saving" in state.reason


def test_who_ignores_everything_is_killed(run: RunDir) -> None:
    begin(run, 'signal.signal(signal.SIGTERM, signal.SIG_IGN)\nevent("ready")\nwait()', grace=0.2)
    stop(run)
    state = wait_for_end(run, 120)
    assert (state.state, state.alive) == ("stopped", False)
    assert read_json(run.attempt_dir(1) / "exit.json")["signal"] == signal.SIGKILL
    assert nobody_left(run)


def test_stop_now_kills(run: RunDir) -> None:
    begin(run)
    stop(run, now=True)
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("stopped", "ended at once on request, without saving")
    assert not (run.path / "saved").exists()


def test_a_failure_while_stopping_is_a_failure(run: RunDir) -> None:
    begin(run, OBEDIENT.replace("os._exit(75)", "os._exit(1)"))
    stop(run)
    assert wait_for_end(run, 120).state == "failed"


def test_a_polite_kill_of_the_supervisor_is_a_stop(run: RunDir) -> None:
    begin(run)
    os.kill(supervisor_of(run), signal.SIGTERM)
    assert wait_for_end(run, 120).state == "stopped"
    assert (run.path / "saved").exists()


# Nothing is orphaned.

CHILDREN = '''
deaf = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w")
time.sleep(600)
"""
children = (("marked", {}), ("stripped", {"env": {}}))
for name, options in children:
    subprocess.Popen(
        [sys.executable, "-S", "-c", deaf, str(run / name)], start_new_session=True, **options
    )
while not all((run / name).exists() for name, _ in children):
    time.sleep(0.01)
'''


def strays(run: RunDir) -> list[int]:
    """Children of the trainer in whatever session, found by their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(run.path / "marked") in (text := path.read_text()) or (
                str(run.path / "stripped") in text
            ):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("how", ["finish", "crash", "stop", "stop now", "trainer killed"])
def test_children_in_sessions_of_their_own_are_gone(run: RunDir, how: str) -> None:
    ends = {"finish": "", "crash": "raise ValueError"}
    if how in ends:
        start(run, command=trainer(CHILDREN + ends[how]))
    else:
        state = begin(run, CHILDREN + OBEDIENT)
        assert len(strays(run)) == 2
        if how == "trainer killed":
            assert state.pid
            os.kill(state.pid, signal.SIGKILL)
        else:
            stop(run, now=how == "stop now")
    assert not wait_for_end(run, 120).alive
    assert not strays(run)
    assert read_json(run.attempt_dir(1) / "exit.json")["surviving"] == 0


def test_a_killed_supervisor_is_seen_and_its_trainer_saves(run: RunDir) -> None:
    trainer_pid = begin(run).pid
    assert trainer_pid
    os.kill(supervisor_of(run), signal.SIGKILL)
    eventually(lambda: not verdict(run).alive)
    assert verdict(run).state == "vanished"
    eventually((run.path / "saved").exists)
    eventually(lambda: nobody_left(run))
    state = verdict(run)
    assert (state.state, state.pid) == ("vanished", None)
    assert "supervisor was killed" in state.reason
    start(run, command=trainer("row(2, loss=1)"))
    assert wait_for_end(run, 120).state == "finished"


def test_everything_killed_at_once_is_seen(run: RunDir) -> None:
    pid = begin(run).pid
    assert pid
    for each in (supervisor_of(run), pid):
        os.kill(each, signal.SIGKILL)
    eventually(lambda: not verdict(run).alive)
    assert verdict(run).state == "vanished"


def test_the_next_start_ends_what_a_killed_supervisor_left(run: RunDir) -> None:
    """A child in its own session hears of nothing: only the marker finds it."""
    begin(run, CHILDREN.replace(' ("stripped", {"env": {}})', "") + OBEDIENT)
    os.kill(supervisor_of(run), signal.SIGKILL)
    eventually((run.path / "saved").exists)
    eventually(lambda: list(process.marked(run.path)) == strays(run) != [])
    start(run, command=trainer("row(2, loss=1)"))
    assert not strays(run)
    assert wait_for_end(run, 120).state == "finished"
    assert "leftovers_ended" in events(run)


def test_a_killed_face_leaves_the_run_going(run: RunDir) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from workbench.runs.control import start
from workbench.runs.directory import RunDir
start(RunDir(Path(sys.argv[1])), command={trainer(OBEDIENT)!r})
os.killpg(0, signal.SIGKILL)
"""
    face = subprocess.run(
        [sys.executable, "-c", script, str(run.path)],
        cwd=ROOT, start_new_session=True, check=False,
    )  # fmt: skip
    assert face.returncode == -signal.SIGKILL
    state = wait_for_start(run, 120)
    assert (state.state, state.alive) == ("running", True)
    stop(run)
    assert wait_for_end(run, 120).state == "stopped"


# Starting.


def test_of_many_starts_one_wins(run: RunDir) -> None:
    def attempt(_: int) -> str:
        try:
            start(run, command=trainer(OBEDIENT))
        except RunError as error:
            return error.what
        return "started"

    with ThreadPoolExecutor(6) as pool:
        results = sorted(pool.map(attempt, range(6)))
    assert results == ["r is running already"] * 5 + ["started"]
    assert run.attempts() == [1]


def test_a_trainer_that_does_not_exist(run: RunDir) -> None:
    with pytest.raises(RunError) as caught:
        start(run, command=["/nonexistent/python"])
    assert caught.value.where == "/nonexistent/python"
    assert not everything_in(run.attempts_dir)
    assert verdict(run).state == "stopped"
    start(run, command=trainer(""))
    assert wait_for_end(run, 120).state == "finished"


def test_a_full_disk_at_the_start(small_disk: Path) -> None:
    run = make_run(small_disk)
    fill_disk(small_disk)
    with pytest.raises(RunError) as caught:
        start(run, command=trainer(""))
    assert "no space" in str(caught.value.why)
    assert not everything_in(run.attempts_dir)
    assert not verdict(run).alive


def test_a_disk_that_fills_up_while_training(small_disk: Path) -> None:
    """The end is still written and told, though the trainer could write nothing at all."""
    run = make_run(small_disk)
    script = """
with (run / "ballast").open("ab", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
raise OSError("no room for the checkpoint")
"""
    start(run, command=trainer(script))
    state = wait_for_end(run, 120)
    assert state.state == "failed"
    assert state.error
    assert "no space" in state.error["why"]


def test_a_supervisor_that_dies_at_once(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named workbench >&2\nexit 1\n")
    python.chmod(0o700)
    monkeypatch.setattr(control.sys, "executable", str(python))
    with pytest.raises(RunError, match="died while it started") as caught:
        start(run)
    assert caught.value.why == "no module named workbench"
    assert caught.value.where == str(run.supervisor_log_path)


def test_a_lock_that_cannot_be_taken(run: RunDir) -> None:
    run.lock_path.symlink_to("/etc/passwd")
    with pytest.raises(RunError) as caught:
        start(run, command=trainer(""))
    assert "symbolic link" in str(caught.value.why)


def test_a_run_of_another_version_is_not_trained(run: RunDir) -> None:
    run.meta_path.write_text(run.meta_path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(RunError, match="another version"):
        start(run, command=trainer(""))
    assert not everything_in(run.attempts_dir)


def test_a_command_to_an_earlier_attempt_is_not_obeyed(run: RunDir) -> None:
    (run.inbox / "kill").touch()
    begin(run)
    stop(run)
    assert wait_for_end(run, 120).reason == "saved on request"


def test_a_resumed_run_works_where_it_was_started(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        start(run, command=trainer("print(os.getcwd())"))
        wait_for_end(run, 120)
    assert run.output_path(2).read_text() == f"{tmp_path}/here\n"


def test_a_supervisor_in_the_foreground(run: RunDir) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workbench.runs.supervise", str(run.path), "--", *trainer("")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == done.stderr == ""
    assert verdict(run).state == "finished"
    done = subprocess.run(
        [sys.executable, "-m", "workbench.runs.supervise", str(run.path / "metrics")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: metrics is no run")


def test_secrets_of_the_environment_are_written_nowhere(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "canary-5f3a")
    run = trained(trainer("assert os.environ['MY_API_TOKEN']"))
    assert verdict(run).state == "finished"
    assert all(b"canary-5f3a" not in p.read_bytes() for p in run.path.rglob("*") if p.is_file())

"""Identities and locks: a stranger is never taken for ours, and never signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.runs.fakes import eventually
from workbench.runs import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def fake_proc(tmp_path: Path, pid: int, *, start: int, boot: str = "b1", state: str = "S") -> Path:
    """A /proc with one process, whose name is as nasty as the kernel allows."""
    (tmp_path / str(pid)).mkdir(parents=True, exist_ok=True)
    fields = [state, "1", *["0"] * 17, str(start), "0"]
    (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) S 1 (b c) {' '.join(fields)}\n")
    boots = tmp_path / "sys/kernel/random"
    boots.mkdir(parents=True, exist_ok=True)
    (boots / "boot_id").write_text(boot + "\n")
    return tmp_path


def test_a_process_in_the_middle_of_exec_is_found(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, 77, start=1000)
    environ = proc / "77" / "environ"
    environ.touch()
    marked = f"{process.MARKER}={process.marker(tmp_path / 'run')}\0"
    filled = threading.Timer(0.003, environ.write_text, [marked])
    filled.start()
    assert process.marked(tmp_path / "run", proc) == {77: 1000}
    filled.join()
    environ.write_text("")
    assert process.marked(tmp_path / "run", proc) == {}, "a process may have no environment"


def test_an_identity_survives_json() -> None:
    me = process.identify(os.getpid())
    assert me
    assert process.is_alive(me)
    assert process.Identity.from_dict(me.to_dict()) == me
    for broken in ({}, {"pid": 1}, {"pid": "1", "start_ticks": 2}, {"pid": -1, "start_ticks": 2}):
        assert process.Identity.from_dict(broken) is None


def test_a_reused_pid_is_somebody_else(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, 77, start=1000)
    ours = process.identify(77, proc)
    assert ours
    assert (ours.pid, ours.start_ticks, ours.boot_id) == (77, 1000, "b1")
    assert process.is_alive(ours, proc)
    fake_proc(tmp_path, 77, start=2000)
    assert not process.is_alive(ours, proc), "another process has the pid"
    fake_proc(tmp_path, 77, start=1000, boot="b2")
    assert not process.is_alive(ours, proc), "same pid, same ticks, after a reboot"
    fake_proc(tmp_path, 77, start=1000, state="Z")
    assert not process.is_alive(ours, proc), "a zombie does nothing any more"
    assert process.identify(78, proc) is None


def test_a_stranger_is_not_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process.identify(sleeper.pid)
    assert identity
    assert not process.send_signal(identity.pid, identity.start_ticks - 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert process.send_signal(identity.pid, identity.start_ticks, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL
    assert not process.send_signal(identity.pid, identity.start_ticks, signal.SIGKILL)


def test_the_marker_is_matched_whole(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "run2"
    (tmp_path / "link").symlink_to(run)
    run.mkdir()
    children = [
        subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
        for env in ({process.MARKER: str(run)}, {process.MARKER: str(other)}, {"X": str(run)})
    ]
    try:
        assert list(eventually(lambda: process.marked(run))) == [children[0].pid]
        assert list(process.marked(tmp_path / "link")) == [children[0].pid]
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_all_descendants_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    nest = subprocess.Popen(
        [sys.executable, "-S", "-c", "import os\nos.fork()\nos.fork()\nimport time\ntime.sleep(60)"]
    )
    try:
        eventually(lambda: len(process.descendants(nest.pid)) == 3)
        assert {sleeper.pid, nest.pid} <= process.descendants(os.getpid()).keys()
        count, left = process.end_all(lambda: process.descendants(nest.pid), grace=5)
        assert (count, left) == (3, 0)
        assert sleeper.poll() is None
    finally:
        nest.kill()
        nest.wait()


def test_who_ignores_the_request_is_killed() -> None:
    script = (
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint(flush=True)\ntime.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    identity = process.identify(child.pid)
    assert identity

    def left() -> dict[int, int]:
        return {} if child.poll() is not None else {identity.pid: identity.start_ticks}

    assert process.end_all(left, grace=0.1) == (1, 0)
    assert child.returncode == -signal.SIGKILL
    child.stdout.close()


def test_a_lock_is_held_until_its_holder_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert process.is_locked(path) is False
    held = process.try_lock(path)
    assert held is not None
    assert process.is_locked(path) is True
    assert process.try_lock(path) is None
    child = subprocess.Popen(["sleep", "60"])  # a child does not inherit the lock
    os.close(held)
    assert process.is_locked(path) is False
    child.kill()
    child.wait()


def test_a_reader_that_looks_never_keeps_a_run_from_starting(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    path.touch()

    def look() -> None:
        while not stop.is_set():
            process.is_locked(path)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(100):
            held = process.try_lock(path)
            assert held is not None
            os.close(held)
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_the_lock_of_a_deleted_run_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    take = process._flock

    def deleted_in_between(descriptor: int, kind: int) -> bool:
        path.unlink()
        return take(descriptor, kind)

    monkeypatch.setattr(process, "_flock", deleted_in_between)
    assert process.try_lock(path) is None

"""Faults of reference/reliability.md that are no single module's: each with what it owes the user.

FAULTS.md lists all of them with the test that shows the promised behaviour.
"""

from __future__ import annotations

import ast
import errno
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runs.conftest import end
from tests.runs.fakes import OBEDIENT, eventually, make_run, trainer
from workbench.runs.control import start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir
from workbench.runs.files import explain
from workbench.runs.follow import Follower
from workbench.runs.status import verdict
from workbench.runs.watch import Watch
from workbench.runs.writer import LineWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RunDir]]:
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    made: list[RunDir] = []

    def make_one(name: str = "r", **sections: dict[str, object]) -> RunDir:
        made.append(make_run(tmp_path, name, **sections))  # type: ignore[arg-type]
        return made[-1]

    yield make_one
    for run in made:
        end(run)


def test_every_fault_of_the_table_has_a_test() -> None:
    table = (Path(__file__).parent / "FAULTS.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", table)
    assert len(named) > 30
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (
            f"{file} has no {name}"
        )
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert numbers == set(range(1, 46)), "all 45, those of others too"


def test_a_taken_port_is_explained(make: Callable[..., RunDir]) -> None:
    run = make(run={"max_restarts": 3})
    words = (
        "RuntimeError: The server socket has failed to listen: EADDRINUSE, Address already in use"
    )
    start(run, command=trainer(f"print({words!r})\nsys.exit(1)"))
    state = wait_for_end(run, 120)
    assert (state.state, state.attempt) == ("failed", 1), "before it trained: no restart helps"
    assert state.error
    assert "--parallel.master_port" in state.error["fix"]
    assert "Address already in use" in state.error["why"]


@pytest.mark.parametrize(
    "how", ["gone", "a folder", "a pipe", "junk", "empty", "a link to nowhere"]
)
def test_a_config_that_cannot_be_read_is_one_message(make: Callable[..., RunDir], how: str) -> None:
    """Who needs it says so; who does not goes on: nothing hangs on it, not even on a pipe."""
    run = make()
    run.config_path.unlink()
    if how == "a folder":
        run.config_path.mkdir()
    elif how == "a pipe":
        os.mkfifo(run.config_path)
    elif how == "junk":
        run.config_path.write_bytes(b"\xff\0{")
    elif how == "empty":
        run.config_path.write_bytes(b"")
    elif how == "a link to nowhere":
        run.config_path.symlink_to("/nonexistent/file")
    with pytest.raises(Exception, match="no run, or a damaged one"):
        run.config()
    assert verdict(run).max_steps is None
    start(run, command=trainer("row(1, loss=1)"))
    assert wait_for_end(run, 120).state == "finished"


def test_a_crash_is_on_every_screen_at_the_next_look(make: Callable[..., RunDir]) -> None:
    """From the kill to the verdict there is nothing to wait for but the supervisor's look."""
    run = make()
    watch = Watch(run)
    start(run, command=trainer(OBEDIENT))
    state = wait_for_start(run, 120)
    assert state.pid
    os.kill(state.pid, signal.SIGKILL)
    # However often it is looked at, the verdict is that of the files: nothing is cached beyond
    # four quiet looks, which are 0.4 s for the command line.
    eventually(lambda: (watch.poll(), watch.verdict.state == "failed")[1])
    shown = watch.snapshot()
    assert "SIGKILL (signal 9) at step 1" in shown.verdict.reason
    eventually(lambda: not verdict(run).alive)


def test_a_loss_that_is_no_number_is_kept_and_shown(make: Callable[..., RunDir]) -> None:
    run = make()
    script = """
row(1, loss=2.0)
row(2, loss="nan")
row(3, loss="inf")
(run / "attempts/0001/failure.json").write_text(json.dumps({"what": "the loss became nan"}))
sys.exit(1)
"""
    start(run, command=trainer(script))
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == ("failed", "the loss became nan")
    follower = Follower(run)
    follower.poll()
    assert [str(value) for value in follower.series("loss").values] == ["2.0", "nan", "inf"]


def test_finished_without_its_checkpoint_is_not_green(make: Callable[..., RunDir]) -> None:
    run = make()
    script = '(run / "summary.json").write_text(json.dumps({"step": 9}))\nrow(9, loss=1)'
    start(run, command=trainer(script))
    state = wait_for_end(run, 120)
    assert (state.state, state.reason) == (
        "finished", "not saved: there is no checkpoint of its last step, 9",
    )  # fmt: skip
    (run.checkpoints_dir / "step-00000009").mkdir()
    assert verdict(run).reason == ""


def test_a_copied_run_is_read_and_goes_on_as_its_own(
    make: Callable[..., RunDir], tmp_path: Path
) -> None:
    import shutil

    run = make()
    start(run, command=trainer(OBEDIENT))
    wait_for_start(run, 120)
    copy = RunDir(tmp_path / "elsewhere/copy")
    shutil.copytree(run.path, copy.path)
    assert verdict(copy).alive is False
    assert verdict(copy).state == "vanished"
    start(copy, command=trainer("row(9, loss=1)"))
    assert wait_for_end(copy, 120).state == "finished"
    assert verdict(run).state == "running", "the original is not touched"
    stop(run)
    assert wait_for_end(run, 120).state == "stopped"


def test_a_read_only_run_can_be_read(make: Callable[..., RunDir]) -> None:
    run = make()
    start(run, command=trainer("row(1, loss=1.5)"))
    wait_for_end(run, 120)
    before = sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*"))
    shown = Watch(run).catch_up()
    assert shown.last["loss"] == 1.5
    assert sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*")) == before


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC])
def test_a_disk_in_trouble_delays_rows_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writer = LineWriter(tmp_path / "0001.jsonl")
    writer.append(b"1")
    real = os.write

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    for row in (b"2", b"3"):
        writer.append(row)
    assert writer.pending == 2
    assert writer.problem == explain(OSError(number, ""))
    monkeypatch.setattr(os, "write", real)
    writer.close()
    assert (tmp_path / "0001.jsonl").read_bytes() == b"1\n2\n3\n"


def test_two_readers_and_none_disturbs_the_other(make: Callable[..., RunDir]) -> None:
    run = make()
    first, second = Follower(run), Follower(run)
    start(run, command=trainer("for step in range(1, 200): row(step, loss=1 / step)"))
    while verdict(run).alive:
        first.poll()
        second.poll(max_bytes=100)
    first.poll()
    while second.poll():
        pass
    for follower in (first, second):
        assert list(follower.series("loss").steps) == list(range(1, 200))


def test_nothing_of_a_run_is_open_to_others(make: Callable[..., RunDir]) -> None:
    before = os.umask(0o000)
    try:
        run = make()
        start(run, command=trainer(OBEDIENT))
        wait_for_start(run, 120)
        stop(run)
        wait_for_end(run, 120)
    finally:
        os.umask(before)
    assert run.path.stat().st_mode & 0o077 == 0
    open_to_others = [str(path) for path in run.path.rglob("*") if path.stat().st_mode & 0o077]
    assert not open_to_others


FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "yaml.load",
}  # fmt: skip
# The ledger compiles and evaluates formulas that it has written itself; no text of a user's file
# gets there.
ALLOWED = {("estimate", "eval"), ("estimate", "exec")}


def test_no_module_starts_a_shell_or_loads_a_pickle() -> None:
    """By the text of the source: no shell, no pickle, no eval, no unsafe load."""
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        part = path.relative_to(ROOT / "workbench").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            wrong = called in FORBIDDEN and (part, called) not in ALLOWED
            assert not wrong, f"{path}:{node.lineno} calls {called}"
            for word in node.keywords:
                value = word.value.value if isinstance(word.value, ast.Constant) else None
                assert not (word.arg == "shell" and value), f"{path}:{node.lineno}"
                assert not (word.arg == "weights_only" and value is False), f"{path}:{node.lineno}"

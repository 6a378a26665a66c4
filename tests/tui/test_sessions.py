"""Whole sessions in a real terminal: by keys alone, by mouse alone, and after a hard death."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tui import rundirs
from tests.tui.terminal import AVA_TUI, Terminal
from tests.tui.tmux import THERE, Tmux, wait
from workbench.runs import process
from workbench.runs.control import stop, wait_for_end
from workbench.runs.directory import open_run
from workbench.runs.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.runs.directory import RunDir

needs_tmux = pytest.mark.skipif(not THERE, reason="tmux is not here")
SIZE = (140, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which no run outlives the test."""
    yield tmp_path
    for path in (tmp_path / "runs").glob("*/"):
        run = open_run(tmp_path / "runs", path.name)
        if process.is_locked(run.lock_path):
            stop(run, now=True)
            wait_for_end(run, 60)


def only_run(folder: Path) -> RunDir:
    (path,) = (folder / "runs").glob("*/")
    return open_run(folder / "runs", path.name)


def nothing_lives(folder: Path) -> None:
    wait(lambda: not process.marked(only_run(folder).path), lambda: "the end of every process")


def set_key(tmux: Tmux, name: str, value: str) -> None:
    """Find a key in Build with the keyboard, and type a value."""
    tmux.press("/")
    tmux.see("search >")
    tmux.type(name)
    tmux.see(f"found: {name}")
    tmux.press("Enter")
    tmux.gone("search >")
    tmux.press("Home")
    tmux.see(f"training.{name}  a whole")
    tmux.press("Enter")
    tmux.see("enter keep")
    tmux.type(value)
    tmux.press("Enter")
    tmux.see(f"{value} ", "was")


@needs_tmux
@pytest.mark.slow
def test_from_the_start_to_a_finished_run_with_the_keys_alone(folder: Path) -> None:
    with Tmux(SIZE, folder, []) as tmux:
        tmux.see("tiny_cpu", "tokens per step", "none yet")
        tmux.press("e")
        tmux.see("as it is", "One step")
        for name, value in (
            ("max_steps", "20"), ("warmup_steps", "5"), ("eval_steps", "10"), ("save_steps", "10"),
        ):  # fmt: skip
            set_key(tmux, name, value)
        tmux.press("Escape")
        tmux.see("4 edits")
        tmux.press("l")
        tmux.see("name of the run", "20 steps")
        tmux.type("keys")
        tmux.press("Enter")
        tmux.see("All 20 steps are done")
        tmux.press("v")
        tmux.see("Curves", "nats per token")
        tmux.press("e")
        tmux.see("Export")
        tmux.type("csv")
        tmux.press("Enter")
        tmux.see("written:")
        tmux.press("Escape")
        tmux.see("RUNS", "finished  loss")
        tmux.press("q")
        assert tmux.wait() == 0
    assert only_run(folder).name == "keys"
    assert only_run(folder).config()["training"]["max_steps"] == 20
    (written,) = folder.glob("keys-loss-*.csv")
    assert len(written.read_text().splitlines()) == 21
    nothing_lives(folder)


@needs_tmux
@pytest.mark.slow
def test_from_the_start_to_a_finished_run_with_the_mouse_alone(folder: Path) -> None:
    with Tmux(SIZE, folder, []) as tmux:
        tmux.see("tiny_cpu", "tokens per step", "none yet")
        tmux.click("tiny_cpu")
        tmux.click(" edit")
        tmux.see("as it is", "One step")  # of Build, and not of the recipe
        tmux.click("max_steps  ")
        tmux.see("training.max_steps  a whole")
        for steps in ("500", "250", "125", "62", "31", "15"):
            tmux.click(" - ")
            tmux.see(f"{steps} optimizer steps  was 1000")
        tmux.click("warmup_steps  ")
        tmux.see("training.warmup_steps  a whole")
        for steps in ("50", "25", "12", "6"):
            tmux.click(" - ")
            tmux.see(f"{steps} optimizer steps  was 100")
        tmux.click(" launch")
        tmux.see("name of the run")
        tmux.click("Launch ", nth=2)
        tmux.see("All 15 steps are done")
        tmux.click(" curves")
        tmux.see("Curves", "nats per token")
        tmux.click(" export")
        tmux.click("the picture as it stands here")
        tmux.see("written:")
        tmux.click(" back")
        tmux.see("RUNS", "finished  loss")
        tmux.click(" quit")
        assert tmux.wait() == 0
    assert only_run(folder).config()["training"]["max_steps"] == 15
    (written,) = folder.glob("*-loss-*.svg")
    assert written.read_text().startswith("<svg")
    nothing_lives(folder)


@needs_tmux
@pytest.mark.slow
def test_a_lesson_with_the_keys_alone(folder: Path) -> None:
    mine = folder / "mine"
    with Tmux((100, 40), folder, ["--workspace", str(mine)]) as tmux:
        tmux.see("tiny_cpu", "tokens per step", "none yet")
        tmux.press("F2")
        tmux.see("BASICS", "First launch", "not attempted")
        tmux.press("Enter")
        tmux.see("1  First launch", "1 of ")
        tmux.press("Right")
        tmux.see("2 of ")
        tmux.press("Enter")  # a cell on a real kernel, the set-up cell first
        tmux.see("tokens per step", "● kernel", "done")
        tmux.press("e")
        tmux.see("keep and run")
        tmux.type("print(6 * 7)")
        tmux.press("Enter", "F9")
        tmux.see("42", "edited")
        kernel = _kernel_of(tmux.pid)
        tmux.press("Escape")
        tmux.see("BASICS")
        tmux.press("q")
        tmux.see("RECIPES")
        tmux.press("q")
        assert tmux.wait() == 0
    assert "print(6 * 7)" in (mine / "01-first-launch.ipynb").read_text()
    wait(lambda: not Path(f"/proc/{kernel}").exists(), lambda: "the end of the kernel")
    with Tmux((100, 40), folder, ["--workspace", str(mine), "--lesson", "1"]) as tmux:
        tmux.see("1  First launch")
        tmux.press("Right")
        tmux.see("print(6 * 7)", "42", "edited")
        tmux.press("Enter")
        tmux.see("● kernel", "done")
        kernel = _kernel_of(tmux.pid)
        os.kill(tmux.pid, signal.SIGKILL)  # a kernel is no run: it ends with the face
        tmux.wait()
        wait(lambda: not Path(f"/proc/{kernel}").exists(), lambda: "the end of the kernel")


def _kernel_of(pid: int) -> int:
    """The kernel that a face has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(
        int(child)
        for child in children
        if b"ipykernel" in Path(f"/proc/{child}/cmdline").read_bytes()
    )


@needs_tmux
@pytest.mark.slow
def test_a_run_outlives_a_killed_face_and_is_there_again(folder: Path) -> None:
    with Tmux(SIZE, folder, []) as tmux:
        tmux.see("tiny_cpu", "tokens per step", "none yet")
        tmux.press("Enter")
        tmux.see("Name of the run")
        tmux.type("long")
        tmux.press("Enter")
        tmux.see("It writes", "step ")
        before = _step(only_run(folder))
        os.kill(tmux.pid, signal.SIGKILL)
        assert tmux.wait() == -signal.SIGKILL
    run = only_run(folder)
    wait(lambda: _step(run) > before + 5, lambda: f"steps after {before}")
    assert process.is_locked(run.lock_path)
    with Terminal(AVA_TUI, columns=140, rows=40, cwd=folder) as terminal:
        terminal.see(b"long", b"running")
        since = len(terminal.output)
        terminal.send(b"w")
        terminal.see(b"each step", since=since)
        # Wall clock lies on a busy machine; what it takes is what the process was charged.
        assert _cpu(terminal.pid) < 1.0
        terminal.send(b"q")
        terminal.see(b"goes on without ava-tui")
        terminal.send(b"\r")
        assert terminal.wait() == 0
    assert process.is_locked(run.lock_path)


def test_without_anything_to_do_nothing_is_sent(tmp_path: Path) -> None:
    rundirs.finish(rundirs.make_run(tmp_path / "runs", "done"))
    with Terminal(AVA_TUI, cwd=tmp_path) as terminal:
        terminal.see(b"tiny_cpu", b"done", "✓".encode(), b"2,048 tokens")
        terminal.quiet(1.5)  # the last of what belongs to the start
        before, since = len(terminal.output), _cpu(terminal.pid)
        terminal.listen(3.0)
        assert len(terminal.output) == before
        assert _cpu(terminal.pid) - since < 0.3
        terminal.send(b"q")
        assert terminal.wait() == 0


def _step(run: RunDir) -> int:
    watch = Watch(run, 0.0)
    watch.poll()
    return watch.snapshot().step


def _cpu(pid: int) -> float:
    """CPU seconds that a process has been charged so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""`ava-tui` in a real terminal: what arrives there, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tui.terminal import AVA_TUI, RESTORED, ROOT, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """`ava-tui` in an empty folder, with its recipes on the screen."""
    with Terminal(AVA_TUI, cwd=tmp_path) as opened:
        opened.see(b"tiny_cpu", b"none yet")
        yield opened


def assert_works(terminal: Terminal) -> None:
    """It still answers to keys, and leaves in order."""
    since = len(terminal.output)
    terminal.send(b"\x1bOS")  # F4: some of what came before may have been keys
    terminal.send(b"t")
    terminal.see(b"48;2;255;255;255", since=since)  # the background of the light theme
    terminal.send(b"q")
    assert terminal.wait() == 0
    assert_restored(terminal)


def assert_restored(terminal: Terminal) -> None:
    assert all(code in terminal.output for code in RESTORED)
    assert terminal.output.rindex(b"\x1b[?1049l") > terminal.output.rindex(b"\x1b[?1049h")
    assert b"Traceback" not in terminal.output


def test_keys_and_a_clean_end(terminal: Terminal) -> None:
    assert_works(terminal)
    assert terminal.attributes() == terminal.before


@pytest.mark.parametrize(
    "junk",
    [
        b"\x1b[M \x21\x21",  # an old mouse report
        b"\x1b[M\xa0\xff\x80" * 50,  # the same far to the right: bytes that are no UTF-8
        bytes(range(0x80, 0x100)) * 20,
        b"\xf0\x9f\x98",  # the first bytes of a character whose end never comes
        b"\x1b[99999999999u\x1b[4294967296;5u",  # a key that cannot exist
        b"\x1b[<0;-5;-7M\x1b]52;c;\x07\x1bP+r\x1b\\",
        b"\x1b[200~" + b"pasted text \xff\n" * 15_000 + b"\x1b[201~",
    ],
    ids=["x10", "x10-bytes", "invalid", "cut", "key", "sequences", "paste"],
)
def test_no_input_ends_it(terminal: Terminal, junk: bytes) -> None:
    terminal.send(junk)
    assert_works(terminal)


def test_a_storm_of_resizes_ends_with_the_right_picture(terminal: Terminal) -> None:
    for step in range(200):
        terminal.resize(1 + step * 7 % 200, 1 + step * 5 % 60)
    terminal.resize(100, 30)
    terminal.see(b"Compare", since=len(terminal.output))
    assert_works(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(terminal: Terminal, number: signal.Signals) -> None:
    os.kill(terminal.pid, number)
    assert terminal.wait() == 128 + number
    assert_restored(terminal)
    assert terminal.attributes() == terminal.before


def test_a_fault_of_our_own_is_a_message(tmp_path: Path) -> None:
    code = (
        "import tempfile\nfrom workbench.tui import main\n"
        "from workbench.tui.screens.main import Main\n"
        f"tempfile.tempdir = {str(tmp_path)!r}; Main.action_theme = lambda self: 1 / 0\n"
        "raise SystemExit(main([]))"
    )
    with Terminal([sys.executable, "-c", code], cwd=tmp_path) as terminal:
        terminal.see(b"none yet")
        terminal.send(b"t")
        assert terminal.wait() == 1
        assert_restored(terminal)
        assert b"error: ava-tui made a mistake" in terminal.output
        assert b"division by zero" in terminal.output
    (report,) = tmp_path.glob("ava-tui-*.log")
    assert "Traceback" in report.read_text()


def test_it_ends_when_the_terminal_is_gone(terminal: Terminal) -> None:
    os.close(terminal.master)
    _, status, usage = os.wait4(terminal.pid, 0)
    terminal._note(status, usage)
    assert terminal.status in (128 + signal.SIGHUP, -signal.SIGHUP)


def test_suspended_and_continued(terminal: Terminal) -> None:
    terminal.send(b"\x1a")
    _, status = os.waitpid(terminal.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    since = len(terminal.output)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.see(b"RECIPES", since=since)
    assert_works(terminal)


def test_nothing_heavy_is_there_before_the_first_paint() -> None:
    code = (
        "import sys, workbench.tui.app, workbench.plan;"
        " heavy = {'torch', 'numpy', 'pydantic', 'matplotlib', 'tree_sitter', 'markdown_it'};"
        " sys.exit(str(heavy & set(sys.modules) or '') or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def ava_tui(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AVA_TUI, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_help_and_version(tmp_path: Path) -> None:
    shown = ava_tui("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "--runs_dir" in shown.stdout
    assert ava_tui("--version", cwd=tmp_path).stdout.startswith("ava-tui ")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "needs a terminal"),
        (["--runs_dri", "x"], "did you mean --runs_dir?"),
        (["--runs_dir"], "needs a folder"),
        (["something"], "ava-tui --help"),
    ],
)
def test_wrong_use_is_one_message(tmp_path: Path, args: list[str], words: str) -> None:
    shown = ava_tui(*args, cwd=tmp_path)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert shown.stderr.startswith("error: ")
    assert "Traceback" not in shown.stderr


def test_a_closed_output_is_one_message(tmp_path: Path) -> None:
    program = " ".join(AVA_TUI)
    shown = subprocess.run(
        ["sh", "-c", f"{program} >&-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2
    assert shown.stderr.startswith("error: ava-tui needs a terminal")

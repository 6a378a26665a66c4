"""`ava lessons`: what it prints, what it leaves on disk, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.conftest import ROOT, Ava
from tests.lessons.test_linting import CHECKS
from tests.lessons.writing import text_of, write_lesson
from workbench.cli import main
from workbench.lessons import course, read_lesson, receipts
from workbench.lessons.answers import given
from workbench.lessons.lesson_file import Lesson
from workbench.lessons.workspace import Workspace

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Said:
    """Run `ava lessons` here; its exit code, stdout and stderr."""
    monkeypatch.setenv("AVA_WORKSPACE", str(tmp_path / "space"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["lessons", *args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def own(tmp_path: Path) -> Lesson:
    """A lesson of one's own with a check whose right answer is b."""
    path = write_lesson(tmp_path)
    path.with_suffix(".py").write_text(CHECKS)
    return read_lesson(path)


def answered(workspace: Workspace, lesson: Lesson, code: str) -> None:
    """The learner's notebook, saved with this code in the exercise."""
    workspace.prepare([lesson])
    path = workspace.notebook(lesson)
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (each for each in notebook.cells if each.id == "your-answer")
    cell.source = code
    nbformat.write(notebook, path)


def data(said: Said, *args: str) -> Any:
    code, out, err = said(*args, "--json")
    assert code in (0, 1), err
    return json.loads(out)


def test_the_list_names_every_lesson_and_what_to_do_next(said: Said, tmp_path: Path) -> None:
    code, out, _ = said()
    assert code == 0
    for lesson in course():
        assert lesson.title[:30] in out
    assert "ava lessons open 1" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert said("list")[1] == out
    assert not (tmp_path / "space").exists()  # looking makes nothing


def test_the_list_is_data_too(said: Said) -> None:
    first = data(said)[0]
    lesson = course()[0]
    assert first["id"] == lesson.id
    assert first["estimatedMinutes"] == lesson.estimated_minutes
    assert first["status"] in ("validated", "outdated", "draft")
    assert isinstance(first["validatedOn"], list)
    assert first["progress"]["checks"] == dict.fromkeys(lesson.checks, "unattempted")


def test_a_lesson_is_read_in_the_terminal(said: Said) -> None:
    lesson = course()[0]
    code, out, _ = said("read", "1")
    assert code == 0
    assert all(cell.title in out for cell in lesson.cells if cell.title)
    assert max(len(line) for line in out.splitlines()) <= 80
    blocks = data(said, "read", lesson.id)["blocks"]
    assert [block["cell"] for block in blocks if "cell" in block] == [c.id for c in lesson.cells]


def test_reading_pages_on_a_screen(tmp_path: Path) -> None:
    """On a real terminal the lesson goes through the pager that the user has chosen."""
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED; wc -l\n")
    pager.chmod(0o755)
    screen, end = pty.openpty()
    environment = {**os.environ, "PAGER": str(pager), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    command = [sys.executable, "-m", "workbench.cli", "lessons", "read", "1"]
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
    os.close(end)
    shown = b""
    while True:
        try:
            part = os.read(screen, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(screen)
    assert process.wait(60) == 0
    assert b"PAGED" in shown


def test_opening_needs_a_screen(said: Said) -> None:
    code, _, err = said("open", "1")
    assert code == 2
    assert "ava lab" in err
    assert "ava lessons read first-launch" in err


def test_checks_say_what_is_missing_and_how_to_get_a_hint(said: Said) -> None:
    code, out, _ = said("check", "1")
    assert code == 0
    assert "not attempted yet" in out
    assert "--hint" in out
    assert "0 of" in out


def test_an_answer_in_the_notebook_is_checked(said: Said, own: Lesson, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "space")
    answered(workspace, own, "answer_q1 = 'a'\nanswer_q1 = 'b'  # on second thoughts")
    code, out, _ = said("check", str(own.path))
    assert code == 0
    assert "The question: passed" in out
    (row,) = receipts.read(workspace)
    assert (row.status, row.given) == ("pass", {"answer": "b"})


def test_a_computed_answer_is_remembered_from_its_receipt(
    said: Said, own: Lesson, tmp_path: Path
) -> None:
    workspace = Workspace.open(tmp_path / "space")
    answered(workspace, own, "answer_q1 = chr(98)")
    assert given(workspace, own)["q1"].unknown == ("answer",)
    (row,) = data(said, "check", str(own.path))[own.id]
    assert row["status"] == "unattempted"
    assert "once the cells of the lesson have run" in row["why"]
    digest = own.digest_of("q1")
    receipts.append(
        workspace, receipts.Receipt(1.0, own.id, digest, "q1", "k", "fail", given={"answer": "b"})
    )
    (row,) = data(said, "check", str(own.path))[own.id]
    assert row["status"] == "pass"


def test_a_failed_check_ends_with_one(said: Said, own: Lesson, tmp_path: Path) -> None:
    own.path.with_suffix(".py").write_text(
        CHECKS.replace("unattempted()", 'fail("it is not that one")').replace(
            "passed,", "fail, passed,"
        )
    )
    answered(Workspace.open(tmp_path / "space"), own, "answer_q1 = 'a'")
    code, out, _ = said("check", str(own.path))
    assert code == 1
    assert "it is not that one" in out
    assert data(said, "check", str(own.path))[own.id][0]["status"] == "fail"


def test_hints_come_one_at_a_time(said: Said, own: Lesson) -> None:
    code, out, _ = said("check", str(own.path), "--hint", "q1")
    assert (code, "hint 1 of 1: b" in out) == (0, True)
    assert "these are all" in said("check", str(own.path), "--hint", "q1")[1]
    assert data(said, "check", str(own.path), "--hint", "q1") == {
        "check": "q1",
        "hints": ["b"],
        "left": 0,
    }


def test_without_a_lesson_what_was_begun_is_checked(said: Said, tmp_path: Path) -> None:
    assert "nothing has been checked yet" in said("check")[1]
    lesson = course()[0]
    workspace = Workspace.open(tmp_path / "space")
    receipts.append(workspace, receipts.Receipt(1.0, lesson.id, "d", lesson.checks[0], "k", "pass"))
    assert list(data(said, "check")) == [lesson.id]


def test_progress_shows_bars_and_what_to_run_again(said: Said, tmp_path: Path) -> None:
    lesson = course()[0]
    workspace = Workspace.open(tmp_path / "other")
    receipts.append(workspace, receipts.Receipt(1.0, lesson.id, "d", lesson.checks[0], "k", "pass"))
    code, out, _ = said("progress", "--workspace", str(workspace.path))
    assert code == 0
    assert "1 to run again" in out
    assert f"ava lessons check {lesson.id}" in out
    found = data(said, "progress", "--workspace", str(workspace.path))
    assert found["lessons"][0]["checks"][lesson.checks[0]] == "stale"
    assert (found["passed"], found["total"]) == (0, sum(len(each.checks) for each in course()))


def test_linting_a_file_of_ones_own(said: Said, own: Lesson) -> None:
    code, out, _ = said("lint", str(own.path))
    assert (code, out) == (0, "no problem in 1 lesson\n")
    own.path.write_text(text_of(estimatedMinutes=90))
    code, out, _ = said("lint", str(own.path))
    assert code == 1
    assert "[time]" in out
    assert data(said, "lint", str(own.path))[0]["rule"] == "time"


def test_linting_a_lesson_by_its_number(said: Said) -> None:
    assert said("lint", "1")[1] == "no problem in 1 lesson\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["raed", "1"], "one of: list, read"),
        (["1"], "ava lessons read first-launch"),
        (["read"], "takes one lesson"),
        (["read", "1", "2"], "takes one lesson"),
        (["open", "frist-launch"], "one of: first-launch"),
        (["list", "1"], "takes no '1'"),
        (["progress", "1"], "takes no '1'"),
        (["list", "--hint", "x"], "--hint goes with check"),
        (["check", "--hint", "x"], "which lesson?"),
        (["check", "1", "--hint", "x"], "no check 'x'"),
        (["--colour"], "--colour"),
        (["list", "--workspace"], "--workspace"),
        (["read", "nowhere/none.md"], "no such lesson file"),
    ],
)
def test_a_wrong_command_is_one_message(said: Said, args: list[str], words: str) -> None:
    code, out, err = said(*args)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_the_command_is_there_and_explains_itself(ava: Ava) -> None:
    done = ava("lessons", "--help")
    assert done.returncode == 0
    for word in ("list", "read", "open", "check", "progress", "lint", "--workspace", "--json"):
        assert word in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert "lessons" in ava("--help").stdout

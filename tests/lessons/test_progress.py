"""Receipts are kept whatever happens, and progress is what they add up to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lessons.writing import BODY, text_of
from workbench.errors import WorkbenchError
from workbench.lessons import progress, receipts, validation
from workbench.lessons.lesson_file import Lesson
from workbench.lessons.overview import Overview, bar, words
from workbench.lessons.progress import Progress
from workbench.lessons.reading import parse
from workbench.lessons.receipts import Receipt
from workbench.lessons.workspace import Workspace

Digests = Callable[[Lesson, str], str | None]


def small(body: str = BODY) -> Lesson:
    lesson, problems = parse(text_of(body), Path("01-small.md"))
    assert lesson is not None
    assert not problems
    return lesson


def receipt(status: str = "pass", **changes: object) -> Receipt:
    digest = small().digest_of("q1")
    return replace(Receipt(1.0, "small", digest, "q1", "code-1", status), **changes)


def code_1(_lesson: Lesson, _check: str) -> str:
    return "code-1"


def status_after(workspace: Workspace, *rows: Receipt, digests: Digests = code_1) -> str:
    for row in rows:
        receipts.append(workspace, row)
    (found,) = progress.of(workspace, [small()], check_digest=digests)
    return found.checks["q1"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "space")


def test_receipts_come_back_as_they_were(workspace: Workspace) -> None:
    row = receipt(evidence={"loss": float("nan"), "run": "first"}, given={"answer": "b"})
    receipts.append(workspace, row)
    receipts.append(workspace, receipt("fail"))
    first, second = receipts.read(workspace)
    assert first == replace(row, evidence={"loss": "nan", "run": "first"})
    assert second.status == "fail"


def test_nothing_is_there_before_the_first(workspace: Workspace) -> None:
    assert receipts.read(workspace) == []
    (found,) = progress.of(workspace, [small()], check_digest=code_1)
    assert (found.checks, found.started, found.done) == ({"q1": "unattempted"}, False, False)


def test_a_torn_line_costs_itself_alone(workspace: Workspace) -> None:
    receipts.append(workspace, receipt())
    with workspace.receipts.open("ab") as stream:
        stream.write(b'{"t": 2, "lesson": "sm')
    assert len(receipts.read(workspace)) == 1
    receipts.append(workspace, receipt("fail"))
    assert [row.status for row in receipts.read(workspace)] == ["pass", "fail"]


def test_foreign_and_future_lines_are_no_error(workspace: Workspace) -> None:
    receipts.append(workspace, receipt())
    good = json.loads(workspace.receipts.read_text())
    rows = ["[]", "7", "\x00", '{"t": 1}', json.dumps({**good, "status": "brilliant"})]
    rows += [json.dumps({**good, "t": "noon"}), json.dumps({**good, "later": 1})]
    with workspace.receipts.open("a") as stream:
        stream.write("\n".join(rows) + "\n")
    assert receipts.read(workspace) == [receipt(), receipt()]


def test_several_processes_do_no_harm(workspace: Workspace) -> None:
    code = (
        "import sys; from workbench.lessons import receipts\n"
        "from workbench.lessons.workspace import Workspace\n"
        "space = Workspace.open(sys.argv[1])\n"
        "for n in range(12): receipts.append(space, receipts.Receipt("
        "n, sys.argv[2], 'd', 'c', 'k', 'pass', {'long': 'x' * 5000}))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(workspace.path), f"lesson-{n}"])
        for n in range(3)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    rows = receipts.read(workspace)
    assert len(rows) == 36
    for n in range(3):
        assert [row.t for row in rows if row.lesson == f"lesson-{n}"] == list(range(12))


def test_the_newest_verdict_counts(workspace: Workspace) -> None:
    assert status_after(workspace, receipt("fail")) == "fail"
    assert status_after(workspace, receipt("pass")) == "pass"
    assert status_after(workspace, receipt("fail")) == "fail"


def test_a_check_without_verdict_takes_no_pass_away(workspace: Workspace) -> None:
    assert status_after(workspace, receipt("error")) == "error"
    assert status_after(workspace, receipt("unattempted")) == "unattempted"
    assert status_after(workspace, receipt(), receipt("unattempted"), receipt("error")) == "pass"


def test_a_pass_of_another_cell_or_code_is_stale(workspace: Workspace) -> None:
    assert status_after(workspace, receipt(digest="another")) == "stale"
    assert status_after(workspace, receipt(check_digest="code-0")) == "stale"
    assert status_after(workspace, receipt()) == "pass"
    assert status_after(workspace, digests=lambda _lesson, _check: "code-2") == "stale"
    assert status_after(workspace, digests=lambda _lesson, _check: None) == "stale"


def test_a_fail_of_another_check_says_nothing(workspace: Workspace) -> None:
    assert status_after(workspace, receipt("fail", digest="another")) == "unattempted"


def test_an_edited_paragraph_makes_nothing_stale(workspace: Workspace) -> None:
    receipts.append(workspace, receipt())
    reworded = small(BODY.replace("Words", "Other words").replace("6 * 7", "7 * 6"))
    (found,) = progress.of(workspace, [reworded], check_digest=code_1)
    assert found.done
    assert found.next_check is None


def test_a_lesson_without_shipped_checks_has_progress_too(workspace: Workspace) -> None:
    receipts.append(workspace, receipt())
    (found,) = progress.of(workspace, [small()])
    assert found.checks == {"q1": "stale"}


def test_progress_has_a_plain_and_an_accessible_form() -> None:
    checks = {"a": "pass", "b": "stale", "c": "unattempted", "d": "fail"}
    found = Progress(small(), checks)
    assert bar(found) == "██▒▒▒·····"
    assert words(found) == "1 of 4, 1 to run again"
    shown = Overview((found,))._repr_mimebundle_()
    assert "A small lesson" in shown["text/plain"]
    assert "aria-label='A small lesson'" in shown["text/html"]
    assert found.to_dict()["checks"] == checks


def test_a_workspace_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match="cannot be made here") as caught:
        Workspace.open(tmp_path / "file" / "deeper")
    assert "--workspace" in (caught.value.fix or "")


def test_the_usual_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AVA_WORKSPACE", raising=False)
    assert Workspace.usual() == tmp_path / "home" / "ava-lessons"
    Workspace.open(tmp_path)
    assert Workspace.usual() == tmp_path
    monkeypatch.setenv("AVA_WORKSPACE", str(tmp_path / "named"))
    assert Workspace.usual() == tmp_path / "named"
    assert Workspace.open().path == tmp_path / "named"


def test_validation_holds_for_the_lesson_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "validated.jsonl"
    monkeypatch.setattr(validation, "file", lambda: path)
    monkeypatch.setattr(validation, "code_digest", code_1)
    lesson = small()
    assert validation.status(lesson) == "draft"
    record = {"versions": {"torch": "2"}, "digest_of": code_1, "path": path}
    validation.record(lesson, device="cpu", seconds=12.34, **record)
    validation.record(lesson, device="h100", seconds=5, **record)
    validation.record(lesson, device="cpu", seconds=10, **record)  # again: it replaces its own
    assert validation.status(lesson) == "validated"
    assert validation.validated_on(lesson) == ("cpu", "h100")
    assert validation.measured_seconds(lesson) == 10
    assert len(path.read_text().splitlines()) == 2
    changed = small(BODY.replace("6 * 7", "6 * 8"))
    assert validation.status(changed) == "outdated"
    assert validation.measured_seconds(changed) is None
    monkeypatch.setattr(validation, "code_digest", lambda _lesson, _check: "code-2")
    assert validation.validated_on(lesson) == ()

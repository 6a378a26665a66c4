"""Notes, tags, names: what people write about runs, and what they cannot break with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs.fakes import OBEDIENT, make_run, trainer
from workbench.errors import RunError, UsageError, WorkbenchError
from workbench.runs.control import start, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir, create_run, name_problem, open_run
from workbench.runs.labels import add_note, change_tags, notes, rename_run, tags
from workbench.runs.status import verdict

HOSTILE = [
    "", ".", "..", "../escape", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", ".hidden", "-rf",
    "a\0b", "a\nb", "~", "~root", "$(id)", "`id`", "a;b", "a b", "CON ", "ümlaut", "x" * 81,
    "\u202etxt.exe", "\x1b[31mred", "..\u2215escape", "%2e%2e%2fescape",
]  # fmt: skip


def test_notes_are_kept_in_order_and_shown_safely(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_note(run, "first\x1b[31m red\u202e\nsecond line")
    add_note(run, " ümlaut ")
    assert [note["note"] for note in notes(run)] == ["first red\nsecond line", "ümlaut"]
    assert run.notes_path.stat().st_mode & 0o077 == 0
    for text in ("", "  ", "x" * 5000):
        with pytest.raises(UsageError):
            add_note(run, text)
    run.notes_path.write_text(run.notes_path.read_text() + '{"torn')
    assert len(notes(run)) == 2
    add_note(run, "after a torn line")
    assert notes(run)[-1]["note"] == "after a torn line"


def test_tags_begin_with_those_of_the_config(tmp_path: Path) -> None:
    run = make_run(tmp_path, run={"tags": ["baseline", "gpu"]})
    assert tags(run) == ["baseline", "gpu"]
    assert change_tags(run, ["best", "gpu"], ["baseline"]) == ["gpu", "best"]
    assert tags(run) == ["gpu", "best"]
    assert change_tags(run, remove=["gpu", "best", "none"]) == []
    assert tags(run) == [], "and do not come back"
    for bad in ("", "two words", "x" * 41, "a\x1b[31m"):
        with pytest.raises(UsageError):
            change_tags(run, [bad])
    with pytest.raises(UsageError):
        change_tags(run, map(str, range(51)))


def test_rename_moves_everything(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    start(run, command=trainer("row(1, loss=1)"))
    wait_for_end(run, 120)
    renamed = rename_run(run, "better")
    assert not run.path.exists()
    assert renamed.meta()["name"] == "better"
    assert verdict(renamed).state == "finished"
    start(renamed, command=trainer("row(2, loss=1)"))
    assert wait_for_end(renamed, 120).attempt == 2
    assert rename_run(renamed, "better").path == renamed.path


def test_rename_refuses_what_would_lose_something(
    tmp_path: Path, make: Callable[..., RunDir]
) -> None:
    run, other = make("one"), make("two")
    with pytest.raises(RunError, match="taken"):
        rename_run(run, "two")
    (run.path.parent / "empty").mkdir()
    with pytest.raises(RunError, match="taken"):
        rename_run(run, "empty")
    start(run, command=trainer(OBEDIENT))
    wait_for_start(run, 120)
    with pytest.raises(RunError, match="is running"):
        rename_run(run, "three")
    link = RunDir(run.path.with_name("link"))
    link.path.symlink_to(other.path)
    with pytest.raises(RunError, match="is a link"):
        rename_run(link, "four")
    assert other.meta()["name"] == "two"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_make_nothing_anywhere(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    run = make_run(home / "deep")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        rename_run(run, name)
    with pytest.raises(UsageError):
        create_run(home / "deep/runs", name, config={}, origins={}, config_yaml="", meta={})
    with pytest.raises(WorkbenchError):
        open_run(home / "deep/runs", name)
    assert sorted(tmp_path.rglob("*")) == before


@given(st.text(max_size=90) | st.from_regex(r"[./~a\\-]{1,6}"))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    if name_problem(name) is None:
        place = Path("/runs") / name
        assert place.parent == Path("/runs")
        assert Path(os.path.normpath(place)).parent == Path("/runs")
        assert name.isascii()
        assert name.isprintable()
        assert not name.startswith((".", "-"))


def test_rename_that_is_killed_half_way_leaves_a_run(tmp_path: Path) -> None:
    """Between the two steps the directory has its new name and run.json the old one."""
    run = make_run(tmp_path)
    pid = os.fork()
    if not pid:
        import workbench.runs.labels as module

        module.atomic_write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        rename_run(run, "better")
        os._exit(0)
    os.waitpid(pid, 0)
    found = open_run(run.path.parent, "better")
    assert found.name == "better"
    assert verdict(found).state == "stopped"
    assert rename_run(found, "best").meta()["name"] == "best"

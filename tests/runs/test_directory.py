"""Making, finding and deleting runs: whole or not at all, and never outside their folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs.fakes import everything_in, fill_disk, make_run
from workbench.errors import RunError, UsageError, WorkbenchError
from workbench.runs import process
from workbench.runs.directory import (
    RunDir,
    create_run,
    delete_run,
    list_runs,
    open_run,
    valid_name,
)

BAD_NAMES = [
    "", ".", "..", "../x", "a/b", "/etc", ".hidden", "-dash", "a b", "a\n", "a\0b", "a\x1b[2J", "~",
    "ümlaut", "$(id)", "a;b", "a\\b", "*", "x" * 81,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused_and_make_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_run(tmp_path, name)
    assert caught.value.fix
    assert not everything_in(tmp_path)


@given(st.text(max_size=90))
def test_a_valid_name_is_one_plain_folder(name: str) -> None:
    if valid_name(name):
        assert (Path("/runs") / name).resolve().parent == Path("/runs")
        assert name.isascii()
        assert name.isprintable()
        assert name[0].isalnum()


def test_a_new_run_holds_what_was_planned(tmp_path: Path) -> None:
    run = create_run(
        tmp_path / "deep" / "runs",
        "first",
        config={"data": {"path": Path("x")}, "training": {"x": float("inf")}},
        origins={"training.x": {"layer": "command line"}},
        config_yaml="training: {}\n",
        meta={"recipe": "tiny_cpu", "command": ["ava", "train"], "name": "not this"},
    )
    assert run.name == "first"
    assert run.meta()["name"] == "first"
    assert run.meta()["schema"] == 1
    assert run.meta()["recipe"] == "tiny_cpu"
    assert abs(run.meta()["created"] - time.time()) < 60
    assert run.config() == {"data": {"path": "x"}, "training": {"x": "inf"}}
    assert run.origins() == {"training.x": {"layer": "command line"}}
    assert (run.path / "config.yaml").read_text() == "training: {}\n"
    assert run.attempts() == []
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in run.path.rglob("*")), (
        "others can read it"
    )
    assert everything_in(tmp_path / "deep" / "runs")[0] == "first"


def test_an_existing_name_is_refused_and_left_alone(tmp_path: Path) -> None:
    before = make_run(tmp_path).meta_path.read_bytes()
    with pytest.raises(RunError, match="already a run named r") as caught:
        make_run(tmp_path)
    assert "--resume r" in str(caught.value.fix)
    assert RunDir(tmp_path / "runs" / "r").meta_path.read_bytes() == before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r"]


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "dangling link"])
def test_a_name_taken_by_something_else(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "runs" / "r"
    place.parent.mkdir()
    if kind == "file":
        place.write_text("mine")
    elif kind == "dangling link":
        place.symlink_to("/nonexistent")
    else:
        place.mkdir()
        if kind == "folder":
            (place / "mine").touch()
    before = everything_in(tmp_path)
    with pytest.raises(RunError, match="no run"):
        make_run(tmp_path)
    assert everything_in(tmp_path) == before


def test_of_many_that_make_one_name_one_wins(tmp_path: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            make_run(tmp_path)
        except RunError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(32))) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r"]


def test_names_that_are_made_are_unique(tmp_path: Path) -> None:
    names = {make_run(tmp_path, None).name for _ in range(5)}
    assert len(names) == 5
    assert all(valid_name(name) and name.startswith("tiny-") for name in names)


@pytest.mark.parametrize("place", ["runs", "runs/deeper/still"])
def test_a_folder_of_runs_that_is_a_file(tmp_path: Path, place: str) -> None:
    (tmp_path / "runs").write_text("I am a file")
    with pytest.raises(RunError) as caught:
        make_run(tmp_path / place)
    assert "--runs_dir" in str(caught.value.fix)
    assert everything_in(tmp_path) == ["runs"]


def test_a_folder_of_runs_that_cannot_be_made() -> None:
    with pytest.raises(RunError) as caught:
        make_run(Path("/proc"))
    assert caught.value.where == "/proc/runs"


def test_a_full_disk_makes_no_half_a_run(small_disk: Path) -> None:
    fill_disk(small_disk)
    with pytest.raises(RunError) as caught:
        make_run(small_disk / "deep")
    assert "no space" in str(caught.value.why)
    assert everything_in(small_disk) == ["ballast"]


def test_on_a_full_disk_a_taken_name_is_still_called_taken(small_disk: Path) -> None:
    make_run(small_disk)
    fill_disk(small_disk)
    with pytest.raises(RunError, match="already a run named r"):
        make_run(small_disk)


def test_a_disk_that_fills_up_while_the_run_is_made(tmp_path: Path) -> None:
    """Without mounting: the system refuses files beyond a size, after some have been written."""
    script = """
import resource, sys
from pathlib import Path
from workbench.errors import RunError
from workbench.runs.directory import create_run
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    big = {"x": "y" * 5000}
    create_run(Path(sys.argv[1]), "r", config=big, origins={}, config_yaml="", meta={})
except RunError as error:
    print(error.why)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "deep" / "runs")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "larger than this system allows" in done.stdout
    assert not everything_in(tmp_path)


def test_what_a_killed_creation_left_is_collected_later(tmp_path: Path) -> None:
    make_run(tmp_path)
    for name, age in ((".new-old", 7200), (".del-old", 7200), (".new-young", 0)):
        folder = tmp_path / "runs" / name
        (folder / "metrics").mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    make_run(tmp_path, "s")
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [".new-young", "r", "s"]


def test_listing_is_newest_first_and_holds_runs_only(tmp_path: Path) -> None:
    for created, name in ((2, "b"), (3, "c"), (1, "a")):
        run = make_run(tmp_path, name)
        run.meta_path.write_text(json.dumps(run.meta() | {"created": created}))
    folder = tmp_path / "runs"
    (folder / "notes").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    (folder / "file").touch()
    (folder / "in the way").mkdir()
    assert [run.name for run in list_runs(folder)] == ["c", "b", "a"]
    assert list_runs(tmp_path / "nothere") == []
    with pytest.raises(RunError):
        list_runs(folder / "file")


def test_opening(tmp_path: Path) -> None:
    make_run(tmp_path, "monday")
    folder = tmp_path / "runs"
    assert open_run(folder, "monday").meta()["name"] == "monday"
    assert open_run(Path("/nonexistent"), str(folder / "monday")).name == "monday"
    with pytest.raises(RunError) as caught:
        open_run(folder, "mondey")
    assert "monday" in str(caught.value.fix)
    for name in ("", "..", "a b"):
        with pytest.raises(UsageError):
            open_run(folder, name)
    with pytest.raises(WorkbenchError):
        open_run(folder, "../runs")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"config": 3}'])
def test_a_damaged_run_says_so(run: RunDir, damage: str) -> None:
    run.config_path.write_text(damage)
    with pytest.raises(RunError) as caught:
        run.config()
    assert caught.value.where == str(run.config_path)


def test_deleting(run: RunDir) -> None:
    (run.checkpoints_dir / "step-00000001").mkdir()
    delete_run(run)
    assert not everything_in(run.path.parent)


def test_a_living_run_is_not_deleted(run: RunDir) -> None:
    lock = process.try_lock(run.lock_path)
    assert lock is not None
    with pytest.raises(RunError, match="running"):
        delete_run(run)
    os.close(lock)
    assert run.meta()
    delete_run(run)


def test_a_run_whose_processes_still_work_is_not_deleted(run: RunDir) -> None:
    environment = {process.MARKER: process.marker(run.path)}
    with subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True) as stray:
        try:
            with pytest.raises(RunError) as caught:
                delete_run(run)
        finally:
            stray.kill()
    assert str(stray.pid) in str(caught.value.why)
    delete_run(run)


def test_only_real_runs_are_deleted(run: RunDir, tmp_path: Path) -> None:
    link = tmp_path / "runs" / "link"
    link.symlink_to(run.path)
    mine = tmp_path / "runs" / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    for path in (link, mine):
        with pytest.raises(RunError):
            delete_run(RunDir(path))
    assert run.meta()
    assert (mine / "thesis.txt").exists()


def test_importing_runs_is_cheap() -> None:
    code = (
        "import sys; from workbench.runs import control, directory, files, follow, process, status,"
        " supervise, writer; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "pydantic", "yaml", "torch", "rich", "asyncio", "socket"}

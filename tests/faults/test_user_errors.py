"""Whatever a person gets wrong ends in one message: what, where, what to do. Never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Ava, mini


def judge(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The run failed with a user's exit code, one message on stderr, and no traceback."""
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    for word in words:
        assert word in done.stderr, f"{word!r} not in {done.stderr}"


def test_unknown_key_in_a_file(tmp_path: Path, ava: Ava) -> None:
    (tmp_path / "my.yaml").write_text("training:\n  lerning_rate: 1.0e-3\n")
    judge(ava("train", "--config", "my.yaml"), "my.yaml:2", "training.learning_rate")
    assert not (tmp_path / "runs").exists()


def test_wrong_type_in_a_file(tmp_path: Path, ava: Ava) -> None:
    (tmp_path / "my.yaml").write_text("training:\n  batch_size: lots\n")
    judge(ava("train", "--config", "my.yaml"), "my.yaml:2", "whole number")


def test_missing_config_file(ava: Ava) -> None:
    judge(ava("train", "--config", "nothere.yaml"), "nothere.yaml")


def test_broken_yaml(tmp_path: Path, ava: Ava) -> None:
    (tmp_path / "my.yaml").write_text("training:\n  a: b: c\n")
    judge(ava("train", "--config", "my.yaml"), "my.yaml:2")


def test_missing_data(ava: Ava) -> None:
    judge(ava("train", "tiny_cpu", "--data.path", "nothere"), "nothere", "data.path")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", b""),
        ("binary.txt", b"abc\0def" * 100),
        ("latin.txt", "caf\xe9 ".encode("latin-1") * 500),
        ("short.txt", b"hello"),
        ("blank.txt", b"\n \n"),
        ("wrong.jsonl", b'{"body": "x"}\n' * 50),
    ],
)
def test_unusable_data(tmp_path: Path, ava: Ava, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    done = ava("train", "tiny_cpu", "--name", "r", "--data.path", name)
    judge(done, name)
    assert done.returncode == 2


def test_a_folder_without_text(tmp_path: Path, ava: Ava) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG\0")
    judge(ava("train", "tiny_cpu", "--data.path", "pictures"), "pictures", ".txt")


@pytest.mark.parametrize(
    "name", ["../escape", "a/b", ".hidden", "x" * 200, "sp ace", "-dash", "ümlaut"]
)
def test_bad_run_names(tmp_path: Path, ava: Ava, name: str) -> None:
    judge(ava("train", "tiny_cpu", f"--name={name}"), "name")
    assert not list(tmp_path.rglob("run.json"))


def test_runs_folder_that_is_a_file(tmp_path: Path, ava: Ava) -> None:
    (tmp_path / "runs").write_text("I am a file")
    done = ava("train", "tiny_cpu")
    judge(done, "runs", "is a file, not a folder", "choose another folder")
    assert "make room" not in done.stderr


def test_runs_folder_that_may_not_be_written(tmp_path: Path, ava: Ava) -> None:
    # Root may write everywhere but here: /proc is no place for folders, for anybody.
    judge(ava("train", "tiny_cpu", "--runs_dir", "/proc/runs"), "/proc/runs", "--runs_dir")


def test_resume_of_a_run_that_is_not_there(ava: Ava) -> None:
    judge(ava("train", "--resume", "nothere"), "nothere")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; skipped where mounting is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_full_disk_before_the_start(small_disk: Path, ava: Ava) -> None:
    (small_disk / "ballast").write_bytes(b"x" * os.statvfs(small_disk).f_bavail * 4096)
    judge(ava("train", "tiny_cpu", "--runs_dir", str(small_disk / "runs")), "space", "--runs_dir")
    assert not list(small_disk.rglob("run.json"))


def test_full_disk_during_the_training(small_disk: Path, ava: Ava, corpus: Path) -> None:
    """Metrics fit, the checkpoints of this model do not: it must end with one message."""
    done = ava(
        "train", "tiny_cpu", "--runs_dir", str(small_disk), "--data.path", str(corpus),
        *mini(hidden_size=128, max_steps=6, save_steps=2),
    )  # fmt: skip
    judge(done, "space")

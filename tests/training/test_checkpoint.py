"""A checkpoint is whole or not there, and no changed byte is ever loaded."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from workbench.errors import CheckpointError
from workbench.training.checkpoint import MANIFEST, Checkpoints, verify

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["model.safetensors", "optimizer.safetensors", "state.json", MANIFEST]


def tensors(value: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "model": {"w": torch.full((40, 30), value), "b": torch.arange(5.0)},
        "optimizer": {"w.exp_avg": torch.zeros(40, 30), "w.step": torch.tensor(value)},
    }


class Bad(list[tuple[str, str]]):
    def __call__(self, name: str, why: str) -> None:
        self.append((name, why))


def make(directory: Path, keep: int = 2) -> tuple[Checkpoints, Bad]:
    bad = Bad()
    return Checkpoints(directory, keep, bad), bad


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints")
    return make(directory)[0].save(7, tensors(), {"progress": {"step": 7}}).path


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    checkpoints, bad = make(tmp_path / "made" / "on" / "demand")
    assert checkpoints.load_newest() is None
    saved = checkpoints.save(3, tensors(2.5), {"progress": {"step": 3, "loss": 0.1}})
    assert saved.path.name == "step-00000003"
    assert saved.bytes == sum(path.stat().st_size for path in saved.path.iterdir())
    assert sorted(path.name for path in saved.path.iterdir()) == sorted(FILES)
    loaded = checkpoints.load_newest()
    assert loaded is not None
    assert loaded.path == saved.path
    assert loaded.state == {"progress": {"step": 3, "loss": 0.1}}
    for name, values in tensors(2.5).items():
        for key, value in values.items():
            assert torch.equal(loaded.tensors[name][key], value)
    assert not bad


def damage(path: Path, kind: str, rng: random.Random) -> None:
    """Do to a file what disks and people do."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    if kind == "flip":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "truncate":
        del data[place:]
    elif kind == "zero page":
        start = place // 512 * 512
        data[start : start + 512] = bytes(len(data[start : start + 512]))
    elif kind == "append":
        data += b"x"
    elif kind == "delete":
        path.unlink()
        return
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["flip", "truncate", "zero page", "append", "delete"])
@pytest.mark.parametrize("name", FILES)
def test_every_damage_is_found_and_named(good: Path, tmp_path: Path, name: str, kind: str) -> None:
    rng = random.Random(f"{name} {kind}")
    copy = tmp_path / good.name
    for _ in range(12):
        shutil.copytree(good, copy)
        before = (copy / name).read_bytes()
        damage(copy / name, kind, rng)
        if not (copy / name).exists() or (copy / name).read_bytes() != before:
            problem = verify(copy)
            assert problem is not None, f"{kind} of {name} went unnoticed"
            assert problem.startswith(name)
        shutil.rmtree(copy)


def test_every_byte_of_the_manifest_counts(good: Path, tmp_path: Path) -> None:
    copy = tmp_path / good.name
    shutil.copytree(good, copy)
    data = (copy / MANIFEST).read_bytes()
    for place in range(len(data)):
        for bit in (0, 3, 5, 7):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            (copy / MANIFEST).write_bytes(changed)
            assert str(verify(copy)).startswith(MANIFEST), (place, bit)
    (copy / MANIFEST).write_bytes(data)
    assert verify(copy) is None


@pytest.mark.parametrize(
    "manifest", ["", "[]", "1", "null", "{}", '{"files":[],"schema":1,"step":7}', "[" * 99999]
)
def test_a_manifest_of_nonsense_is_named(good: Path, tmp_path: Path, manifest: str) -> None:
    copy = tmp_path / good.name
    shutil.copytree(good, copy)
    (copy / MANIFEST).write_text(manifest)
    assert str(verify(copy)).startswith(MANIFEST)


def test_swapped_files_and_renamed_directories_are_found(good: Path, tmp_path: Path) -> None:
    copy = tmp_path / good.name
    shutil.copytree(good, copy)
    (copy / "model.safetensors").rename(copy / "x")
    (copy / "optimizer.safetensors").rename(copy / "model.safetensors")
    (copy / "x").rename(copy / "optimizer.safetensors")
    assert verify(copy)
    other = tmp_path / "step-00000008"
    shutil.copytree(good, other)
    assert verify(other) == f"{MANIFEST} is damaged (it is of step 7)"


def test_the_newest_good_one_is_loaded_and_the_bad_are_set_aside(tmp_path: Path) -> None:
    checkpoints, bad = make(tmp_path, keep=9)
    for step in (2, 4, 6, 8):
        checkpoints.save(step, tensors(step), {})
    (tmp_path / "step-00000008" / "state.json").unlink()
    damage(tmp_path / "step-00000006" / "model.safetensors", "flip", random.Random(0))
    loaded = checkpoints.load_newest()
    assert loaded is not None
    assert loaded.path.name == "step-00000004"
    assert bad == [
        ("step-00000008", "state.json is missing"),
        ("step-00000006", "model.safetensors has changed since it was written"),
    ]
    names = sorted(path.name[:18] for path in tmp_path.iterdir())
    assert names == [".bad-step-00000006", ".bad-step-00000008", "step-00000002", "step-00000004"]
    assert checkpoints.load_newest() is not None
    assert len(bad) == 2, "told once"


def test_retention_counts_only_good_ones(tmp_path: Path) -> None:
    checkpoints, bad = make(tmp_path, keep=2)
    checkpoints.save(2, tensors(), {})
    checkpoints.save(4, tensors(), {})
    damage(tmp_path / "step-00000004" / "state.json", "append", random.Random(0))
    checkpoints.save(6, tensors(), {})
    assert [name for name, _ in bad] == ["step-00000004"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == [
        "step-00000002",
        "step-00000006",
    ]
    checkpoints.save(8, tensors(), {})
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == [
        "step-00000006",
        "step-00000008",
    ]


def test_the_same_step_again(tmp_path: Path) -> None:
    checkpoints, bad = make(tmp_path)
    checkpoints.save(2, tensors(1.0), {"try": 1})
    checkpoints.save(2, tensors(2.0), {"try": 2})
    loaded = checkpoints.load_newest()
    assert loaded is not None
    assert loaded.state == {"try": 1}, "a good one stays"
    damage(tmp_path / "step-00000002" / "model.safetensors", "truncate", random.Random(0))
    checkpoints.save(2, tensors(3.0), {"try": 3})
    loaded = checkpoints.load_newest()
    assert loaded is not None
    assert loaded.state == {"try": 3}, "a bad one makes room"
    assert [name for name, _ in bad] == ["step-00000002"]


def test_leftovers_of_a_killed_process_are_never_read_and_cleared(
    tmp_path: Path, good: Path
) -> None:
    checkpoints, bad = make(tmp_path)
    for name in (".tmp-00000009-aa", ".del-step-00000001-bb", ".bad-step-00000003-cc", "notes"):
        shutil.copytree(good, tmp_path / name)
    assert checkpoints.load_newest() is None
    checkpoints.clear_leftovers()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bad-step-00000003-cc", "notes"]
    assert not bad


@pytest.mark.parametrize("moment", ["save_file", "_flush", "_flush_directory", "Path.rename"])
def test_a_failing_disk_leaves_the_old_ones_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints, _ = make(tmp_path)
    checkpoints.save(2, tensors(), {})

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"workbench.training.checkpoint.{moment}", full)
        with pytest.raises(CheckpointError) as caught:
            checkpoints.save(4, tensors(), {})
    assert caught.value.exit_code == 1
    assert "space" in str(caught.value.why)
    assert caught.value.fix
    assert [path.name for path in tmp_path.glob(".*")] == []
    loaded = checkpoints.load_newest()
    assert loaded is not None
    assert loaded.path.name in ("step-00000002", "step-00000004")
    checkpoints.save(6, tensors(), {})


def test_state_is_plain_json(good: Path) -> None:
    assert json.loads((good / "state.json").read_text()) == {"progress": {"step": 7}}

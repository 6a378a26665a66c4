"""Checkpoints seen from a face: without torch, and of one mind with the trainer."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from tests.runs.fakes import OBEDIENT, make_run, trainer
from workbench.errors import RunError, UsageError
from workbench.runs.checkpoints import MANIFEST, list_checkpoints, prune, verify
from workbench.runs.control import start, wait_for_start
from workbench.runs.directory import RunDir


def canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def save(run: RunDir, step: int, **extra: bytes) -> Path:
    """A checkpoint as the trainer writes one: files, then the sealed manifest."""
    folder = run.checkpoints_dir / f"step-{step:08d}"
    folder.mkdir()
    contents = {"model.safetensors": random.Random(step).randbytes(3000), "state.json": b"{}"}
    contents |= {f"{name}.bin": data for name, data in extra.items()}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    files = {n: (len(d), xxhash.xxh3_128_hexdigest(d)) for n, d in contents.items()}
    manifest = {"schema": 1, "step": step, "files": files}
    sealed = manifest | {"seal": xxhash.xxh3_128_hexdigest(canonical(manifest))}
    (folder / MANIFEST).write_bytes(canonical(sealed))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = make_run(tmp_path)
    for step in (2, 4, 6, 8):
        save(made, step)
    return made


def names(run: RunDir) -> list[str]:
    return sorted(path.name for path in run.checkpoints_dir.iterdir())


def test_listing_compares_sizes_and_verifying_every_byte(run: RunDir) -> None:
    model = run.checkpoints_dir / "step-00000006/model.safetensors"
    data = bytearray(model.read_bytes())
    data[100] ^= 1
    model.write_bytes(data)
    (run.checkpoints_dir / "step-00000004/state.json").unlink()
    assert [(c.step, c.problem) for c in list_checkpoints(run)] == [
        (8, None), (6, None), (4, "state.json is missing"), (2, None),
    ]  # fmt: skip
    assert [c.problem for c in list_checkpoints(run, hashes=True)] == [
        None, "model.safetensors has changed since it was written", "state.json is missing", None,
    ]  # fmt: skip
    assert list_checkpoints(run)[0].bytes > 3000


def test_the_trainer_and_the_faces_agree(run: RunDir, tmp_path: Path) -> None:
    """The same damage is found by the code that loads and by the code that lists."""
    checkpoint = pytest.importorskip("workbench.training.checkpoint")
    torch = pytest.importorskip("torch")
    keeper = checkpoint.Checkpoints(tmp_path / "real", 2, lambda *_: None)
    values = {"model": {"w": torch.ones(3)}, "optimizer": {"w": torch.zeros(3)}}
    path = keeper.save(3, values, {"progress": {}}).path
    assert verify(path) is None
    rng = random.Random(1)
    for victim in sorted(path.iterdir()):
        copy = tmp_path / path.name
        shutil.copytree(path, copy)
        data = bytearray((copy / victim.name).read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (copy / victim.name).write_bytes(data)
        assert str(verify(copy)).startswith(victim.name)
        shutil.rmtree(copy)


@pytest.mark.parametrize("name", ["/etc/passwd", "../step-00000002/state.json", "sub/../../x"])
def test_a_manifest_that_points_elsewhere_is_damaged(run: RunDir, name: str) -> None:
    path = run.checkpoints_dir / "step-00000008"
    manifest = {"schema": 1, "step": 8, "files": {name: [2, xxhash.xxh3_128_hexdigest(b"{}")]}}
    sealed = manifest | {"seal": xxhash.xxh3_128_hexdigest(canonical(manifest))}
    (path / MANIFEST).write_bytes(canonical(sealed))
    assert str(verify(path)).startswith(f"{MANIFEST} is damaged (it names")


def test_prune_counts_only_what_verifies(run: RunDir) -> None:
    (run.checkpoints_dir / "step-00000008/model.safetensors").write_bytes(b"torn")
    (run.checkpoints_dir / ".tmp-00000009-ab").mkdir()
    (run.checkpoints_dir / ".bad-step-00000001-ab").mkdir()
    deleted = prune(run, keep=2)
    assert names(run) == ["step-00000004", "step-00000006"]
    assert len(deleted) == 4
    assert prune(run, keep=2) == []


def test_prune_leaves_the_damaged_when_nothing_is_good(run: RunDir) -> None:
    for path in run.checkpoints_dir.iterdir():
        (path / "model.safetensors").write_bytes(b"torn")
    assert prune(run, keep=1) == []
    assert len(names(run)) == 4


def test_prune_refuses(run: RunDir, make: Callable[..., RunDir]) -> None:
    with pytest.raises(UsageError):
        prune(run, keep=0)
    live = make("live")
    start(live, command=trainer(OBEDIENT))
    wait_for_start(live, 120)
    with pytest.raises(RunError, match="is running"):
        prune(live, keep=1)


def test_links_are_no_checkpoints(run: RunDir, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(run.checkpoints_dir / "step-00000008", outside)
    (run.checkpoints_dir / "step-00000099").symlink_to(outside)
    assert 99 not in [each.step for each in list_checkpoints(run)]
    prune(run, keep=1)
    assert (outside / MANIFEST).exists()

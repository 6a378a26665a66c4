"""Five hundred ways to damage a checkpoint, and none of them is loaded."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch

from workbench.runs.checkpoints import verify as seen_by_a_face
from workbench.training.checkpoint import Checkpoints, verify

KINDS = ("flip", "truncate", "zero", "append", "delete", "swap", "empty")


def damage(folder: Path, kind: str, chance: random.Random) -> bool:
    """Do to one file what disks and people do; whether anything is different then."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    victim = chance.choice(files)
    before = victim.read_bytes()
    data = bytearray(before)
    place = chance.randrange(len(data))
    if kind == "flip":
        data[place] ^= 1 << chance.randrange(8)
    elif kind == "truncate":
        del data[place:]
    elif kind == "zero":
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
    elif kind == "append":
        data += chance.randbytes(3)
    elif kind == "empty":
        data.clear()
    elif kind == "delete":
        victim.unlink()
        return True
    else:
        other = chance.choice([path for path in files if path != victim])
        data = bytearray(other.read_bytes())
        other.write_bytes(before)
    victim.write_bytes(data)
    return bytes(data) != before


@pytest.mark.parametrize(
    "count", [60, pytest.param(500, marks=pytest.mark.slow)], ids=["sixty", "five hundred"]
)
def test_five_hundred_damages(tmp_path: Path, count: int) -> None:
    """Each is named by trainer and face alike, and the next older checkpoint is loaded."""
    chance = random.Random(count)
    told: list[tuple[str, str]] = []
    keeper = Checkpoints(tmp_path / "good", 9, lambda *bad: told.append(bad))
    for step in (1, 2):
        values = {
            "model": {"w": torch.full((40, 30), float(step)), "b": torch.arange(5.0)},
            "optimizer": {"w.exp_avg": torch.ones(40, 30), "w.step": torch.tensor(step)},
        }
        keeper.save(step, values, {"progress": {"step": step}})
    done = 0
    while done < count:
        copy = tmp_path / "damaged"
        shutil.copytree(tmp_path / "good", copy)
        newest = copy / "step-00000002"
        kind = KINDS[done % len(KINDS)]
        if damage(newest, kind, chance):
            problem = verify(newest)
            assert problem, f"{kind} went unnoticed"
            assert seen_by_a_face(newest), f"{kind} went unnoticed by the face"
            told.clear()
            loaded = Checkpoints(copy, 9, lambda *bad: told.append(bad)).load_newest()
            assert loaded is not None
            assert loaded.path.name == "step-00000001"
            assert told == [("step-00000002", problem)]
            assert torch.equal(loaded.tensors["model"]["w"], torch.full((40, 30), 1.0))
            done += 1
        shutil.rmtree(copy)
    print(f"\n{done} of {done} damages named before a tensor was loaded")

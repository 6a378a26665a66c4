"""Offload to a drive: the ledger against files and buffers of real runs.

The figures were seen on 2026-11-21 with DeepSpeed 0.19.8 and torch 2.13.0 on a CPU; the slow test
sees them again wherever DeepSpeed's async_io is compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from workbench.config.schema import Config
from workbench.estimate.memory import Memory, memory_of
from workbench.hardware.devices import device

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).parent / "nvme_worker.py"


class Case(NamedTuple):
    """A plan, and what was seen of it.

    Attributes:
        sections: What it sets beside `plan`.
        files: Bytes of all files, of one device.
        buffers: Bytes of its buffers, by the first words of the ledger's line.
    """

    sections: dict[str, dict[str, Any]]
    files: int
    buffers: dict[str, int]


NVME = {"device": "nvme", "nvme_path": "drive"}
WEIGHTS = NVME | {"buffer_size": 5_000_000, "buffer_count": 16, "max_in_cpu": 1_000_000}
STATES = NVME | {"buffer_count": 5}
NARROW = {
    "hidden_size": 600, "num_attention_heads": 6, "intermediate_size": 1000, "vocab_size": 3001,
}  # fmt: skip

CASES = {
    "all": Case(
        {},
        382_205_952,
        {"weights": 160_006_144, "flat": 2_000_000, "group": 42_467_328, "optimizer": 424_673_280},
    ),
    "in groups": Case(
        {"deepspeed": {"sub_group_size": 2_000_000}},
        382_205_952,
        {"weights": 160_006_144, "flat": 2_000_000, "group": 8_388_608, "optimizer": 83_886_080},
    ),
    "optimizer": Case(
        {"deepspeed": {"offload_param": {"device": "cpu"}}},
        339_738_624,
        {"optimizer": 424_673_280},
    ),
    "weights": Case(
        {"deepspeed": {"offload_optimizer": {"device": "cpu"}}},
        42_467_328,
        {"weights": 160_006_144, "flat": 2_000_000, "group": 42_467_328},
    ),
    "fp32, with room": Case(
        {
            "training": {"mixed_precision": "no"},
            "deepspeed": {
                "sub_group_size": 3_000_000,
                "offload_param": WEIGHTS | {"max_in_cpu": 30_000_000},
            },
        },
        382_205_952,
        {"weights": 160_006_144, "flat": 84_955_136, "group": 0, "optimizer": 83_886_080},
    ),
    "odd sizes, two threads": Case(
        {
            "model": NARROW,
            "deepspeed": {
                "sub_group_size": 1_000_000,
                "aio": {"thread_count": 2, "block_size": 2_097_152},
                "offload_optimizer": STATES | {"buffer_count": 7},
            },
        },
        124_577_792,
        {"weights": 160_006_144, "flat": 2_000_000, "group": 3_602_432, "optimizer": 50_419_712},
    ),
}
LINES = {
    "weights": "buffers in front of the drive: weights",
    "flat": "room for weights in front of the drive",
    "group": "room for a group on its way to the drive",
    "optimizer": "buffers in front of the drive: optimizer",
}


def plan(sections: dict[str, dict[str, Any]]) -> Config:
    """A model of 21 M parameters, all of it on a drive."""
    tree: dict[str, dict[str, Any]] = {
        "model": {
            "hidden_size": 1024,
            "num_layers": 2,
            "num_attention_heads": 8,
            "intermediate_size": 1408,
            "vocab_size": 4096,
            "max_position_embeddings": 128,
        },
        "training": {"batch_size": 1, "mixed_precision": "bf16"},
        "data": {"max_length": 64},
        "deepspeed": {
            "enabled": True,
            "zero_stage": 3,
            "reduce_bucket_size": 1_000_000,
            "stage3_prefetch_bucket_size": 100_000,
            "offload_param": WEIGHTS,
            "offload_optimizer": STATES,
        },
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return Config.model_validate(tree)


def buffers(memory: Memory) -> dict[str, int]:
    """Bytes of the lines of buffers."""
    found = {line.name: line.bytes for line in memory.host}
    return {key: found[name] for key, name in LINES.items() if name in found}


@pytest.mark.parametrize("name", CASES)
def test_files_and_buffers_are_those_of_a_real_run(name: str) -> None:
    case = CASES[name]
    memory = memory_of(plan(case.sections))
    assert sum(line.bytes for line in memory.nvme) == case.files
    assert buffers(memory) == {key: size for key, size in case.buffers.items() if size}


def test_two_devices_have_a_drive_together() -> None:
    """As seen with two processes: rooms for whole weights, although each has half of them."""
    sections = {
        "parallel": {"devices_per_node": 2},
        "deepspeed": {"sub_group_size": 1_500_000},
    }
    memory = memory_of(plan(sections))
    assert sum(line.bytes for line in memory.nvme) == 382_205_952
    each = {"weights": 160_006_144, "flat": 2_000_000, "group": 8_388_608, "optimizer": 41_943_040}
    found = {line.name.removesuffix(", of 2 devices"): line.bytes for line in memory.host}
    assert {key: found[name] for key, name in LINES.items()} == {
        key: 2 * size for key, size in each.items()
    }


def test_a_gpu_writes_what_computes() -> None:
    """On a CPU weights go to the drive in bf16, whatever computes; on a GPU as they are."""
    sections = CASES["fp32, with room"].sections
    here, gpu = memory_of(plan(sections)), memory_of(plan(sections), device("h100_80gb"))
    files = [{line.name: line.bytes for line in each.nvme}["weights"] for each in (here, gpu)]
    assert files[1] == 2 * files[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_real_run_does_so_today(name: str, tmp_path: Path) -> None:
    case, compiled = CASES[name], _compiled()
    if compiled is None:
        pytest.skip(
            "DeepSpeed's async_io is not compiled here: apt-get install libaio-dev, then "
            "python -c 'from deepspeed.ops.op_builder import AsyncIOBuilder as A; A().load()'"
        )
    config = plan(case.sections).model_dump(mode="json")
    for key in ("offload_param", "offload_optimizer"):
        if config["deepspeed"][key]["device"] == "nvme":
            config["deepspeed"][key]["nvme_path"] = str(tmp_path / "drive")
    (tmp_path / "drive").mkdir()
    (tmp_path / "plan.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path / "plan.json"), str(compiled)],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "RANK": "0", "WORLD_SIZE": "1"}
        | {"LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    seen = [line for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    assert seen, done.stderr[-2000:]
    found = json.loads(seen[0][5:])
    assert found["files"] == case.files
    assert {key: found["buffers"].get(key, 0) for key in case.buffers} == case.buffers


def _compiled() -> Path | None:
    """The folder with DeepSpeed's compiled operations; None where they are not."""
    from torch.utils.cpp_extension import get_default_build_root

    found = Path(get_default_build_root()).glob("*/async_io/async_io.so")
    places = [each.parents[1] for each in found]
    return next((each for each in places if (each / "pin_memory" / "pin_memory.so").exists()), None)

"""The keys that send activations to the host do so, in a process of each strategy."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

WORKER = """
import json, sys
import numpy as np, torch
from workbench.config.schema import Config
from workbench.data.batches import MicroBatch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import open_world
from workbench.training.engines import host
from workbench.training.engines.choose import make_engine
from workbench.training.objective import Objective
from workbench.training.step import compute_gradient

moved, to_host = [], host._to_host
def counting(tensor):
    packed = to_host(tensor)
    moved.extend([tensor.numel()] * (packed is not tensor))
    return packed
host._to_host = counting
tree = json.loads(sys.argv[1])
tree["model"] = {
    "hidden_size": 64, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
    "vocab_size": 64, "max_position_embeddings": 256,
}
config, device = Config.model_validate(tree), torch.device("cpu")
with open_world(config, device) as world:
    model = build_model(config.model)
    init_weights(model, 0)
    engine = make_engine(Objective(model, config.training), config, device, world)
    tokens = np.zeros((2, 256), dtype=np.int64)
    compute_gradient(engine, [MicroBatch(tokens, tokens)])
print("moved", len(moved))
"""


def moved(tree: dict[str, object]) -> int:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, json.dumps(tree)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split("moved ")[-1])


@pytest.mark.honours("fsdp.offload_activations")
@pytest.mark.parametrize("on", [False, True])
def test_fsdp(*, on: bool) -> None:
    tree = {"parallel": {"strategy": "fsdp"}, "fsdp": {"offload_activations": on}}
    assert (moved(tree) > 0) == on


@pytest.mark.slow
@pytest.mark.honours("deepspeed.activation_checkpointing.cpu_checkpointing")
@pytest.mark.parametrize("on", [False, True])
def test_deepspeed(*, on: bool) -> None:
    tree = {
        "training": {"gradient_checkpointing": True},
        "deepspeed": {
            "enabled": True,
            "zero_stage": 1,
            "activation_checkpointing": {"cpu_checkpointing": on},
        },
    }
    assert (moved(tree) > 0) == on

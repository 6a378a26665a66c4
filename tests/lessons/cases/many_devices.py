"""A solution of "Many devices", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

_CLUSTER = """\
%%config cluster.yaml --hardware h100_80gb
extends: [models/llama3_1_8b]
parallel:
  strategy: fsdp
  num_nodes: 2
  devices_per_node: 8
fsdp:
  sharding_strategy: hybrid
training:
  batch_size: 1
  gradient_accumulation_steps: 4
data:
  max_length: 4096
"""

SOLUTION = {
    "your-two": (
        'learn.launch("two", "lesson", "--run.device", "cpu", batch_size=4, devices_per_node=2)'
    ),
    "cluster-layer": _CLUSTER,
    "your-q1": 'answer_q1 = "b"',
}

MUTANTS = (
    Mutant("two", {"two": 'learn.check("two", run="first")'}, why="was trained on one device"),
    Mutant(
        "two", {"two": 'learn.check("two", base="two")'}, why="has the same training.batch_size"
    ),
    Mutant(
        "cluster",
        {"cluster-layer": _CLUSTER.replace("num_nodes: 2", "num_nodes: 1")},
        why="it runs on 1 × 8 devices",
    ),
    Mutant(
        "cluster",
        {"cluster-layer": _CLUSTER.replace("steps: 4", "steps: 1")},
        why="a step sees 16 sequences",
    ),
    Mutant(
        "cluster",
        {"cluster-layer": _CLUSTER.replace("hybrid", "full")},
        why="also from the other node",
    ),
    Mutant(
        "cluster",
        {"cluster-layer": _CLUSTER.replace("strategy: fsdp\n", "strategy: ddp\n", 1)},
        why="may be taken",
    ),
    Mutant(
        "cluster",
        {"cluster-layer": _CLUSTER.replace("max_length: 4096", "max_length: 1024")},
        why="a sequence has 1024 tokens",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "c"'}, why="only rounding differs"),
)

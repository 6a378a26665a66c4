"""A solution of "To the cluster", and one mistake for each of its checks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace


BIG = """%%config big.yaml lesson
parallel:
  strategy: ddp
  num_nodes: 4
  devices_per_node: 8
training:
  batch_size: 8
  gradient_accumulation_steps: 1
  max_steps: 30
"""
SOLUTION = {
    "big": BIG,
    "your-export": (
        'big_job = learn.folder / "big-job"\n'
        "learn.shell(f\"ava export slurm lesson {learn.folder / 'big.yaml'} -o {big_job} --force\")"
    ),
    "your-rehearsal": (
        'learn.launch("rehearsal", str(job / "config.yaml"), num_nodes=1, devices_per_node=1, '
        "gradient_accumulation_steps=4)"
    ),
    "your-nodes": "cheapest = 1\nfastest = 8",
    "your-devices": 'answer_devices = "b"',
}

EXPORT = SOLUTION["your-export"]


def _two_devices(workspace: Workspace) -> None:
    """Say of the rehearsal that it accumulated less."""
    path = workspace.runs / "rehearsal" / "config.resolved.json"
    data = json.loads(path.read_text())
    data["config"]["training"]["gradient_accumulation_steps"] = 2
    path.write_text(json.dumps(data))


MUTANTS = (
    Mutant(
        "job",
        {"big": BIG.replace("steps: 1", "steps: 4"), "your-export": EXPORT},
        why="1024 sequences per step, and 256",
    ),
    Mutant("rehearsal", tamper=_two_devices, why="and the job has 32"),
    Mutant("nodes", {"your-nodes": "cheapest = 8\nfastest = 1"}, why="the other way round"),
    Mutant("devices", {"your-devices": 'answer_devices = "c"'}, why="look at the equation first"),
)

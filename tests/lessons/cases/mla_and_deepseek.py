"""A solution of "MLA and DeepSeek's true sizes", and a mistake for each check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace


LATENT = """%%config latent.yaml lesson
model:
  mla:
    enabled: true
    kv_lora_rank: 16
    qk_nope_head_dim: 16
    qk_rope_head_dim: 16
    v_head_dim: 32
"""
V3 = """%%config small-v3.yaml lesson
model:
  mla:
    enabled: true
    kv_lora_rank: 16
    qk_nope_head_dim: 16
    qk_rope_head_dim: 16
    v_head_dim: 32
  num_experts: 4
  num_experts_per_token: 2
  moe:
    expert_intermediate_size: 96
    score_function: sigmoid
    num_shared_experts: 1
    num_dense_layers: 1
  moe_balancing:
    method: loss_free
"""
SOLUTION = {
    "latent-config": LATENT,
    "latent-launch": 'learn.launch("latent", config="latent.yaml")',
    "your-cards": "cards = 3",
    "v3-config": V3,
    "v3-launch": 'learn.launch("small-v3", config="small-v3.yaml")',
}


def _large(workspace: Workspace) -> None:
    """Say of the run that its latent was longer than it was."""
    path = workspace.runs / "latent" / "config.resolved.json"
    data = json.loads(path.read_text())
    data["config"]["model"]["mla"]["kv_lora_rank"] = 64
    path.write_text(json.dumps(data))


def _other_latent(workspace: Workspace) -> None:
    """Say of run and file that the latent was another one; only a replay can tell."""
    run = workspace.runs / "latent" / "config.resolved.json"
    data = json.loads(run.read_text())
    data["config"]["model"]["mla"]["kv_lora_rank"] = 8
    run.write_text(json.dumps(data))
    file = workspace.work("mla-and-deepseek") / "latent.yaml"
    file.write_text(file.read_text().replace("kv_lora_rank: 16", "kv_lora_rank: 8"))


def _no_shared(workspace: Workspace) -> None:
    """Take the shared expert out of the run's config."""
    path = workspace.runs / "small-v3" / "config.resolved.json"
    data = json.loads(path.read_text())
    data["config"]["model"]["moe"]["num_shared_experts"] = 0
    path.write_text(json.dumps(data))


MUTANTS = (
    Mutant("latent", tamper=_large, why="are a quarter of plain"),
    Mutant("latent", tamper=_other_latent, why="the run latent"),
    Mutant(
        "cards", {"your-cards": "cards = 2"}, why="that is the number for the active parameters"
    ),
    Mutant("small-v3", tamper=_no_shared, why="lacks a shared expert"),
)

"""A solution of "Other people's configs", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

DS = '''(learn.folder / "hostfile").write_text("node1 slots=1\\n")
(learn.folder / "ds_config.json").write_text("""
{
  "train_batch_size": 32,
  "train_micro_batch_size_per_gpu": 8,
  "gradient_accumulation_steps": 4,
  "optimizer": {"type": "AdamW", "params": {"lr": 0.003, "betas": [0.9, 0.95]}},
  "scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 10}},
  "zero_optimization": {"stage": 0, "overlap_comm": true},
  "gradient_clipping": 1.0
}
""")
lint("ds_config.json", "hostfile")
'''
TT = '''(learn.folder / "tt.yaml").write_text("""
training_config:
  batch_size: 16
  gradient_accumulation_steps: 2
  max_steps: 60
  optimizer: {type: AdamW, lr: 0.003}
device_config:
  enable_ddp: false
  mesh_shape: [1, 1]
""")
lint("tt.yaml")
'''
SOLUTION = {
    "deepspeed": DS,
    "tenstorrent": TT,
    "your-batch": "fsdp_train_batch_size = 8\ntt_batch_size = 32\ndeepspeed_micro_batch = 4",
    "your-import": 'learn.launch("from-tt", "lesson", "tt.layer.yaml")',
    "your-danger": 'answer_danger = "b"',
}

MUTANTS = (
    Mutant(
        "repaired",
        {"deepspeed": DS.replace("gradient_clipping", "gradient_cliping")},
        why="is ignored",
    ),
    Mutant("repaired", {"deepspeed": DS.replace('steps": 4', 'steps": 2')}, why="accumulation"),
    Mutant(
        "batch",
        {"your-batch": ("fsdp_train_batch_size = 8\ntt_batch_size = 4\ndeepspeed_micro_batch = 4")},
        why="tt-train: 4 is not it",
    ),
    Mutant("imported", {"tenstorrent": TT.replace("lr: 0.003", "lr: 0.002")}, why="says 0.002"),
    Mutant("danger", {"your-danger": 'answer_danger = "a"'}, why="then you know"),
)

"""A solution of "Where memory goes", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

_HEAVY = """\
%%config heavy.yaml lesson
model:
  hidden_size: 256
training:
  batch_size: 1
"""

SOLUTION = {
    "your-bytes": "optimizer_bytes = 2 * 4 * plan.size.total",
    "heavy-layer": _HEAVY,
    "your-q1": 'answer_q1 = "b"',
}


MUTANTS = (
    Mutant(
        "optimizer", {"your-bytes": "optimizer_bytes = 4 * plan.size.total"}, why="AdamW keeps two"
    ),
    Mutant("optimizer", {"your-bytes": "optimizer_bytes = 1"}, why="are not what AdamW keeps"),
    Mutant(
        "heavy",
        {"heavy-layer": _HEAVY.replace("batch_size: 1", "batch_size: 8")},
        why="more than half is asked",
    ),
    Mutant(
        "heavy",
        {"heavy-layer": _HEAVY + "data:\n  max_length: 32\n"},
        why="changes data.max_length too",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "a"'}, why="how much of the peak"),
)

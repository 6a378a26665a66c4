"""A solution of "Change one thing at a time", and one mistake for each of its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace


SOLUTION = {
    "your-runs": (
        'learn.launch("study-rate", config="study-1.yaml", learning_rate=0.004)\n'
        'learn.launch("study-width", config="study-1.yaml", hidden_size=32)'
    ),
    "your-width": 'answer_width = "b"',
    "version-3": """%%config study-3.yaml lesson
extends: [study-1.yaml]
run:
  description: "a shorter warm-up, I expect no difference"
training:
  learning_rate: 0.004
  warmup_steps: 5
""",
    "your-launch-3": 'learn.launch("study-3", config="study-3.yaml")',
    "your-small": 'answer_small = "b"',
}


def _smooth(workspace: Workspace) -> None:
    """Make the losses of a run look better than they were."""
    path = workspace.runs / "study-rate" / "metrics" / "0001.jsonl"
    path.write_text(path.read_text().replace('"loss":5.', '"loss":4.', 1))


MUTANTS = (
    Mutant("untangled", tamper=_smooth, why="study-rate"),
    Mutant(
        "width", {"your-width": 'answer_width = "a"'}, why="differs from version 1 in two things"
    ),
    Mutant(
        "version-3",
        {
            "version-3": """%%config study-3.yaml lesson
extends: [study-1.yaml]
run:
  description: "another file, after the run was made"
training:
  learning_rate: 0.004
  warmup_steps: 6
"""
        },
        why="not launched from study-3.yaml as it is now",
    ),
    Mutant("small", {"your-small": 'answer_small = "a"'}, why="chance alone"),
)

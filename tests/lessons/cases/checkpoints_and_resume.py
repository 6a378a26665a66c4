"""A solution of "Checkpoints, resume, reproducibility", and one mistake for each of its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace


SOLUTION = {
    "your-resume": (
        'learn.shell("ava runs resume by-hand")\nlearn.shell("ava runs watch by-hand")'
    ),
    "your-step": "went_on_from = 40",
    "your-proof": 'answer_proof = "b"',
}


def _never_killed(workspace: Workspace) -> None:
    """Put the undisturbed run in the place of the one that was to be killed."""
    import shutil

    shutil.rmtree(workspace.runs / "by-hand")
    shutil.copytree(workspace.runs / "steady", workspace.runs / "by-hand")


MUTANTS = (
    Mutant("resumed", tamper=_never_killed, why="by-hand was never killed"),
    Mutant("step", {"your-step": "went_on_from = 80"}, why="step 80 was damaged"),
    Mutant("proof", {"your-proof": 'answer_proof = "a"'}, why="weights and text alone"),
)

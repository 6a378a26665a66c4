"""A solution of "First launch", and one mistake for each of its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace

SOLUTION = {
    "your-val-loss": "val_loss = first.val_loss",
    "your-longer": 'learn.launch("longer", "lesson", max_steps=120)',
    "your-text": 'learn.launch("mine", "lesson", "--data.path", str(learn.folder / "dates.txt"))',
    "your-q1": 'answer_q1 = "b"',
}


def _flatter(workspace: Workspace) -> None:
    """Somebody makes the last losses of the longer run look better."""
    path = workspace.runs / "longer" / "metrics" / "0001.jsonl"
    path.write_text(path.read_text().replace('"loss":2.', '"loss":1.'))


MUTANTS = (
    Mutant(
        "read", {"your-val-loss": "val_loss = first.last_loss"}, why="the loss of the last step"
    ),
    Mutant(
        "read",
        {"your-val-loss": 'val_loss = first.series("val_loss").values[0]'},
        why="an earlier validation loss",
    ),
    Mutant("read", {"your-val-loss": "val_loss = 9.99"}, why="9.99 is not the validation loss"),
    Mutant("longer", {"longer": 'learn.check("longer", run="first")'}, why="takes 60 steps"),
    Mutant("longer", why="its checksum is wrong", tamper=_flatter),
    Mutant("own-text", {"own-text": 'learn.check("own-text", run="first")'}, why="data.path is"),
    Mutant("q1", {"your-q1": 'answer_q1 = "a"'}, why="has learned nothing"),
)

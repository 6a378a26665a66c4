"""A solution of "When it goes wrong", and one mistake for each of its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lessons.gate import Mutant

if TYPE_CHECKING:
    from workbench.lessons.workspace import Workspace

FITS = """%%config fits.yaml --config models/gpt2 --hardware t4
training:
  batch_size: 16
  gradient_accumulation_steps: 4
  mixed_precision: fp16
data:
  max_length: 1024
"""
DATA = """def good(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


mended = learn.folder / "mended.jsonl"
mended.write_text("".join(f"{line}\\n" for line in broken if good(line)))
learn.launch("good-data", "lesson", "--data.path", str(mended), max_steps=20)
"""
SOLUTION = {
    "your-repair": 'learn.launch("nan-repaired", "lesson", max_steps=20, warmup_steps=5)',
    "your-data": DATA,
    "your-slow": 'answer_slow = "c"',
    "fits": FITS,
}


def _not_repaired(workspace: Workspace) -> None:
    """Put the broken run in the place of the repaired one."""
    import shutil

    shutil.rmtree(workspace.runs / "nan-repaired")
    shutil.copytree(workspace.runs / "nan", workspace.runs / "nan-repaired")


def _one_bad_line(workspace: Workspace) -> None:
    path = workspace.work("when-it-goes-wrong") / "mended.jsonl"
    path.write_text('{"text": "cut of\n' + path.read_text())


def _half(workspace: Workspace) -> None:
    path = workspace.work("when-it-goes-wrong") / "mended.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))


MUTANTS = (
    Mutant("nan", tamper=_not_repaired, why="nan-repaired is not repaired"),
    Mutant("data", tamper=_one_bad_line, why="mended.jsonl:1 is still no JSON object"),
    Mutant("data", tamper=_half, why="good records are missing"),
    Mutant("slow", {"your-slow": 'answer_slow = "a"'}, why="the steps are the small part"),
    Mutant("fits", {"fits": FITS.replace("size: 16", "size: 32")}, why="not the same step"),
    Mutant(
        "fits",
        {
            "fits": FITS.replace("size: 16", "size: 64").replace(
                "steps: 4", "steps: 1 # all at once"
            )
        },
        why="it does not fit yet",
    ),
)

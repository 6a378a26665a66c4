"""A solution of "Make it fit", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

_FITS = """\
%%config fits.yaml --hardware rtx_4090
extends: [big.yaml]
training:
  batch_size: 8
  gradient_accumulation_steps: 1
  gradient_checkpointing: true
"""

SOLUTION = {
    "your-recomputed": 'learn.launch("recomputed", "lesson", gradient_checkpointing=True)',
    "fits-layer": _FITS,
    "your-q1": 'answer_q1 = "c"',
}

MUTANTS = (
    Mutant(
        "recomputed",
        {"recomputed": 'learn.check("recomputed", run="first", base="recomputed")'},
        why="was trained without recomputation",
    ),
    Mutant(
        "fits",
        {"fits-layer": _FITS.replace("true", "true\n  gradient_checkpointing_kind: selective")},
        why="may be taken",
    ),
    Mutant("fits", {"fits-layer": _FITS.replace("size: 8", "size: 4")}, why="4 × 1 = 4"),
    Mutant(
        "fits",
        {"fits-layer": _FITS.replace("size: 8", "size: 2").replace("steps: 1", "steps: 4")},
        why="2 sequences are in the model at once",
    ),
    Mutant(
        "fits",
        {"fits-layer": _FITS + "data:\n  max_length: 1024\n"},
        why="data.max_length is another one",
    ),
    Mutant(
        "fits",
        {
            "fits-layer": _FITS
            + "deepspeed:\n  enabled: true\n  zero_stage: 2\n  offload_optimizer:\n"
            + "    device: cpu\n"
        },
        why="nothing is to be offloaded",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "a"'}, why="recomputation saves activations"),
)

"""A solution of "Batch, accumulation and learning rate", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

SOLUTION = {
    "your-accumulated": (
        'learn.launch("accumulated", "lesson", batch_size=2, gradient_accumulation_steps=4)'
    ),
    "your-tuned": (
        'learn.launch("tuned", "lesson", batch_size=16, max_steps=30, learning_rate=0.008)'
    ),
    "your-q1": 'answer_q1 = "b"',
}


MUTANTS = (
    Mutant(
        "accumulated",
        {"accumulated": 'learn.check("accumulated", run="first")'},
        why="8 sequences are in the model at a time",
    ),
    Mutant(
        "accumulated",
        {"accumulated": 'learn.check("accumulated", run="big")'},
        why="16 sequences per step",
    ),
    Mutant("tuned", {"tuned": 'learn.check("tuned", run="first")'}, why="in training.batch_size"),
    Mutant(
        "tuned",
        {"tuned": 'learn.check("tuned", run="big", base="tuned")'},
        why="the validation loss is",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "c"'}, why="the same broken weights"),
)

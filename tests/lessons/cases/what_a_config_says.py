"""A solution of "What a config says", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

_CALM = "%%config calm.yaml lesson\ntraining:\n  learning_rate: 0.001\n"
_NIGHT = "%%config night.yaml lesson\ntraining:\n  save_steps: 10\n  eval_steps: 10\n"

SOLUTION = {
    "calm": _CALM,
    "your-other": 'learn.launch("other", "lesson", seed=7)',
    "night-layer": _NIGHT,
    "your-night": 'learn.launch("night", config="night.yaml")',
    "your-q1": 'answer_q1 = "c"',
}


MUTANTS = (
    Mutant(
        "layer",
        {"calm": "%%config calm.yaml lesson\ntraining:\n  learning_rate: 0.002\n"},
        why="the learning rate is 0.002",
    ),
    Mutant("layer", {"calm": _CALM + "  batch_size: 4\n"}, why="changes training.batch_size too"),
    Mutant(
        "other-seed",
        {"other-seed": 'learn.check("other-seed", run="again")'},
        why="has the same run.seed as first",
    ),
    Mutant(
        "other-seed",
        {"other-seed": 'learn.check("other-seed", base="night")'},
        why="in training.eval_steps and training.save_steps too",
    ),
    Mutant(
        "night", {"night": 'learn.check("night", run="first")'}, why="so many steps may be lost"
    ),
    Mutant(
        "night",
        {"night-layer": _NIGHT.replace("save_steps: 10", "save_steps: 5")},
        why="was not launched from night.yaml as it is now",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "a"'}, why="the seed alone"),
)

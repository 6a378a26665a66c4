"""A solution of "Mixture of experts", and one mistake for each of its checks."""

from __future__ import annotations

from tests.lessons.gate import Mutant

_REPAIRED = """\
%%config repaired.yaml lesson
extends: [mixture.yaml]
model:
  router_aux_loss_coef: 1.0
"""

SOLUTION = {
    "your-room": "room = 80",
    "repaired-layer": _REPAIRED,
    "your-repaired": 'learn.launch("repaired", config="repaired.yaml")',
    "your-q1": 'answer_q1 = "b"',
}

MUTANTS = (
    Mutant("room", {"your-room": "room = 64"}, why="that is the fair share"),
    Mutant("room", {"your-room": "room = 640"}, why="for all experts together"),
    Mutant(
        "repaired",
        {"repaired": 'learn.check("repaired", run="collapsed")'},
        why="has the same model.router_aux_loss_coef",
    ),
    Mutant(
        "repaired",
        {"repaired-layer": _REPAIRED.replace("1.0", "0.5")},
        why="was not launched from repaired.yaml as it is now",
    ),
    Mutant(
        "repaired",
        {
            "repaired": (
                'learn.check("repaired", run="collapsed", base="repaired", file="mixture.yaml")'
            )
        },
        why="is too small for so few steps",
    ),
    Mutant("q1", {"your-q1": 'answer_q1 = "c"'}, why="the next token may need any of them"),
)

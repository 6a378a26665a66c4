"""Trainings that go well by every number but the one that counts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from workbench import units
from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault
from workbench.lessons.faults.runs import SHORT, STEPS
from workbench.runs.checkpoints import list_checkpoints

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage

_PEOPLE: Final = 60


@fault(
    "learning-rate-too-low",
    "The learning rate is far too low",
    what_happens="A training that costs what any other costs, and learns next to nothing.",
    see="a curve that is nearly flat, at the loss of a model that knows nothing",
    recover="start again with the right rate: ten times higher is a better guess than twice",
    starts=2,
)
def learning_rate_too_low(stage: Stage) -> None:
    """Train at a ten-thousandth of the right rate."""
    stage.breaks("A learning rate of 4e-7: the recipe's, with a slip of four zeros.")
    stage.sees("Nothing fails, and nothing happens.")
    stage.ava(
        f"train lesson --name slow {SHORT} --learning_rate 4e-7",
        show="^warning|^step|^finished|^loss|^validation",
    )
    slow = lab.losses(stage.run("slow"))
    fallen = slow[1] - slow[STEPS]
    stage.expects("the loss has hardly moved", abs(fallen) < 0.2, f"{fallen:.2g} lower")
    stage.because(
        "Adam moves each weight by about the learning rate in a step: after 24 steps no weight "
        "is further than 1e-5 from where it began. It looks like a model that cannot learn, "
        "which is why data and code get searched for days."
    )
    stage.repairs("The same training at the recipe's rate.")
    run = stage.healthy()
    stage.ava("runs compare slow healthy", show=(14, 4))
    stage.proves("")
    stage.shows_curves("loss", "loss", {"4e-7": stage.run("slow"), "0.004": run})
    losses = lab.losses(run)
    stage.expects("both began at the same weights", slow[1] == losses[1], f"step 1: {slow[1]:g}")
    stage.expects(
        "the repaired one learns",
        losses[STEPS] < slow[STEPS] - 1,
        f"{units.number(slow[STEPS])} against {units.number(losses[STEPS])}",
    )


@fault(
    "overfitting",
    "It learns the text by heart",
    what_happens="Two kilobytes of text, read sixty times over.",
    see="training loss down, validation loss down and then up",
    recover="stop early and keep the best weights; more text, if there is any",
    starts=2,
)
def overfitting(stage: Stage) -> None:
    """Overfit a list of people, then stop where it was best."""
    stage.breaks(f"A text of {_PEOPLE} made-up people, and 200 steps on it.")
    stage.writes("people.txt", _people())
    stage.ran("head -2 people.txt", "\n".join(_people().splitlines()[:2]))
    base = (
        "--data.path people.txt --validation_fraction 0.2 --max_steps 200 --eval_steps 20"
        " --lr_scheduler_type constant --max_new_tokens 0"
    )
    evaluations = "^step .*validation loss"
    stage.sees("The loss of the training falls to the end. The text it has never seen says:")
    stage.ava(f"train lesson --name by_heart {base}", show=f"{evaluations}|^finished|^loss")
    steps, values = _validation(stage, "by_heart")
    best = min(values)
    stage.shows_curves("validation loss", "val_loss", {"to the end": stage.run("by_heart")})
    stage.expects(
        "the validation loss rose again", values[-1] > best + 0.2,
        f"best {best:.3g} at step {steps[values.index(best)]:.0f}, {values[-1]:.3g} at the end",
    )  # fmt: skip
    losses = lab.losses(stage.run("by_heart"))
    stage.expects(
        "while the training loss fell on", losses[200] < losses[100],
        f"{losses[100]:.3g} at step 100, {losses[200]:.3g} at step 200",
    )  # fmt: skip
    stage.because(
        "At first it learns what all the lines have in common; then only what is left, which is "
        "each line itself. That helps with these lines and hurts with every other one."
    )
    stage.repairs("Stop after two evaluations without a better one, and take the best weights.")
    stage.ava(
        f"train lesson --name stopped {base} --early_stopping_patience 2"
        " --load_best_model_at_end true",
        show=f"{evaluations}|early|best|^finished",
    )
    stage.proves("")
    stopped_steps, stopped = _validation(stage, "stopped")
    stage.expects(
        "it stopped by itself", stopped_steps[-1] < steps[-1], f"at step {stopped_steps[-1]:.0f}"
    )
    stage.expects(
        "up to there both are the same training", stopped == values[: len(stopped)],
        f"{len(stopped)} evaluations",
    )  # fmt: skip
    summary = stage.asks("runs show stopped").get("summary") or {}
    best_step = int(stopped_steps[stopped.index(min(stopped))])
    saved = [item.step for item in list_checkpoints(stage.run("stopped"), hashes=True)]
    stage.expects(
        "the best weights are saved, and the run says which they are",
        summary.get("best_step") == best_step and best_step in saved,
        f"step {best_step}, validation loss {min(stopped):.3g}",
    )


def _people() -> str:
    chance = random.Random(7)  # noqa: S311 - the same people for everybody

    def word() -> str:
        pairs = (chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(3))
        return "".join(list(pairs)[: chance.randrange(2, 4)]).capitalize()

    lines = (
        f"{word()} {word()}, born {chance.randrange(1700, 1999)} in {word()}"
        for _ in range(_PEOPLE)
    )
    return "\n".join(lines) + "\n"


def _validation(stage: Stage, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of the validation loss."""
    found = lab.series(stage.run(name), "val_loss")
    return list(found.steps), list(found.values)

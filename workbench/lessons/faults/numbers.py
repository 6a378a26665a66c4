"""Numbers that leave what a format or a training can bear."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench import units
from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault
from workbench.lessons.faults.runs import SHORT, STEPS
from workbench.runs.files import read_json

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage


@fault(
    "nan-loss",
    "The loss is no number any more",
    what_happens="A learning rate thousands of times too high in fp16, which ends at 65,504.",
    see="the training stops by itself at the step, before the weights are touched",
    recover="a sane learning rate, and bf16 or fp32 where fp16 is not needed",
    starts=2,
)
def nan_loss(stage: Stage) -> None:
    """Overflow fp16 with one step that is far too long."""
    stage.breaks(
        "A learning rate of 10 from the first step on, no clipping, and products in fp16. "
        "The warnings are real ones; they are not listened to."
    )
    stage.sees("")
    printed = stage.ava(
        f"train lesson --name nan --max_steps {STEPS} --mixed_precision fp16 --learning_rate 10"
        " --warmup_steps 0 --max_gradient_norm 0",
        code=1,
        show="^warning|^step|^error|^  ",
    )
    stage.expects("it was warned before the start", "makes a model diverge" in printed)
    run = stage.run("nan")
    losses = lab.losses(run)
    bad = [step for step, loss in losses.items() if not math.isfinite(loss)]
    stage.expects(
        "the step is in the metrics as it was, and nothing hides it",
        bad,
        ", ".join(f"step {step}: loss {loss:g}" for step, loss in losses.items()),
    )
    stage.expects("it is the last one: training stopped there", bad == [max(losses, default=0)])
    record = read_json(run.path / "bad_batch.json")
    stage.expects(
        "the sequences of that step are kept for a look", record.get("step") in bad,
        "runs/nan/bad_batch.json",
    )  # fmt: skip
    stage.because(
        "The first step moved every weight by 10. In the second the products passed 65,504, the "
        "largest number of fp16, and became infinite; infinity less infinity is NaN. One update "
        "with it, and every weight is NaN for ever: so the update is not made."
    )
    stage.repairs("The recipe's own learning rate and precision, from the start.")
    healthy = lab.losses(stage.healthy())
    stage.proves("")
    stage.expects(
        "every loss is a number", all(map(math.isfinite, healthy.values())), f"{len(healthy)} steps"
    )
    stage.expects(
        "and it learns", healthy[STEPS] < healthy[1],
        f"{units.number(healthy[1])} → {units.number(healthy[STEPS])}",
    )  # fmt: skip


@fault(
    "exploding-learning-rate",
    "The learning rate is far too high",
    what_happens="The loss rises far above that of a model which knows nothing, and stays there.",
    see="a curve that goes up; the run even finishes, and says what an untrained model has",
    recover="start again with a lower learning rate: these weights are worth nothing",
    starts=2,
)
def exploding_learning_rate(stage: Stage) -> None:
    """Diverge for real, with numbers that all stay finite."""
    stage.breaks("A learning rate of 3. The recipe has 0.004.")
    stage.sees("No error, exit code 0: every number is finite. Only the curve tells.")
    stage.ava(
        f"train lesson --name hot {SHORT} --learning_rate 3",
        show="^warning|^  try|^step|^finished|^loss|^validation",
    )
    hot = lab.losses(stage.run("hot"))
    untrained = math.log(256)
    stage.shows_curves("loss", "loss", {"learning rate 3": stage.run("hot")})
    stage.expects(
        "the loss ends above that of a model which guesses evenly among 256 bytes",
        hot[STEPS] > 2 * untrained,
        f"{units.number(hot[STEPS])}, against ln 256 = {units.number(untrained)}",
    )
    stage.because(
        "A step goes downhill only as far as the slope holds. Adam moves each weight by about the "
        "learning rate, whatever the gradient. Fresh weights are about 0.02: a step of 3 throws "
        "the model to a place where the slope is another. Such weights do not come back; to "
        "lower the rate and go on would start from noise."
    )
    stage.repairs("The same training at the recipe's rate, and both side by side.")
    run = stage.healthy()
    stage.ava("runs compare hot healthy", show=(14, 4))
    stage.proves("")
    stage.shows_curves("loss", "loss", {"learning rate 3": stage.run("hot"), "0.004": run})
    losses = lab.losses(run)
    stage.expects("both began at the same weights", hot[1] == losses[1], f"step 1: {hot[1]:g}")
    stage.expects(
        "the repaired one learned", losses[STEPS] < untrained - 1, units.number(losses[STEPS])
    )


@fault(
    "gradient-explosion",
    "Gradients explode, and are met",
    what_happens="A rate of 3, and training.gradient_health watches the gradient of every step.",
    see="events gradient_explosion and lr_reduced, and a learning rate that comes down",
    recover="it recovers by itself: the rate is cut until the gradients calm down",
    starts=2,
)
def gradient_explosion(stage: Stage) -> None:
    """The same divergence twice, once watched by gradient_health."""
    steps = 100
    base = (
        f"--max_steps {steps} --lr_scheduler_type constant --learning_rate 3"
        " --mixed_precision no --max_new_tokens 0"
    )
    stage.breaks("A learning rate of 3, 750 times that of the recipe, and nobody looks.")
    stage.sees("")
    stage.ava(f"train lesson --name unwatched {base}", show="^finished|^loss")
    unwatched = lab.losses(stage.run("unwatched"))
    untrained = math.log(256)
    stage.expects(
        "the loss ends above that of a model which knows nothing", unwatched[steps] > untrained,
        f"{unwatched[steps]:.3g}, against ln 256 = {untrained:.3g}",
    )  # fmt: skip
    stage.because(
        "A gradient norm above explosion_threshold, 10, is an explosion. When the last five steps "
        "have all exploded, the learning rate is cut, for good and by lr_reduction_factor; the cut "
        "is an event of the run and part of its checkpoints."
    )
    stage.repairs("The same, watched, with cuts to a tenth.")
    stage.ava(
        f"train lesson --name watched {base} --training.gradient_health.enabled true"
        " --lr_reduction_factor 0.1",
        show="^finished|^loss",
    )
    log = stage.run("watched").attempt_events_path(1)
    cuts = [line for line in log.read_text().splitlines() if "lr_reduced" in line]
    stage.ran(f"grep lr_reduced {log.relative_to(stage.folder)}", "\n".join(cuts))
    rates = lab.series(stage.run("watched"), "lr").values
    stage.shows_curves(
        "loss", "loss", {"nobody looks": stage.run("unwatched"), "watched": stage.run("watched")}
    )
    stage.proves("")
    stage.expects(
        "the learning rate was cut", cuts and rates[-1] < max(rates),
        f"from {max(rates):g} to {rates[-1]:.3g}",
    )  # fmt: skip
    watched = lab.losses(stage.run("watched"))
    stage.expects(
        "the loss came back down", watched[steps] < unwatched[steps] / 4,
        f"{max(watched.values()):.3g} at its worst, {watched[steps]:.3g} at the end; "
        f"unwatched {unwatched[steps]:.3g}",
    )  # fmt: skip

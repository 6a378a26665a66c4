"""Configs that say something else than one meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault
from workbench.lessons.faults.runs import STEPS

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage

_TYPO = """\
{
  "train_micro_batch_size_per_gpu": 4,
  "gradient_accumulation_steps": 4,
  "gradient_cliping": 1.0,
  "bf16": {"enabled": true}
}
"""
_BATCH = """\
{
  "train_batch_size": 100,
  "train_micro_batch_size_per_gpu": 8,
  "gradient_accumulation_steps": 4,
  "bf16": {"enabled": true}
}
"""


@fault(
    "silent-typo",
    "A typo that nobody reports",
    what_happens="gradient_cliping, with one p, in a DeepSpeed file; it is dropped in silence.",
    see="nothing, for weeks; ava lint names the line, and what was probably meant",
    recover="lint every config of every system before a machine is rented",
    starts=0,
)
def silent_typo(stage: Stage) -> None:
    """Lint a DeepSpeed file with a typo, and the file without it."""
    stage.breaks("A config for DeepSpeed, whose author wants gradients clipped at 1.0.")
    stage.writes("ds.json", _TYPO)
    stage.ran("cat ds.json", _TYPO)
    stage.sees("")
    printed = stage.ava("lint ds.json", show=(99, 0))
    before = stage.asks("lint ds.json")
    stage.expects(
        "the key is found, with its line", _verdicts(before).get("gradient_cliping") == "ignored",
        "line 4 is ignored by DeepSpeed",
    )  # fmt: skip
    stage.expects("and what was meant", "did you mean gradient_clipping?" in printed)
    stage.expects("nothing clips: the layer has no such value", _clip(before) is None)
    stage.because(
        "DeepSpeed reads the keys it knows from the top of its file, and does not look at the "
        "others. So this training runs, unclipped, until the first bad batch. The workbench's own "
        "keys are checked the other way: one that it does not know stops the launch."
    )
    stage.repairs("One letter.")
    stage.writes("ds.json", _TYPO.replace("cliping", "clipping"))
    stage.ran("sed -i s/cliping/clipping/ ds.json")
    stage.ava("lint ds.json", show="gradient_clip|^understood|ignores")
    after = stage.asks("lint ds.json")
    stage.proves("")
    stage.expects("nothing is ignored any more", "ignored" not in _verdicts(after).values())
    stage.expects("the gradients are clipped", _clip(after) == 1.0, f"at {_clip(after)}")


@fault(
    "wrong-batch-equation",
    "The batch does not add up",
    what_happens="8 sequences × 4 passes × 1 device, and a file that says 100 in a step.",
    see="DeepSpeed refuses to start, on the rented machine; ava lint refuses here",
    recover="take one of the two edits that the finding offers",
    starts=0,
)
def wrong_batch_equation(stage: Stage) -> None:
    """Lint a DeepSpeed file whose batch sizes contradict each other."""
    stage.breaks("Three figures for one thing, and they disagree.")
    stage.writes("ds.json", _BATCH)
    stage.ran("cat ds.json", _BATCH)
    stage.sees("")
    printed = stage.ava("lint ds.json", code=1, show=(99, 0))
    found = stage.asks("lint ds.json")
    stage.expects(
        "DeepSpeed would refuse it", _verdicts(found).get("train_batch_size") == "refused",
        "train_batch_size, line 2",
    )  # fmt: skip
    stage.expects("the equation is shown with its numbers", "8 sequences × 4 acc" in printed)
    stage.because(
        "micro-batch × accumulation × devices = sequences in a step. DeepSpeed wants two of the "
        "three and finds the last itself; who writes all of them has to be right. On another "
        "number of devices the same file is wrong again."
    )
    stage.repairs("32 it is. Better still, leave train_batch_size out.")
    stage.writes("ds.json", _BATCH.replace("100", "32"))
    stage.ran("sed -i s/100/32/ ds.json")
    stage.ava("lint ds.json", show="^understood|batch|^error")
    stage.proves("")
    after = stage.asks("lint ds.json")
    stage.expects("nothing is refused any more", "refused" not in _verdicts(after).values())
    training = after["layer"]["training"]
    stage.expects(
        "the equation holds",
        training["batch_size"] * training["gradient_accumulation_steps"] == 32,
        f"{training['batch_size']} × {training['gradient_accumulation_steps']} × 1 = 32",
    )


@fault(
    "vocabulary-too-small",
    "The tokenizer does not fit the model",
    what_happens="A tokenizer of 256 tokens, and a model that has rows for 200 of them.",
    see="refused before anything starts, with both numbers",
    recover="give the model at least as many rows as the tokenizer has tokens",
    starts=1,
)
def vocabulary_too_small(stage: Stage) -> None:
    """Launch a model whose vocabulary is smaller than its tokenizer's."""
    stage.breaks("A model with a vocabulary of 200. The tokenizer, bytes, has 256.")
    stage.sees("")
    printed = stage.ava("train lesson --name words --vocab_size 200", code=2)
    stage.expects("it says both numbers", "256" in printed and "200" in printed)
    stage.expects("nothing was started", not stage.run("words").path.exists())
    stage.because(
        "The embedding is a table with one row per token. Token 200 would read behind its end: on "
        "a CPU an IndexError at some step, on a GPU a device-side assert that names another line, "
        "hours later, when the first such token turns up."
    )
    stage.repairs("The edit that the message offers.")
    stage.ava(
        "train lesson --name words --vocab_size 256 --max_steps 4 --warmup_steps 0"
        " --max_eval_examples 4",
        show="^step|^finished",
    )
    stage.proves("")
    stage.expects("it trains", len(lab.losses(stage.run("words"))) == 4)


@fault(
    "resumed-with-another-config",
    "A run is resumed as another model",
    what_happens="A checkpoint of width 64 is to go on with a width of 128.",
    see="refused, with the reason; what is safe to change is changed, and written down",
    recover="a new run for a new model; safe keys, such as max_steps, beside the resume",
    starts=2,
)
def resumed_with_another_config(stage: Stage) -> None:
    """Ask a resume for a change that is refused, and for one that is not."""
    stage.breaks("A short training, resumed with a wider model.")
    run = stage.healthy()
    stage.sees("")
    printed = stage.ava(f"train --resume healthy --hidden_size 128 --max_steps {STEPS + 8}", code=2)
    stage.expects("it is refused, and the key named", "model.hidden_size" in printed)
    stage.expects("the run is as it was", run.attempts() == [1])
    stage.because(
        "The weights of a checkpoint have shapes; its optimizer, its random numbers and its place "
        "in the data mean something under one config only. Trainers that take it anyway fail in "
        "load_state_dict, or load what fits and start the rest from noise."
    )
    stage.repairs("More steps, and from here on a smaller learning rate: that is safe.")
    stage.ava(
        f"train --resume healthy --max_steps {STEPS + 8} --learning_rate 1e-3", show=lab.GOING_ON
    )
    stage.ava("runs show healthy", show=lab.HISTORY)
    stage.proves("")
    lab.complete(stage, run)
    second = lab.losses(run, 2)
    stage.expects("it went on where it was", min(second) == STEPS + 1, f"from step {min(second)}")
    stage.expects(
        "the change is written into the run",
        "# changed " in (run.path / "config.yaml").read_text(),
        "on top of its config.yaml",
    )


def _verdicts(linted: dict[str, Any]) -> dict[str, str]:
    """What the system does with each key that has a remark."""
    remarks = [remark for file in linted["files"] for remark in file["remarks"]]
    return {remark["path"]: remark["verdict"] for remark in remarks if remark["verdict"]}


def _clip(linted: dict[str, Any]) -> float | None:
    value: float | None = linted["layer"].get("training", {}).get("max_gradient_norm")
    return value

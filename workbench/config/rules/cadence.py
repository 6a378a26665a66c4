"""Rules about when something is evaluated, saved and written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.render import inline
from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.rules.schedule import planned_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = 20
"""Steps of a training so short that saving in every one costs nothing."""


@rule("saves-every-step", "warning")
def saves_every_step(subject: Subject) -> Iterator[Problem]:
    """Checkpoints are further apart than a step: each holds three times the weights."""
    training, steps = subject.config.training, planned_steps(subject)
    short = steps is not None and steps <= _SHORT
    if training.save_strategy == "steps" and training.save_steps == 1 and not short:
        yield Problem(
            "training.save_steps",
            "a checkpoint after every step writes three times the weights to disk in every step",
            (put("training.save_steps", max(10, training.max_steps // 10)),),
        )


@rule("evaluates-every-step", "warning")
def evaluates_every_step(subject: Subject) -> Iterator[Problem]:
    """Evaluations are further apart than a step."""
    training, steps = subject.config.training, planned_steps(subject)
    short = steps is not None and steps <= _SHORT
    if training.eval_strategy == "steps" and training.eval_steps == 1 and not short:
        yield Problem(
            "training.eval_steps",
            "an evaluation after every step costs more time than it tells",
            (put("training.eval_steps", max(10, training.max_steps // 10)),),
        )


@rule("never-validates", "warning")
def never_validates(subject: Subject) -> Iterator[Problem]:
    """Held-out text is looked at while there is time to stop: eval_strategy is not no."""
    training = subject.config.training
    steps = max(1, training.max_steps // 10)
    if training.eval_strategy == "no":
        yield Problem(
            "training.eval_strategy",
            "without evaluations overfitting is seen by nobody",
            (
                (
                    f"evaluate every {steps} steps",
                    {"training.eval_strategy": "steps", "training.eval_steps": steps},
                ),
            ),
        )
    elif training.eval_strategy == "steps" and subject.is_set("training.eval_steps"):
        planned = planned_steps(subject)
        late = planned is not None and training.eval_steps > planned > 5 * _SHORT
        if training.eval_steps == 0 or late:
            yield Problem(
                "training.eval_steps",
                f"with eval_steps: {training.eval_steps} the held-out text is looked at once, when "
                "it is too late to stop",
                (put("training.eval_steps", steps),),
            )


@rule("never-saves", "warning")
def never_saves(subject: Subject) -> Iterator[Problem]:
    """A long training saves on its way."""
    training, planned = subject.config.training, planned_steps(subject)
    if planned is None or planned < 1000:
        return
    steps = planned // 10
    if training.save_strategy == "no":
        path, how = "training.save_strategy", "save_strategy: no"
    elif training.save_strategy == "steps" and (
        training.save_steps == 0 or training.save_steps > planned
    ):
        path, how = "training.save_steps", f"save_steps: {training.save_steps}"
    else:
        return
    yield Problem(
        path,
        f"with {how} a crash at step {planned - 1:,} costs the whole training",
        (
            (
                f"save every {steps} steps",
                {"training.save_strategy": "steps", "training.save_steps": steps},
            ),
        ),
    )


@rule("logs-nothing", "warning")
def logs_nothing(subject: Subject) -> Iterator[Problem]:
    """logging_steps is at most max_steps, so that there is a curve."""
    training, steps = subject.config.training, planned_steps(subject)
    if steps is not None and training.logging_steps > steps:
        yield Problem(
            subject.blame("training.logging_steps", "training.max_steps"),
            f"a row every {training.logging_steps} steps is none in {steps} steps",
            (put("training.logging_steps", max(1, steps // 100)),),
        )


@rule("early-stopping-needs-evaluation", "warning")
def early_stopping_needs_evaluation(subject: Subject) -> Iterator[Problem]:
    """Early stopping, the best checkpoint and reduce_on_plateau need evaluations."""
    training = subject.config.training
    every = training.eval_strategy == "steps" and training.eval_steps > 0
    if every or training.eval_strategy == "epoch":
        return
    steps = max(1, training.max_steps // 10)
    for name, on in (
        ("early_stopping_patience", training.early_stopping_patience is not None),
        ("load_best_model_at_end", training.load_best_model_at_end),
        ("lr_scheduler_type", training.lr_scheduler_type == "reduce_on_plateau"),
    ):
        if on:
            yield Problem(
                f"training.{name}",
                f"{name} {inline(getattr(training, name))} goes by the held-out text, which is not "
                "evaluated on the way",
                (
                    (
                        f"evaluate every {steps} steps",
                        {"training.eval_strategy": "steps", "training.eval_steps": steps},
                    ),
                ),
            )


@rule("best-is-worst", "warning")
def best_is_worst(subject: Subject) -> Iterator[Problem]:
    """A smaller loss or perplexity is better; a larger accuracy, BLEU or ROUGE is."""
    training = subject.config.training
    metric = training.metric_for_best_model.lower()
    falls = any(word in metric for word in ("loss", "perplexity", "ppl", "error"))
    rises = any(word in metric for word in ("accuracy", "bleu", "rouge", "f1", "reward"))
    wrong = (falls and training.greater_is_better) or (rises and not training.greater_is_better)
    if wrong and falls != rises:
        side = "smaller" if falls else "larger"
        yield Problem(
            subject.blame("training.greater_is_better", "training.metric_for_best_model"),
            f"a {side} {training.metric_for_best_model} is better; greater_is_better "
            f"{'true' if falls else 'false'} would keep the worst checkpoint",
            (put("training.greater_is_better", rises),),
        )


@rule("tiers-fit", "error")
def tiers_fit(subject: Subject) -> Iterator[Problem]:
    """The storage tier copies checkpoints that the memory tier has: its steps are a multiple."""
    memory = subject.config.checkpointing.memory_tier
    storage = subject.config.checkpointing.storage_tier
    if memory.enabled and storage.enabled and storage.save_steps % memory.save_steps:
        up = -(-storage.save_steps // memory.save_steps) * memory.save_steps
        yield Problem(
            subject.blame(
                "checkpointing.storage_tier.save_steps", "checkpointing.memory_tier.save_steps"
            ),
            f"every {storage.save_steps} steps there is no checkpoint in memory to copy: it is "
            f"made every {memory.save_steps}",
            (put("checkpointing.storage_tier.save_steps", up),),
        )


@rule("storage-tier-needs-path", "error")
def storage_tier_needs_path(subject: Subject) -> Iterator[Problem]:
    """The storage tier says where it copies to."""
    storage = subject.config.checkpointing.storage_tier
    if storage.enabled and storage.path is None:
        yield Problem(
            "checkpointing.storage_tier.enabled",
            "copies go to lasting storage, but checkpointing.storage_tier.path does not say where",
            (put("checkpointing.storage_tier.enabled", False),),
        )


@rule("replicas-need-nodes", "warning")
def replicas_need_nodes(subject: Subject) -> Iterator[Problem]:
    """Copies in the memory of other nodes need as many other nodes."""
    config = subject.config
    memory, nodes = config.checkpointing.memory_tier, config.parallel.num_nodes
    if memory.enabled and memory.replicas >= nodes:
        yield Problem(
            subject.blame(
                "checkpointing.memory_tier.replicas", "checkpointing.memory_tier.enabled"
            ),
            f"{memory.replicas} copies on other nodes need {memory.replicas + 1} nodes, the plan "
            f"has {nodes}",
            (put("checkpointing.memory_tier.replicas", nodes - 1),),
        )


@rule("resume-or-fresh", "error")
def resume_or_fresh(subject: Subject) -> Iterator[Problem]:
    """A run resumes from a checkpoint or starts afresh, not both."""
    checkpointing = subject.config.checkpointing
    if checkpointing.resume_from_checkpoint is not None and checkpointing.fresh_start:
        yield Problem(
            "checkpointing.fresh_start",
            "fresh_start begins at step 0, resume_from_checkpoint goes on from "
            f"{checkpointing.resume_from_checkpoint}",
            (
                put("checkpointing.fresh_start", False),
                put("checkpointing.resume_from_checkpoint", None),
            ),
        )

"""Rules about how long the training is, and how the learning rate moves meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.size import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADAM = ("adamw", "adamw_8bit", "adam", "lion", "lamb", "onebitadam", "onebitlamb", "zerooneadam")
_DURATIONS = ("num_epochs", "total_training_tokens", "tokens_per_parameter_ratio")
_TWICE = (("warmup_steps", "warmup_ratio"), ("lr_end", "lr_end_ratio"))


def planned_steps(subject: Subject) -> int | None:
    """How many steps the training has; None where epochs or tokens say it instead."""
    training = subject.config.training
    otherwise = any(getattr(training, name) is not None for name in _DURATIONS)
    return None if otherwise and not subject.is_set("training.max_steps") else training.max_steps


def _told(steps: int, subject: Subject) -> str:
    return (
        f"{steps} steps" if subject.is_set("training.max_steps") else f"the default {steps} steps"
    )


@rule("warmup-within-training", "warning")
def warmup_within_training(subject: Subject) -> Iterator[Problem]:
    """The warm-up is shorter than the training."""
    warmup, steps = subject.config.training.warmup_steps, planned_steps(subject)
    if steps is not None and warmup >= steps:
        shorter = put("training.warmup_steps", steps // 20)
        longer = put("training.max_steps", 20 * warmup)
        yield Problem(
            subject.blame("training.warmup_steps", "training.max_steps"),
            f"the warm-up of {warmup} steps does not end within {_told(steps, subject)}, so the "
            "learning rate never reaches its value",
            (shorter,) if subject.is_set("training.max_steps") else (longer, shorter),
        )
    rlhf = subject.config.rlhf
    limit = rlhf.ppo.max_steps
    if rlhf.enabled and limit is not None and rlhf.ppo.warmup_steps >= limit:
        yield Problem(
            subject.blame("rlhf.ppo.warmup_steps", "rlhf.ppo.max_steps"),
            f"the warm-up of {rlhf.ppo.warmup_steps} steps does not end within {limit} steps",
            (put("rlhf.ppo.warmup_steps", limit // 20),),
        )


@rule("warmup-rises", "warning")
def warmup_rises(subject: Subject) -> Iterator[Problem]:
    """warmup_start_lr is below learning_rate."""
    training = subject.config.training
    if training.warmup_start_lr > training.learning_rate:
        yield Problem(
            "training.warmup_start_lr",
            f"the warm-up would fall from {training.warmup_start_lr:g} to "
            f"{training.learning_rate:g}",
            (put("training.warmup_start_lr", 0.0),),
        )


@rule("schedule-falls", "warning")
def schedule_falls(subject: Subject) -> Iterator[Problem]:
    """lr_end is below learning_rate."""
    training = subject.config.training
    if training.lr_scheduler_type not in ("constant", "constant_with_warmup") and (
        training.lr_end > training.learning_rate
    ):
        yield Problem(
            subject.blame("training.lr_end", "training.learning_rate"),
            f"the learning rate would rise from {training.learning_rate:g} to "
            f"{training.lr_end:g} over the training",
            (put("training.lr_end", 0.0),),
        )


@rule("duration-said-twice", "warning")
def duration_said_twice(subject: Subject) -> Iterator[Problem]:
    """The length of the training is given once: in steps, epochs or tokens."""
    training = subject.config.training
    given = [name for name in _DURATIONS if getattr(training, name) is not None]
    if subject.is_set("training.max_steps"):
        given.insert(0, "max_steps")
    if len(given) > 1:
        told = " and ".join(f"{name}: {_plain(getattr(training, name))}" for name in given)
        decides = "; max_steps decides" if given[0] == "max_steps" else ""
        yield Problem(
            f"training.{given[1]}",
            f"the length of the training is given more than once, by {told}{decides}",
            ((f"keep {given[0]}", {f"training.{name}": None for name in given[1:]}),),
        )


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


@rule("schedule-said-twice", "warning")
def schedule_said_twice(subject: Subject) -> Iterator[Problem]:
    """Warm-up and final learning rate are given as a number or as a share, not both."""
    training = subject.config.training
    for name, share in _TWICE:
        if getattr(training, name) and getattr(training, share) is not None:
            yield Problem(
                f"training.{share}",
                f"{name}: {getattr(training, name):g} and {share}: {getattr(training, share):g} "
                f"are one fact; {name} decides",
                (put(f"training.{share}", None),),
            )


@rule("decay-within-training", "warning")
def decay_within_training(subject: Subject) -> Iterator[Problem]:
    """Warm-up, hold and decay end when the training ends."""
    training, steps = subject.config.training, planned_steps(subject)
    start, end = training.warmup_steps + training.lr_hold_steps, training.lr_decay_steps
    if steps is None or training.warmup_steps >= steps:
        return
    if start >= steps:
        yield Problem(
            "training.lr_hold_steps",
            f"warm-up and hold take {start} of {_told(steps, subject)}, so the learning rate never "
            "falls",
            (put("training.lr_hold_steps", 0),),
        )
    elif end is not None and not start < end <= steps:
        why = f"the training has {_told(steps, subject)}"
        if end <= start:
            why = f"warm-up and hold last until step {start}"
        yield Problem(
            "training.lr_decay_steps",
            f"the learning rate is to reach its end at step {end}, but {why}",
            (put("training.lr_decay_steps", None),),
        )


@rule("restarts-need-cycles", "hint")
def restarts_need_cycles(subject: Subject) -> Iterator[Problem]:
    """cosine_with_restarts with one cycle is cosine; other schedules have no cycles."""
    training = subject.config.training
    restarts = training.lr_scheduler_type == "cosine_with_restarts"
    if restarts and training.num_cycles == 1:
        yield Problem(
            subject.blame("training.lr_scheduler_type"),
            "cosine_with_restarts with num_cycles: 1 never starts again",
            (put("training.num_cycles", 4), put("training.lr_scheduler_type", "cosine")),
        )
    elif not restarts and training.num_cycles > 1:
        yield Problem(
            "training.num_cycles",
            f"the {training.lr_scheduler_type} schedule has no cycles",
            (
                put("training.lr_scheduler_type", "cosine_with_restarts"),
                put("training.num_cycles", 1),
            ),
        )


@rule("learning-rate-high", "warning")
def learning_rate_high(subject: Subject) -> Iterator[Problem]:
    """learning_rate does not make Adam diverge: 0.01 at most, 0.001 from 1 B parameters on."""
    config = subject.config
    rate = config.training.learning_rate
    if config.training.optimizer not in _ADAM:
        return
    large = size_of(config.model).total >= 1_000_000_000
    limit = 1e-3 if large else 1e-2
    if rate > limit:
        whose = " with a billion parameters or more" if large else ""
        yield Problem(
            "training.learning_rate",
            f"{config.training.optimizer} at a learning rate of {rate:g} makes a model{whose} "
            "diverge, as a rule",
            (put("training.learning_rate", 3e-4),),
        )


@rule("learning-rate-low", "warning")
def learning_rate_low(subject: Subject) -> Iterator[Problem]:
    """learning_rate is above what still moves the weights: 1e-7."""
    rate = subject.config.training.learning_rate
    if rate < 1e-7:
        yield Problem(
            "training.learning_rate",
            f"a learning rate of {rate:g} hardly moves the weights",
            (put("training.learning_rate", 3e-4),),
        )


@rule("learning-rate-finetune", "warning")
def learning_rate_finetune(subject: Subject) -> Iterator[Problem]:
    """Fine-tuning takes a smaller learning rate than pre-training: 1e-4 at most, 1e-3 with LoRA."""
    config = subject.config
    rate = config.training.learning_rate
    tuned = config.run.objective == "finetune" or (
        config.run.objective is None and config.model.pretrained_path is not None
    )
    if not (tuned or config.lora.enabled) or config.training.optimizer not in _ADAM:
        return
    limit, usual = (1e-3, 2e-4) if config.lora.enabled else (1e-4, 2e-5)
    if rate > limit:
        how = "LoRA" if config.lora.enabled else "fine-tuning"
        yield Problem(
            subject.blame(
                "training.learning_rate",
                "lora.enabled",
                "run.objective",
                "model.pretrained_path",
            ),
            f"a learning rate of {rate:g} is one for pre-training: {how} with it forgets what the "
            f"model knew; {usual:g} is usual",
            (put("training.learning_rate", usual),),
        )


@rule("adaptive-lr-range", "warning")
def adaptive_lr_range(subject: Subject) -> Iterator[Problem]:
    """adaptive_lr.min_lr <= learning_rate <= adaptive_lr.max_lr."""
    training = subject.config.training
    adaptive, rate = training.adaptive_lr, training.learning_rate
    if not adaptive.enabled:
        return
    if adaptive.min_lr > rate:
        yield Problem(
            "training.adaptive_lr.min_lr",
            f"the smallest learning rate {adaptive.min_lr:g} is above learning_rate {rate:g}",
            (put("training.adaptive_lr.min_lr", rate / 10),),
        )
    if adaptive.max_lr is not None and adaptive.max_lr < rate:
        yield Problem(
            "training.adaptive_lr.max_lr",
            f"the largest learning rate {adaptive.max_lr:g} is below learning_rate {rate:g}",
            (put("training.adaptive_lr.max_lr", None),),
        )


@rule("lr-finder-range", "error")
def lr_finder_range(subject: Subject) -> Iterator[Problem]:
    """lr_finder.start_lr is below end_lr."""
    finder = subject.config.training.lr_finder
    if finder.enabled and finder.start_lr >= finder.end_lr:
        yield Problem(
            subject.blame("training.lr_finder.start_lr", "training.lr_finder.end_lr"),
            f"the search rises from {finder.start_lr:g} to {finder.end_lr:g}, which is not "
            "above it",
            (put("training.lr_finder.start_lr", min(1e-8, finder.end_lr / 10)),),
        )

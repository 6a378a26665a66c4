"""Rules about the optimizer and what keeps it stable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.rules.schedule import planned_steps

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("clipping-off", "warning")
def clipping_off(subject: Subject) -> Iterator[Problem]:
    """Gradients are clipped: max_gradient_norm is above 0."""
    training = subject.config.training
    other = training.clip_grad_value is not None or training.gradient_health.enabled
    if training.max_gradient_norm == 0 and not other:
        yield Problem(
            "training.max_gradient_norm",
            "with max_gradient_norm: 0 one bad batch can throw the weights far away",
            (put("training.max_gradient_norm", 1.0),),
        )


@rule("clipping-said-twice", "warning")
def clipping_said_twice(subject: Subject) -> Iterator[Problem]:
    """Gradients are clipped by one limit: max_gradient_norm or gradient_health."""
    training = subject.config.training
    health = training.gradient_health
    if (
        health.enabled
        and subject.is_set("training.max_gradient_norm")
        and 0 < training.max_gradient_norm != health.final_clip_value
    ):
        yield Problem(
            "training.max_gradient_norm",
            f"gradient_health clips at {health.initial_clip_value:g} and later at "
            f"{health.final_clip_value:g}, in place of max_gradient_norm "
            f"{training.max_gradient_norm:g}",
            (
                put("training.max_gradient_norm", health.final_clip_value),
                put("training.gradient_health.enabled", False),
            ),
        )


@rule("gradient-health-warmup", "hint")
def gradient_health_warmup(subject: Subject) -> Iterator[Problem]:
    """The clip of gradient_health reaches its final value within the training."""
    health, steps = subject.config.training.gradient_health, planned_steps(subject)
    if health.enabled and steps is not None and health.warmup_steps > steps:
        yield Problem(
            subject.blame(
                "training.gradient_health.warmup_steps",
                "training.max_steps",
                "training.gradient_health.enabled",
            ),
            f"the clip is to reach final_clip_value after {health.warmup_steps} steps, the "
            f"training ends after {steps}",
            (put("training.gradient_health.warmup_steps", steps // 5),),
        )


@rule("explosion-above-clip", "warning")
def explosion_above_clip(subject: Subject) -> Iterator[Problem]:
    """explosion_threshold is above the norm that is clipped anyway."""
    health = subject.config.training.gradient_health
    if health.enabled and health.explosion_threshold <= health.final_clip_value:
        yield Problem(
            subject.blame(
                "training.gradient_health.explosion_threshold",
                "training.gradient_health.final_clip_value",
            ),
            f"a norm above {health.explosion_threshold:g} counts as an explosion although the clip "
            f"lets {health.final_clip_value:g} pass",
            (
                put(
                    "training.gradient_health.explosion_threshold",
                    10 * health.final_clip_value,
                ),
            ),
        )


@rule("betas-swapped", "warning")
def betas_swapped(subject: Subject) -> Iterator[Problem]:
    """AdamW: beta2 is at least beta1."""
    training = subject.config.training
    if training.beta2 < training.beta1:
        yield Problem(
            subject.blame("training.beta2", "training.beta1"),
            f"the squared gradient (beta2 {training.beta2:g}) would be forgotten faster than the "
            f"gradient (beta1 {training.beta1:g})",
            (
                (
                    "swap beta1 and beta2",
                    {"training.beta1": training.beta2, "training.beta2": training.beta1},
                ),
            ),
        )


@rule("weight-decay-high", "warning")
def weight_decay_high(subject: Subject) -> Iterator[Problem]:
    """weight_decay is at most 1."""
    decay = subject.config.training.weight_decay
    if decay > 1:
        yield Problem(
            "training.weight_decay",
            f"a weight decay of {decay:g} pulls the weights to zero faster than they learn; 0.1 is "
            "usual",
            (put("training.weight_decay", 0.1),),
        )


@rule("ema-forgets", "warning")
def ema_forgets(subject: Subject) -> Iterator[Problem]:
    """ema_decay looks back over more than ten steps, and not past the beginning."""
    training = subject.config.training
    if training.use_ema and training.ema_decay < 0.9:
        yield Problem(
            "training.ema_decay",
            f"an average with ema_decay {training.ema_decay:g} is nearly the newest weights",
            (put("training.ema_decay", 0.999),),
        )


@rule("nesterov-needs-momentum", "error")
def nesterov_needs_momentum(subject: Subject) -> Iterator[Problem]:
    """sgd: nesterov looks ahead along a momentum above 0."""
    training = subject.config.training
    if training.optimizer == "sgd" and training.nesterov and training.momentum == 0:
        yield Problem(
            "training.nesterov",
            "nesterov looks ahead along the momentum, and the momentum is 0",
            (put("training.momentum", 0.9), put("training.nesterov", False)),
        )


@rule("sgd-keys-for-sgd", "hint")
def sgd_keys_for_sgd(subject: Subject) -> Iterator[Problem]:
    """The keys momentum and nesterov are read with optimizer: sgd only."""
    training = subject.config.training
    for name, value in (("momentum", training.momentum > 0), ("nesterov", training.nesterov)):
        if value and training.optimizer != "sgd":
            yield Problem(
                f"training.{name}",
                f"{name} belongs to sgd; the optimizer is {training.optimizer}",
                (put(f"training.{name}", 0.0 if name == "momentum" else False),),
            )


@rule("moreh-without-kahan", "error")
def moreh_without_kahan(subject: Subject) -> Iterator[Problem]:
    """Moreh AdamW (Tenstorrent) has no Kahan summation."""
    training = subject.config.training
    if training.optimizer == "moreh_adamw" and training.kahan_summation:
        yield Problem(
            subject.blame("training.kahan_summation", "training.optimizer"),
            "tt-train refuses it: MorehAdamW does not support Kahan summation",
            (put("training.kahan_summation", False), put("training.optimizer", "adamw")),
        )


@rule("deepspeed-strings-weights", "error")
def deepspeed_strings_weights(subject: Subject) -> Iterator[Problem]:
    """DeepSpeed strings all weights together: no optimizer of rows and columns, no single clips."""
    config = subject.config
    if not config.deepspeed.enabled:
        return
    name = config.training.optimizer
    if name in ("adafactor", "lamb", "muon", "adamw_8bit"):
        yield Problem(
            subject.blame("training.optimizer", "deepspeed.enabled"),
            f"{name} treats a matrix by its rows and columns, and ZeRO strings all weights "
            "together",
            (put("training.optimizer", "adamw"),),
        )
    if config.training.clip_grad_value is not None:
        yield Problem(
            subject.blame("training.clip_grad_value", "deepspeed.enabled"),
            "DeepSpeed's update clips by the norm only, not each single gradient",
            (put("training.clip_grad_value", None),),
        )

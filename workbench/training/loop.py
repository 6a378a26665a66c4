"""The training loop.

A run is: one step after another; once in a while an evaluation with a sample, and a checkpoint; at
the end, or when asked to stop, a checkpoint that must succeed, a picture and a summary. All
processes go through it side by side; only the first one writes.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

import torch

from workbench.models.moe import balance_experts
from workbench.training.anomaly import named_anomalies
from workbench.training.cadence import due
from workbench.training.compiling import uncompiled
from workbench.training.curves_png import draw_curves
from workbench.training.evaluate import validation_loss
from workbench.training.gradient_health import clip_norm
from workbench.training.judgement import judge
from workbench.training.layer_norms import layer_norms
from workbench.training.lr_finder import search_learning_rate
from workbench.training.sample import draw_sample, writes
from workbench.training.saving import load_best, save_last, save_when_due
from workbench.training.step import compute_gradient

if TYPE_CHECKING:
    from workbench.training.session import Session

Outcome = Literal["finished", "stopped"]


def train(session: Session) -> Outcome:
    """Train to the last step, or until asked to stop.

    Raises:
        TrainingError: The loss or the gradient is no longer finite.
        CheckpointError: The last checkpoint could not be written.
    """
    training, progress = session.config.training, session.progress
    began = time.monotonic() - progress.seconds
    if progress.step < training.max_steps and not session.stopping():
        dry_run(session)
        search_learning_rate(session)

    while not session.complete and not session.stopping():
        take_step(session)

        # Evaluate before saving: a checkpoint then always knows its own validation loss.
        if _evaluation_due(session):
            evaluate(session)
        progress.seconds = time.monotonic() - began
        if not session.complete:
            save_when_due(session)

    outcome: Outcome = "finished" if session.complete else "stopped"
    if outcome == "stopped":
        session.report.stopping(progress.step)
    save_last(session)
    if outcome == "finished":
        take_best(session)
    conclude(session, outcome)
    return outcome


def take_step(session: Session) -> None:
    """Compute the gradient of the next step, look at it, update the weights, write the row."""
    training, progress, reactions = session.config.training, session.progress, session.reactions
    step, rate = progress.step + 1, reactions.learning_rate(progress.step + 1)
    log = step in {1, training.max_steps} or due(step, training.logging_steps)
    health = training.gradient_health
    norms: dict[str, float] = {}
    meter = session.meter
    meter.begin()
    micro_batches = session.micro_batches(step)
    meter.got_data()
    session.engine.loss_scale = scale = reactions.loss_scale.factor
    with named_anomalies(step, enabled=health.enabled and health.anomaly_detection):
        wait = training.stability.sync_gradients_each_step
        measured = compute_gradient(session.engine, micro_batches, wait=wait)
    meter.got_gradient()
    judgement = judge(session, step, measured, micro_batches)
    if log and health.enabled and health.norm_tracking:
        norms = layer_norms(session.engine.model)
    if judgement.update:
        session.engine.update(
            learning_rate=rate,
            gradient_norm=measured.norm,
            max_norm=clip_norm(training, step),
        )
        balance_experts(session.engine.model, measured.counts_LE)
        if session.average is not None:
            session.average.update()
    else:
        session.engine.discard_gradients()
    seconds = meter.updated()

    if log or not judgement.update:
        row = {
            "step": step,
            "t": time.time(),
            "loss": measured.loss,
            "lr": rate,
            "grad_norm": measured.gradient_norm,
            "tokens": progress.tokens + session.tokens_per_step,
            "tokens_per_s": session.tokens_per_step / seconds,
            "step_s": seconds,
            **measured.parts,
            **measured.experts,
            **meter.row(step, measured, tokens=session.tokens_per_step, seconds=seconds),
            **norms,
        }
        if scale != 1.0:
            row["loss_scale"] = scale
        if health.enabled:
            row["clip"] = clip_norm(training, step)
        session.report.stepped(row, training.max_steps)
    for event in judgement.events:
        session.report.reacted(step, event)
    if judgement.error is not None:
        raise judgement.error
    progress.advance(
        loss=measured.loss,
        tokens=session.tokens_per_step,
        seconds=seconds,
        smoothing=session.config.logging.loss_smoothing,
    )


def dry_run(session: Session) -> None:
    """Compute and throw away a gradient of the next step: what is going to fail should fail now.

    Weights, gradients, random numbers and the place in the data are left as they were.
    """
    random = torch.random.fork_rng(
        devices=[session.engine.device] if session.engine.device.type == "cuda" else []
    )
    place = session.dataset.source.state()
    with random:
        compute_gradient(session.engine, session.micro_batches(session.progress.step + 1)[:1])
    session.engine.discard_gradients()
    session.dataset.source.load_state(place)


def evaluate(session: Session) -> None:
    """Measure the held-out text and draw a sample."""
    progress = session.progress
    with session.averaged():
        val_loss = validation_loss(session.engine, session.dataset.held_out)
    progress.evaluated(val_loss)
    happened = session.reactions.evaluated(progress.step, val_loss)
    session.report.evaluated(progress.step, val_loss, _sample(session))
    for event in happened:
        session.report.reacted(progress.step, event)
    if session.reactions.stopping.over:
        patience = session.config.training.early_stopping_patience
        session.report.reacted(progress.step, {"event": "early_stopping", "patience": patience})


def take_best(session: Session) -> None:
    """Go back to the weights of the best evaluation; the last ones are on disk as well."""
    best = session.reactions.stopping.best_step
    if not session.config.training.load_best_model_at_end or best is None:
        return
    if best != session.progress.step:
        load_best(session)
        session.sample = None
        session.progress.val_loss = session.reactions.stopping.best_loss
    session.report.reacted(session.progress.step, {"event": "best_model", "best_step": best})


def conclude(session: Session, outcome: Outcome) -> None:
    """Draw the curves and write the summary."""
    config, progress = session.config, session.progress
    summary = {
        "state": outcome,
        "step": progress.step,
        "max_steps": config.training.max_steps,
        "tokens": progress.tokens,
        "loss": progress.smoothed_loss,
        "val_loss": progress.val_loss,
        "best_val_loss": progress.best_val_loss,
        "best_step": session.reactions.stopping.best_step,
        "stopped_early": session.reactions.stopping.over,
        "untrained_loss": math.log(config.model.vocab_size),
        "seconds": progress.seconds,
        "tokens_per_second": progress.tokens / (progress.step_seconds or math.inf),
        "parameters": session.parameters,
        "sample": _sample(session),
    }
    smoothing = config.logging.loss_smoothing
    if session.engine.world.leads and (problem := draw_curves(session.run, smoothing)):
        session.report.line(f"picture    could not be drawn: {problem}")
    session.report.done(progress, summary)


def _sample(session: Session) -> str | None:
    config, step = session.config, session.progress.step
    if not writes(session.engine.model) or not config.evaluation.max_new_tokens:
        return None
    if session.sample is None or session.sample[0] != step:
        text = None
        with session.averaged(), uncompiled(), session.engine.whole_model() as model:
            if model is not None:
                text = draw_sample(model, session.dataset.tokenizer, config, step=step)
        session.sample = step, text or ""
    return session.sample[1]


def _evaluation_due(session: Session) -> bool:
    training, step = session.config.training, session.progress.step
    if training.eval_strategy == "no":
        return False
    if step == training.max_steps:
        return True
    if training.eval_strategy == "epoch":
        return session.epoch_ends(step)
    return due(step, training.eval_steps)

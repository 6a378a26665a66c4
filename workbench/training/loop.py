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

from workbench.errors import CheckpointError
from workbench.training.bad_batch import not_finite
from workbench.training.curves_png import draw_curves
from workbench.training.evaluate import validation_loss
from workbench.training.optim import learning_rate
from workbench.training.progress import rng_state
from workbench.training.sample import draw_sample
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
    saved_step = progress.step
    if progress.step < training.max_steps and not session.stopping():
        dry_run(session)

    while progress.step < training.max_steps and not session.stopping():
        take_step(session)
        last = progress.step == training.max_steps

        # Evaluate before saving: a checkpoint then always knows its own validation loss.
        if last or _due(progress.step, training.eval_steps):
            evaluate(session)
        progress.seconds = time.monotonic() - began
        if not last and _due(progress.step, training.save_steps) and save(session):
            saved_step = progress.step

    outcome: Outcome = "finished" if progress.step >= training.max_steps else "stopped"
    if outcome == "stopped":
        session.report.stopping(progress.step)
    if saved_step < progress.step:
        save(session, must_succeed=True)
    conclude(session, outcome)
    return outcome


def take_step(session: Session) -> None:
    """Compute the gradient of the next step, look at it, update the weights, write the row."""
    training, progress = session.config.training, session.progress
    step, rate = progress.step + 1, learning_rate(training, progress.step + 1)
    began = time.perf_counter()
    micro_batches = session.micro_batches(step)
    measured = compute_gradient(session.engine, micro_batches)
    if measured.finite:
        session.engine.update(
            learning_rate=rate,
            gradient_norm=measured.norm,
            max_norm=training.max_gradient_norm,
        )
    seconds = time.perf_counter() - began

    if (
        not measured.finite
        or step in {1, training.max_steps}
        or _due(step, training.logging_steps)
    ):
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
        }
        session.report.stepped(row, training.max_steps)
    if not measured.finite:
        session.engine.discard_gradients()
        raise not_finite(session, step, measured, micro_batches)
    progress.advance(loss=measured.loss, tokens=session.tokens_per_step, seconds=seconds)


def dry_run(session: Session) -> None:
    """Compute and throw away a gradient of the next step: what is going to fail should fail now.

    Weights, gradients, random numbers and the place in the data are left as they were.
    """
    random = torch.random.fork_rng(
        devices=[session.engine.device] if session.engine.device.type == "cuda" else []
    )
    place = session.source.state()
    with random:
        compute_gradient(session.engine, session.micro_batches(session.progress.step + 1)[:1])
    session.engine.discard_gradients()
    session.source.load_state(place)


def evaluate(session: Session) -> None:
    """Measure the held-out text and draw a sample."""
    progress = session.progress
    val_loss = validation_loss(session.engine, session.held_out)
    progress.evaluated(val_loss)
    session.report.evaluated(progress.step, val_loss, _sample(session))


def save(session: Session, *, must_succeed: bool = False) -> bool:
    """Write a checkpoint. On a full disk training goes on, unless this was the last chance."""
    progress, world = session.progress, session.engine.world
    tensors = session.engine.state()
    state = {
        "progress": progress.to_dict(),
        "rng": world.each(rng_state(session.engine.device)),
        "data": session.source.state(),
        "data_fingerprint": session.dataset.fingerprint,
    }
    error: CheckpointError | None = None
    if world.leads:
        try:
            saved = session.checkpoints.save(progress.step, tensors, state)
            session.report.saved(progress.step, saved)
        except CheckpointError as problem:
            error = problem
    error = world.from_leader(error)
    if error is not None and must_succeed:
        raise error
    if error is not None:
        session.report.save_failed(progress.step, error)
    return error is None


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
        "untrained_loss": math.log(config.model.vocab_size),
        "seconds": progress.seconds,
        "tokens_per_second": progress.tokens / (progress.step_seconds or math.inf),
        "parameters": session.parameters,
        "sample": _sample(session),
    }
    if session.engine.world.leads and (problem := draw_curves(session.run)):
        session.report.line(f"picture    could not be drawn: {problem}")
    session.report.done(progress, summary)


def _sample(session: Session) -> str | None:
    config, step = session.config, session.progress.step
    if not config.evaluation.max_new_tokens:
        return None
    if session.sample is None or session.sample[0] != step:
        text = ""
        with session.engine.whole_model() as model:
            if model is not None:
                text = draw_sample(
                    model,
                    session.dataset.tokenizer,
                    config.evaluation,
                    context=config.data.max_length,
                    seed=config.run.seed,
                    step=step,
                )
        session.sample = step, text
    return session.sample[1]


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0

"""`training.lr_finder`: a short search before the training (arXiv 1506.01186, section 3.3).

The learning rate rises step by step until the loss explodes. After it everything is as it was, bit
for bit: weights, optimizer, random numbers, and the place in the text. What was found is in
``lr_finder.json``, which a resumed run reads instead of searching again.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.runs.files import atomic_write_json, read_json
from workbench.training.evaluate import validation_loss
from workbench.training.gradient_health import clip_norm
from workbench.training.lr_curve import Curve, averaged, rate_at, smoothed, suggest
from workbench.training.progress import rng_state, set_rng_state
from workbench.training.step import compute_gradient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema.training.lr_finder import LrFinderConfig
    from workbench.training.session import Session

FILE, PICTURE = "lr_finder.json", "lr_finder.png"
_LOWEST_MOMENTUM = 0.85
"""Where cycling takes the momentum to, as in arXiv 1803.09820, section 4.3."""


def search_learning_rate(session: Session) -> None:
    """Search, or remember what was found, and train with it where the config says so.

    All processes take part.
    """
    config, world = session.config.training.lr_finder, session.engine.world
    if not config.enabled:
        return
    path = session.run.path / FILE
    found = world.from_leader(read_json(path) if world.leads and path.exists() else None)
    if found is None:
        if session.progress.step > 0:  # it was not asked for when the training began
            return
        found = _search(session)
        if world.leads:
            atomic_write_json(path, found)
            _draw(session, found)
        told = {key: found[key] for key in ("suggestion", "method", "steps")}
        session.report.reacted(0, {"event": "lr_finder", **told})
    if config.use_suggested_lr and found["suggestion"] is not None:
        session.use_learning_rate(found["suggestion"])


def _search(session: Session) -> dict[str, Any]:
    config = session.config.training.lr_finder
    rates = [
        rate_at(place, config.num_iterations, config.start_lr, config.end_lr)
        for place in range(config.num_iterations)
    ]
    curves: list[list[float]] = []
    held_out: list[list[float]] = []
    for number in range(config.num_runs):
        with _as_it_was(session):
            losses, validation = _one_search(session, rates, first=number * len(rates) + 1)
        curves.append(losses)
        held_out.append(validation)
    curve = averaged(rates, [smoothed(losses, config.beta) for losses in curves])
    return {
        "suggestion": suggest(curve, config.suggestion_method),
        "method": config.suggestion_method,
        "suggestions": {
            name: suggest(curve, name) for name in ("steepest", "minimum", "valley", "combined")
        },
        "steps": sum(map(len, curves)),
        "rates": curve.rates,
        "losses": curve.losses,
        "raw_losses": curves,
        "validation_losses": held_out if config.track_validation else None,
    }


def _one_search(
    session: Session, rates: list[float], first: int
) -> tuple[list[float], list[float]]:
    """The losses of one search, as far as it goes, and those of the held-out text."""
    training, engine, scale = session.config.training, session.engine, session.reactions.loss_scale
    config = training.lr_finder
    losses: list[float] = []
    validation: list[float] = []
    lowest = math.inf
    for place, rate in enumerate(rates):
        engine.loss_scale = scale.factor
        measured = compute_gradient(engine, session.micro_batches(first + place))
        if not math.isfinite(measured.loss) or not (measured.finite or scale.overflowed()):
            break
        losses.append(measured.loss)
        smooth = smoothed(losses, config.beta)[-1]
        lowest = min(lowest, smooth)
        if smooth > config.stop_div_threshold * lowest:
            break
        if not measured.finite:  # too large a factor of the loss, which has shrunk now
            engine.discard_gradients()
            continue
        if config.momentum_cycling:
            _cycle_momentum(session, place / (len(rates) - 1))
        engine.update(
            learning_rate=rate, gradient_norm=measured.norm, max_norm=clip_norm(training, 1)
        )
        if config.track_validation:
            validation.append(validation_loss(engine, session.dataset.held_out))
    engine.discard_gradients()
    return losses, validation


@contextmanager
def _as_it_was(session: Session) -> Iterator[None]:
    """Put everything back that steps change."""
    engine = session.engine
    state = {
        kind: {name: value.detach().clone() for name, value in tensors.items()}
        for kind, tensors in engine.state().items()
    }
    random, place = rng_state(engine.device), session.dataset.source.state()
    groups = [
        {key: value for key, value in group.items() if key != "params"}
        for group in engine.optimizer.param_groups
    ]
    scale = session.reactions.loss_scale.state()
    try:
        yield
    finally:
        engine.discard_gradients()
        engine.load_state(state)
        for group, settings in zip(engine.optimizer.param_groups, groups, strict=True):
            group.update(settings)
        session.reactions.loss_scale.load_state(scale)
        set_rng_state(random, engine.device)
        session.dataset.source.load_state(place)


def _cycle_momentum(session: Session, share: float) -> None:
    """Lower the momentum in a line to 0.85 while the learning rate rises to its end."""
    training = session.config.training
    for group in session.engine.optimizer.param_groups:
        if "betas" in group:
            low = min(_LOWEST_MOMENTUM, training.beta1)
            beta1 = training.beta1 + (low - training.beta1) * share
            group["betas"] = (beta1, training.beta2)
        elif "momentum" in group:
            low = min(_LOWEST_MOMENTUM, training.momentum)
            group["momentum"] = training.momentum + (low - training.momentum) * share


def _draw(session: Session, found: dict[str, Any]) -> None:
    """Draw the curve; a picture that cannot be drawn must not fail a training."""
    config: LrFinderConfig = session.config.training.lr_finder
    path = Path(config.plot_path) if config.plot_path else session.run.path / PICTURE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_search(path, Curve(found["rates"], found["losses"]), found["suggestion"])
    except (OSError, ValueError, RuntimeError, WorkbenchError) as error:
        session.report.line(f"picture    of the search could not be drawn: {error}")


def draw_search(path: Path, curve: Curve, suggestion: float | None) -> None:
    """Draw the loss over the learning rate, with the suggestion marked.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.semilogx(curve.rates, curve.losses, color="#2b6cb0", linewidth=1.8)
    if suggestion is not None:
        axes.axvline(suggestion, color="#dd6b20", linestyle="--", linewidth=1.2)
        axes.annotate(
            f"{suggestion:.2g}",
            (suggestion, axes.get_ylim()[1]),
            textcoords="offset points",
            xytext=(5, -14),
            color="#dd6b20",
        )
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    axes.set_title("Search for a learning rate")
    axes.grid(color="#e2e8f0")
    figure.savefig(path)

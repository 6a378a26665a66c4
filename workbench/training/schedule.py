"""The learning rate of a step: a pure function, so a resumed run needs no scheduler state.

It rises from ``warmup_start_lr`` at step 0 to ``learning_rate`` at the last warm-up step, stays
there for ``lr_hold_steps``, then follows ``lr_scheduler_type`` to ``lr_end``, reached at
``lr_decay_steps`` or at the last step, and stays there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import TrainingConfig

_ONE_CYCLE_START, _ONE_CYCLE_END = 25.0, 1e4
_ONE_CYCLE_RISE = 0.3
_STABLE_SHARE = 0.9
_INVERSE_SQRT_STEPS = 10_000
_EXPONENTIAL_END = 1e-3


class Phases(NamedTuple):
    """Where the parts of a schedule end, in steps, and its rates there."""

    warmup: int
    hold: int
    end: int
    start_rate: float
    peak: float
    end_rate: float


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of a step (from 1; 0 is before the first)."""
    phases = phases_of(config)
    if step < phases.warmup:
        shape = "cosine" if config.lr_scheduler_type == "one_cycle" else config.warmup_schedule
        risen = _WARMUPS[shape](step, phases.warmup)
        return phases.start_rate + (phases.peak - phases.start_rate) * risen
    if step <= phases.hold:
        return phases.peak
    return _DECAYS[config.lr_scheduler_type](step, phases, config)


def phases_of(config: TrainingConfig) -> Phases:
    """The parts of the schedule of a config."""
    peak, kind = config.learning_rate, config.lr_scheduler_type
    end = config.lr_decay_steps or config.max_steps
    warmup = warmup_steps(config)
    start_rate = config.warmup_start_lr
    end_rate = config.lr_end or peak * (config.lr_end_ratio or 0.0)
    if kind == "one_cycle":
        warmup = warmup or round(_ONE_CYCLE_RISE * end)
        start_rate = start_rate or peak / _ONE_CYCLE_START
        end_rate = end_rate or start_rate / _ONE_CYCLE_END
    hold = warmup + config.lr_hold_steps
    if kind == "warmup_stable_decay" and config.lr_hold_steps == 0:
        hold = max(warmup, round(_STABLE_SHARE * end))
    return Phases(warmup, hold, end, start_rate, peak, end_rate)


def warmup_steps(config: TrainingConfig) -> int:
    """Steps of the warm-up: ``warmup_steps`` where it is above 0, else ``warmup_ratio``."""
    if config.warmup_steps or config.warmup_ratio is None:
        return config.warmup_steps
    return math.ceil(config.warmup_ratio * config.max_steps)


def _line(step: int, steps: int) -> float:
    return step / steps


def _wave(step: int, steps: int) -> float:
    return 0.5 * (1 - math.cos(math.pi * step / steps))


def _logarithm(step: int, steps: int) -> float:
    return math.log1p(step) / math.log1p(steps)


_WARMUPS: dict[str, Callable[[int, int], float]] = {
    "linear": _line,
    "cosine": _wave,
    "log": _logarithm,
}


def _progress(step: int, phases: Phases) -> float:
    """How much of the decay is done, from 0 to 1."""
    return min(1.0, (step - phases.hold) / max(1, phases.end - phases.hold))


def _between(phases: Phases, share: float) -> float:
    """The rate at a share of the height: 1 is the peak, 0 the end."""
    return phases.end_rate + (phases.peak - phases.end_rate) * share


def _constant(_step: int, phases: Phases, _config: TrainingConfig) -> float:
    return phases.peak


def _linear(step: int, phases: Phases, _config: TrainingConfig) -> float:
    return _between(phases, 1 - _progress(step, phases))


def _cosine(step: int, phases: Phases, _config: TrainingConfig) -> float:
    return _between(phases, 0.5 * (1 + math.cos(math.pi * _progress(step, phases))))


def _restarts(step: int, phases: Phases, config: TrainingConfig) -> float:
    """Each cycle begins at the peak again (arXiv 1608.03983)."""
    progress = _progress(step, phases)
    if progress >= 1.0:
        return phases.end_rate
    return _between(phases, 0.5 * (1 + math.cos(math.pi * (config.num_cycles * progress % 1.0))))


def _inverse_sqrt(step: int, phases: Phases, config: TrainingConfig) -> float:
    """The rate of arXiv 1706.03762, section 5.3: never below the end, and never there on time."""
    scale = warmup_steps(config) or _INVERSE_SQRT_STEPS
    rate = phases.peak * math.sqrt(scale / (scale + step - phases.hold))
    return max(rate, min(phases.end_rate, phases.peak))


def _polynomial(step: int, phases: Phases, config: TrainingConfig) -> float:
    return _between(phases, (1 - _progress(step, phases)) ** config.lr_decay_power)


def _exponential(step: int, phases: Phases, _config: TrainingConfig) -> float:
    """The same factor in each step; to a thousandth where the end is zero, which has no factor."""
    factor = phases.end_rate / phases.peak or _EXPONENTIAL_END
    return float(phases.peak * factor ** _progress(step, phases))


def _stable_decay(step: int, phases: Phases, _config: TrainingConfig) -> float:
    """One minus the root of the progress, the best of those compared in arXiv 2405.18392."""
    return _between(phases, 1 - math.sqrt(_progress(step, phases)))


_DECAYS: dict[str, Callable[[int, Phases, TrainingConfig], float]] = {
    "constant": _constant,
    "constant_with_warmup": _constant,
    # What the held-out loss then makes of it: plateau.py.
    "reduce_on_plateau": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "inverse_sqrt": _inverse_sqrt,
    "polynomial": _polynomial,
    "exponential": _exponential,
    "warmup_stable_decay": _stable_decay,
    "one_cycle": _cosine,  # arXiv 1708.07120, with a cosine for the way up and the way down
}

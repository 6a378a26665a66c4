"""The clip tightens smoothly, and only a window full of explosions lowers the learning rate."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest

from workbench.config.schema import TrainingConfig
from workbench.training.gradient_health import GradientHealth, clip_norm
from workbench.training.reactions import Reactions


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(
        gradient_health={"enabled": True, "explosion_threshold": 10.0, **options},
        lr_scheduler_type="cosine",
        max_steps=10_000,
    )


def health(**options: Any) -> GradientHealth:
    return GradientHealth(config(**options).gradient_health)


@pytest.mark.honours(
    "training.gradient_health.initial_clip_value",
    "training.gradient_health.final_clip_value",
    "training.gradient_health.warmup_steps",
)
def test_the_clip_table() -> None:
    """kernels_features.md 4.10: 2.0, 1.78, 1.25, 0.72, 0.5."""
    options = config(warmup_steps=2000)
    found = [clip_norm(options, step) for step in (1, 501, 1001, 1501, 2001, 9000)]
    assert found == pytest.approx([2.0, 1.7803, 1.25, 0.7197, 0.5, 0.5], abs=1e-4)
    every = [clip_norm(options, step) for step in range(1, 2100)]
    assert max(a - b for a, b in pairwise(every)) < 0.0012, "it never jumps"
    other = config(warmup_steps=0, initial_clip_value=9.0, final_clip_value=3.0)
    assert clip_norm(other, 1) == 3.0


@pytest.mark.honours("training.gradient_health.enabled", "training.max_gradient_norm")
def test_without_it_the_limit_is_fixed() -> None:
    assert clip_norm(TrainingConfig(max_gradient_norm=0.7), 5) == 0.7


def test_spikes_far_apart_never_cut() -> None:
    watch = health()
    for step in range(1, 40_001):
        watch.seen(step, 100.0 if step % 2000 == 0 else 1.0)
    assert watch.factor == 1.0


@pytest.mark.honours(
    "training.gradient_health.explosion_threshold",
    "training.gradient_health.explosion_window",
    "training.gradient_health.lr_reduction_factor",
)
def test_a_full_window_cuts_once() -> None:
    watch = health(lr_reduction_factor=0.3)
    told = [watch.seen(step, 100.0 if step in range(3, 8) else 10.0) for step in range(1, 20)]
    assert watch.factor == 0.3
    events = [event["event"] for step in told for event in step]
    assert events == ["gradient_explosion"] * 5 + ["lr_reduced"]
    assert told[6][-1] == {"event": "lr_reduced", "why": "explosions", "factor": 0.3}


def test_a_gap_empties_the_window() -> None:
    watch = health()
    for step in range(1, 60):
        watch.seen(step, 1.0 if step % 5 == 0 else 100.0)
    assert watch.factor == 1.0


def test_a_cut_begins_a_new_window() -> None:
    watch = health(explosion_window=3)
    factors = []
    for step in range(1, 8):
        watch.seen(step, math.inf)
        factors.append(watch.factor)
    assert factors == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.honours("training.gradient_health.auto_reduce_lr")
def test_without_reduction_it_only_tells() -> None:
    watch = health(auto_reduce_lr=False)
    told = [watch.seen(step, 100.0) for step in range(1, 11)]
    assert watch.factor == 1.0
    assert all(len(step) == 1 for step in told)


def test_the_schedule_does_not_undo_a_cut() -> None:
    calm, cut = Reactions(config()), Reactions(config())
    for step in range(1, 6):
        cut.updated(step, loss=1.0, norm=100.0)
    for step in (6, 500, 9999):
        assert cut.learning_rate(step) == 0.5 * calm.learning_rate(step)


def test_it_resumes_in_the_middle_of_a_window() -> None:
    whole, before, after = health(), health(), health()
    norms = [100.0 if step % 7 < 6 else 1.0 for step in range(1, 60)]
    for step, norm in enumerate(norms, start=1):
        whole.seen(step, norm)
        if step == 31:
            after.load_state(json.loads(json.dumps(before.state())))
        (before if step < 31 else after).seen(step, norm)
    assert 0 < whole.factor < 1
    assert after.state() == whole.state()

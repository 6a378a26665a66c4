"""Patience is counted in evaluations; the best one is remembered."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from workbench.config.schema import TrainingConfig
from workbench.training.early_stopping import EarlyStopping


def stops_at(losses: list[float], **options: Any) -> int | None:
    watch = EarlyStopping(TrainingConfig(**{"early_stopping_patience": 2, **options}))
    for place, loss in enumerate(losses, start=1):
        watch.evaluated(place, loss)
        if watch.over:
            return place
    return None


def best(losses: list[float], **options: Any) -> tuple[int | None, float | None]:
    watch = EarlyStopping(TrainingConfig(**options))
    for place, loss in enumerate(losses, start=1):
        watch.evaluated(place, loss)
    return watch.best_step, watch.best


@pytest.mark.honours("training.early_stopping_patience")
def test_patience() -> None:
    assert stops_at([3.0, 2.0, 2.5, 2.4, 2.3]) == 4
    assert stops_at([3.0, 2.0, 2.5, 1.9, 2.3]) is None
    assert stops_at([3.0, 2.0, 2.5, 2.4, 2.3], early_stopping_patience=3) == 5
    assert stops_at([3.0] * 9, early_stopping_patience=None) is None


@pytest.mark.honours("training.early_stopping_threshold")
def test_small_gains_do_not_count() -> None:
    slowly = [3.0, 2.95, 2.9, 2.85, 2.8]
    assert stops_at(slowly) is None
    assert stops_at(slowly, early_stopping_threshold=0.2) == 3
    assert stops_at(slowly, early_stopping_threshold=0.08) is None, "two of them are one gain"


@pytest.mark.honours("training.greater_is_better")
def test_greater_is_better() -> None:
    rising = [1.0, 2.0, 3.0, 4.0]
    assert stops_at(rising) == 3
    assert stops_at(rising, greater_is_better=True) is None
    assert best(rising) == (1, 1.0)
    assert best(rising, greater_is_better=True) == (4, 4.0)


@pytest.mark.honours("training.metric_for_best_model")
def test_the_metric() -> None:
    # A perplexity falls by 1 where the loss falls by less than 0.5.
    losses = [2.0, 1.8, 1.6]
    assert stops_at(losses, early_stopping_threshold=0.5) == 3
    assert (
        stops_at(losses, early_stopping_threshold=0.5, metric_for_best_model="perplexity") is None
    )
    assert best([2.0], metric_for_best_model="perplexity") == (1, pytest.approx(math.exp(2)))
    assert best([1e6], metric_for_best_model="perplexity") == (1, math.inf)


def test_of_equals_the_newest_is_the_best() -> None:
    assert best([2.0, 1.0, 1.0, 3.0]) == (3, 1.0)


def test_what_is_no_number_is_no_improvement() -> None:
    assert stops_at([3.0, math.nan, math.nan]) == 3
    assert best([math.nan, 3.0, math.nan]) == (2, 3.0)


def test_it_resumes() -> None:
    losses = [3.0, 2.0, 2.1, 2.0, 1.5, 1.6, 1.7]
    config = TrainingConfig(early_stopping_patience=2, early_stopping_threshold=0.1)
    whole, first, second = (EarlyStopping(config) for _ in range(3))
    for place, loss in enumerate(losses):
        whole.evaluated(place, loss)
        if place == 3:
            second.load_state(json.loads(json.dumps(first.state())))
        (first if place < 3 else second).evaluated(place, loss)
    assert second.state() == whole.state()
    assert second.over is whole.over is True

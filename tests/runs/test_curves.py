"""Smoothing equals the definition; the reduction loses no spike."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.runs.curves import Ema, reduce_columns, reduce_minmax, smooth

values = st.lists(
    st.one_of(
        st.floats(-1e6, 1e6, allow_subnormal=False),
        st.sampled_from([math.nan, math.inf, -math.inf]),
    ),
    max_size=300,
)
weights = st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.999999])


def definition(data: list[float], weight: float) -> list[float]:
    """The debiased average as it is defined, one sample after the other."""
    total, share, result = 0.0, 0.0, []
    for value in data:
        if not math.isfinite(value):
            result.append(math.nan)
            continue
        total = weight * total + (1 - weight) * value
        share = weight * share + (1 - weight)
        result.append(total / share)
    return result


@settings(deadline=None)
@given(values, weights)
def test_smoothing_is_the_debiased_average(data: list[float], weight: float) -> None:
    scale = max([abs(v) for v in data if math.isfinite(v)], default=1.0) or 1.0
    error = np.abs(smooth(data, weight) - np.array(definition(data, weight))) / scale
    assert np.all(np.isnan(error) | (error <= 1e-12))
    assert np.array_equal(np.isnan(error), ~np.isfinite(np.array(data, dtype=float)))


@pytest.mark.parametrize("weight", [0.6, 0.99, 0.99999])
def test_smoothing_of_a_long_series_keeps_its_precision(weight: float) -> None:
    data = np.random.default_rng(0).normal(5, 1, 20_011).tolist()
    assert np.max(np.abs(smooth(data, weight) - np.array(definition(data, weight)))) <= 1e-12


@settings(deadline=None)
@given(values, weights, st.lists(st.integers(0, 300), max_size=4))
def test_appended_data_is_smoothed_as_if_it_had_been_there(
    data: list[float], weight: float, cuts: list[int]
) -> None:
    ema, borders = Ema(weight), [0, *sorted(cuts), len(data)]
    pieces = [ema.extend(data[a:b]) for a, b in itertools.pairwise(borders)]
    whole = smooth(data, weight)
    scale = max([abs(v) for v in data if math.isfinite(v)], default=1.0) or 1.0
    joined = np.concatenate(pieces)[: whole.size]
    assert np.allclose(joined, whole[: joined.size], rtol=0, atol=1e-12 * scale, equal_nan=True)


@pytest.mark.parametrize("weight", [-0.1, 1.0, math.nan])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        Ema(weight)


@settings(deadline=None)
@given(
    st.integers(1, 2000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
    st.integers(1, 240),
    st.integers(0, 10**9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_spike_of_one_sample_is_in_its_column_at_any_zoom(
    where: tuple[int, int], columns: int, seed: int, before: float, after: float
) -> None:
    size, spike = where
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.integers(1, 9, size)).astype(float)
    y = rng.uniform(-1, 1, size)
    y[spike] = 10.0
    x0 = x[spike] - before * (x[spike] - x[0])
    x1 = x[spike] + after * (x[-1] - x[spike])
    if x1 <= x0:
        x0, x1 = x[spike] - 0.5, x[spike] + 0.5
    low, high = reduce_minmax(x, y, columns, x0, x1)
    column = min(np.searchsorted(np.linspace(x0, x1, columns + 1), x[spike], "right"), columns) - 1
    assert high[column] == 10.0
    assert low[column] <= 10.0
    inside = y[(x >= x0) & (x <= x1)]
    assert np.nanmin(low) == inside.min()
    assert np.nanmax(high) == inside.max()


def test_a_line_runs_through_empty_columns_and_to_the_borders_of_the_window() -> None:
    reduced = reduce_columns([0, 10], [0.0, 10.0], 5, 2.0, 7.0)
    assert np.isnan(reduced.low).all()
    assert reduced.enter == pytest.approx([2, 3, 4, 5, 6])
    assert reduced.leave == pytest.approx([3, 4, 5, 6, 7])


def test_what_is_not_finite_breaks_the_line_and_is_marked() -> None:
    reduced = reduce_columns([0, 1, 2, 3, 4], [1.0, 1.0, math.nan, 1.0, 1.0], 5, 0, 4)
    assert reduced.broken.tolist() == [False, False, True, False, False]
    assert np.isnan([reduced.low[2], reduced.enter[2], reduced.leave[2]]).all()
    assert reduced.low[1] == reduced.low[3] == 1.0


def test_on_a_logarithmic_axis_zero_is_a_gap() -> None:
    reduced = reduce_columns([0, 1, 2], [1.0, 0.0, -1.0], 3, 0, 2, positive=True)
    assert reduced.broken.tolist() == [False, True, True]


def test_nothing_at_all_is_no_error() -> None:
    low, high = reduce_minmax([], [], 7, 0, 1)
    assert low.shape == high.shape == (7,)
    assert np.isnan(low).all()
    assert smooth([]).shape == (0,)

"""The data order is a pure function of seed and step, and wastes and repeats nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.order import DataOrder, rows, validation_starts


def make(
    size: int = 500, *, length: int = 16, batch: int = 4, accumulation: int = 1, seed: int = 1
) -> DataOrder:
    tokens = np.arange(size)
    return DataOrder(tokens, length=length, batch_size=batch, accumulation=accumulation, seed=seed)


@given(st.integers(3, 400), st.integers(2, 40), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_an_epoch_visits_every_window_once(size: int, length: int, seed: int) -> None:
    if size < length + 1:
        return
    order = make(size, length=length, batch=1, seed=seed)
    for epoch in range(2):
        seen = []
        for n in range(order.windows):
            inputs, targets = order.batch(epoch * order.windows + n + 1, 0)
            assert inputs.shape == targets.shape == (1, length)
            assert (targets == inputs + 1).all()
            seen.append(int(inputs[0, 0]))
        seen.sort()
        assert all(second - first == length for first, second in itertools.pairwise(seen))
        assert seen[-1] + length < size


def test_epochs_differ_in_order_and_offset() -> None:
    order = make(2000, batch=1)
    starts = [
        [int(order.batch(epoch * order.windows + n + 1, 0)[0][0, 0]) for n in range(order.windows)]
        for epoch in range(6)
    ]
    assert len({min(each) for each in starts}) > 1
    assert len({tuple(np.argsort(each)) for each in starts}) == 6


@pytest.mark.parametrize(("batch", "accumulation"), [(1, 8), (2, 4), (8, 1)])
def test_a_step_holds_the_same_sequences_however_it_is_cut(batch: int, accumulation: int) -> None:
    whole, parts = make(batch=8), make(batch=batch, accumulation=accumulation)
    for step in (1, 2, 9, 40):
        cut = np.concatenate([parts.batch(step, micro)[0] for micro in range(accumulation)])
        assert (cut == whole.batch(step, 0)[0]).all()


def test_any_step_can_be_asked_for_at_any_time() -> None:
    fresh, used = make(), make()
    for step in (1, 500, 3, 77):
        used.batch(step, 0)
    for step in (77, 2, 501):
        assert (fresh.batch(step, 0)[0] == used.batch(step, 0)[0]).all()
        assert (make(seed=2).batch(step, 0)[0] != used.batch(step, 0)[0]).any()


def test_the_order_never_changes_between_versions() -> None:
    order = make(400, length=8, batch=4, seed=42)
    assert order.batch(1, 0)[0][:, 0].tolist() == [366, 86, 54, 94]
    assert order.batch(100, 0)[0][:, 0].tolist() == [294, 54, 366, 78]


def test_validation_windows_are_even_and_apart() -> None:
    tokens = np.arange(1000)
    starts = validation_starts(tokens, 16, 10)
    assert len(starts) == 10
    assert starts[0] == 0
    assert all(b - a >= 16 for a, b in itertools.pairwise(starts))
    assert starts[-1] + 16 < 1000
    assert len(validation_starts(tokens, 16, 10**6)) == 62
    assert validation_starts(np.arange(17), 16, 5) == [0]
    inputs, targets = rows(tokens, starts, 16)
    assert inputs.dtype == targets.dtype == np.int64
    assert (targets == inputs + 1).all()

"""What a search for a learning rate makes of its curves."""

from __future__ import annotations

import math

import pytest

from workbench.training.lr_curve import Curve, averaged, rate_at, smoothed, suggest

RATES = [10.0**place for place in range(-8, 3)]


def curve(*losses: float) -> Curve:
    return Curve(RATES[: len(losses)], list(losses))


def test_rates_rise_exponentially() -> None:
    assert [rate_at(place, 11, 1e-8, 100.0) for place in range(11)] == pytest.approx(RATES)


def test_smoothing() -> None:
    assert smoothed([3.0, 1.0, 2.0], 0.0) == [3.0, 1.0, 2.0]
    assert smoothed([4.0] * 5, 0.98) == pytest.approx([4.0] * 5)
    assert smoothed([2.0, 0.0], 0.5) == pytest.approx([2.0, (0.5 * 1.0 + 0.0) / 0.75])


def test_curves_are_averaged_as_far_as_all_go() -> None:
    assert averaged(RATES, [[4.0, 2.0, 9.0], [2.0, 4.0]]) == curve(3.0, 3.0)


def test_suggestions() -> None:
    found = curve(5.0, 4.9, 4.7, 3.0, 2.6, 2.5, 2.4, 2.8, 9.0)
    assert suggest(found, "steepest") == pytest.approx(1e-5)  # 4.7 to 2.6 around it
    assert suggest(found, "minimum") == pytest.approx(1e-3)
    assert suggest(found, "valley") == pytest.approx(1e-4)  # two thirds from 1e-8 to 1e-2
    assert suggest(found, "fastai") == suggest(found, "valley")
    assert suggest(found, "combined") == pytest.approx(math.cbrt(1e-5 * 1e-3 * 1e-4))


def test_the_longest_fall_is_the_valley() -> None:
    found = curve(9.0, 1.0, 8.0, 7.0, 6.0, 5.0, 9.0)
    assert suggest(found, "valley") == pytest.approx(1e-4)  # from place 2 to 5


@pytest.mark.parametrize("losses", [(1.0, 2.0, 3.0, 4.0), (2.0, 1.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("method", ["steepest", "minimum", "valley", "fastai", "combined"])
def test_without_a_fall_there_is_no_suggestion(losses: tuple[float, ...], method: str) -> None:
    assert suggest(curve(*losses), method) is None

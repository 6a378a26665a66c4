"""The picture has the right size, shows every spike, and says what it cannot show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.runs.braille import Line, plot

if TYPE_CHECKING:
    from workbench.runs.braille import Row

samples = st.floats(allow_nan=True, allow_infinity=True)


def text(rows: list[Row]) -> list[str]:
    return ["".join(part for part, _ in row) for row in rows]


def column_of(x: np.ndarray, at: float, cells: int) -> int:
    return min(int((at - x[0]) / (x[-1] - x[0]) * cells), cells - 1)


@settings(deadline=None)
@given(
    y=st.lists(samples, max_size=60),
    width=st.integers(0, 100),
    height=st.integers(0, 30),
    plain=st.booleans(),
    y_log=st.booleans(),
)
def test_any_data_fills_exactly_the_space(
    y: list[float], width: int, height: int, *, plain: bool, y_log: bool
) -> None:
    x = list(range(len(y)))
    lines = [Line(x, y, "raw", "loss"), Line(x[::7], y[::7], "val", "validation", "◆")]
    rows = plot(lines, width, height, ascii=plain, y_log=y_log, title="loss", x_label="step")
    assert len(rows) == height
    assert all(len(line) == (width if height else 0) for line in text(rows))
    if plain:
        assert all(line.isascii() for line in text(rows))


@settings(deadline=None)
@given(
    where=st.integers(2, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
    width=st.integers(12, 90),
    height=st.integers(4, 20),
    plain=st.booleans(),
)
def test_a_spike_of_one_sample_reaches_the_top_row(
    where: tuple[int, int], width: int, height: int, *, plain: bool
) -> None:
    size, spike = where
    x = np.arange(size, dtype=float)
    y = np.sin(x)
    y[spike] = 50.0
    picture = text(plot([(x, y, "raw")], width, height, ascii=plain))
    gutter = max(picture[0].find(corner) for corner in "┤│+|") + 1
    cell = column_of(x, x[spike], width - gutter)
    # a sample on the border of two dots may fall on either side by rounding
    near = picture[0][max(gutter + cell - 1, gutter) : gutter + cell + 2]
    assert near.strip(), "\n".join(picture)


def test_later_series_are_in_front() -> None:
    x = np.arange(200.0)
    rows = plot([(x, x, "back"), (x, x, "front")], 40, 10)
    styles = {style for row in rows for _, style in row}
    assert "front" in styles
    assert "back" not in styles


def test_ticks_are_1_2_5_and_stand_beside_their_values() -> None:
    x = np.arange(1.0, 401.0)
    picture = text(plot([(x, np.linspace(1.8, 5.5, 400), "a")], 70, 16, x_label="step"))
    assert [line.split("┤")[0].strip() for line in picture if "┤" in line] == ["5", "4", "3", "2"]
    assert picture[-1].split() == ["step", "100", "200", "300", "400"]


def test_logarithmic_ticks_are_powers() -> None:
    x = np.arange(100.0)
    picture = text(plot([(x, 10.0 ** (-x / 20), "a")], 60, 12, y_log=True))
    names = [line.split("┤")[0].strip() for line in picture if "┤" in line]
    assert names[0] == "1"
    assert "0.01" in names or "0.1" in names


def test_samples_that_are_not_finite_are_gaps_and_marked_on_the_axis() -> None:
    x = np.arange(100.0)
    y = np.ones(100)
    y[40:60] = math.nan
    y[80] = math.inf
    rows = plot([(x, y, "a")], 60, 10)
    marks = [part for part, style in rows[-2] if style == "bad"]
    assert len(marks) == 2
    assert len(marks[0]) > 5
    assert len(marks[1]) == 1
    curve = max(text(rows)[:-2], key=lambda line: sum(c > "\u2800" for c in line))
    assert " " * 5 in curve[8:]


@pytest.mark.parametrize("y", [[], [math.nan], [math.inf, -math.inf]])
def test_without_a_finite_value_it_says_so(y: list[float]) -> None:
    rows = plot([(list(range(len(y))), y, "a")], 40, 8, empty="waiting for the first step")
    assert any("waiting for the first step" in line for line in text(rows))


def test_one_sample_and_a_flat_line_are_drawn() -> None:
    for y in ([2.5], [0.0], [3.0] * 50):
        rows = plot([(list(range(len(y))), y, "a")], 40, 8)
        assert any(style == "a" for row in rows for _, style in row)


def test_without_colour_the_series_still_differ() -> None:
    x = np.arange(100.0)
    lines = [
        Line(x, x, "a", "loss"),
        Line(x, x[::-1], "b", "smoothed"),
        Line([50], [20], "c", "val", "◆"),
    ]
    legend = text(plot(lines, 60, 12, ascii=True, title="loss"))[0]
    assert legend.split() == ["loss", "..", "loss", "**", "smoothed", "o", "val"]


def test_a_legend_that_does_not_fit_leaves_whole_entries_out() -> None:
    x = [0.0, 1.0]
    lines = [Line(x, x, "a", "loss"), Line(x, x, "b", "a much longer name")]
    assert text(plot(lines, 20, 10))[0].strip() == "━━ loss"

"""Curves on their way to a view: what is new and nothing else, spikes kept, in few bytes."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.tui.rundirs import hold, make_run
from workbench.notebook.curves import MOST, Curves, Look, described, table_of
from workbench.notebook.watching import Watching
from workbench.runs.curves import Smoothed, extremes, smooth
from workbench.runs.follow import Follower
from workbench.runs.writer import MetricWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.runs.directory import RunDir

RNG = np.random.default_rng(0)


@pytest.fixture
def live(folder: Path) -> Iterator[RunDir]:
    """A run of 50 steps whose supervisor seems to live."""
    import os

    run = make_run(folder / "runs", "live", steps=50)
    lock = hold(run)
    yield run
    os.close(lock)


def grow(run: RunDir, first: int, last: int, attempt: int = 1) -> None:
    metrics = MetricWriter(run.metrics_path(attempt))
    for step in range(first, last + 1):
        metrics.write({"step": step, "t": 1.7e9 + step, "loss": 3 - step / 1000, "step_s": 0.1})
    metrics.close()


@pytest.mark.parametrize("size", [1, 7, 100, MOST, MOST + 1, 100_000])
def test_no_spike_is_lost(size: int) -> None:
    values = RNG.normal(size=size)
    spike, dip = size // 3, size // 2
    values[spike], values[dip] = 50.0, -50.0
    kept = extremes(values, MOST)
    assert kept.size <= max(MOST, 8)
    assert {0, size - 1, dip} <= set(kept.tolist())
    assert spike in kept or spike == dip
    assert (np.diff(kept) > 0).all()


def test_a_value_that_is_no_number_stays_a_gap() -> None:
    values = np.zeros(50_000)
    values[31_234] = math.nan
    values[:100] = math.nan
    kept = extremes(values, MOST)
    assert 31_234 in kept
    assert np.isnan(values[kept[0]])


def test_smoothing_sees_every_sample() -> None:
    values = RNG.normal(size=5000)
    data = Smoothed(0.9)
    for end in (1, 10, 11, 3000, 5000):
        data.update(np.arange(end), values[:end])
    np.testing.assert_allclose(data.smoothed, smooth(values, 0.9), rtol=1e-12)
    assert data.update(np.arange(4000), values[:4000]) == 0  # a resumed attempt
    np.testing.assert_allclose(data.smoothed, smooth(values[:4000], 0.9), rtol=1e-12)


def test_only_new_samples_are_sent(live: RunDir) -> None:
    watching = Watching(lambda: live.path.parent, ["live"])
    opening = {each.content["type"]: each for each in watching.opening()}
    assert [line["role"] for line in opening["curve"].content["lines"]] == ["raw", "smooth", "val"]
    assert list(watching.tick(1)) == []
    grow(live, 51, 53)
    (points,) = watching.tick(2)
    assert points.content["lines"] == [[0, 53], [1, 53]]
    assert [len(each) // 8 for each in points.buffers] == [3, 3, 3, 3]
    assert points.content["generation"] == opening["curve"].content["generation"]


def test_a_resumed_attempt_is_sent_anew(live: RunDir) -> None:
    watching = Watching(lambda: live.path.parent, ["live"])
    list(watching.opening())
    live.attempt_dir(2).mkdir()
    grow(live, 31, 60, attempt=2)
    kinds = [each.content["type"] for each in watching.tick(10)]
    assert kinds[0] == "curve"
    data = watching.curves.lines(watching.followers)[0]
    assert data.x.tolist() == list(range(1, 61))


def test_a_long_line_is_reduced_and_a_window_shows_more(folder: Path) -> None:
    run = make_run(folder / "runs", "long", steps=50)
    follower = Follower(run)
    while follower.poll():
        pass
    from array import array

    steps = array("d", range(51, 100_001))
    follower.series("loss")._extend(steps, array("d", RNG.normal(size=len(steps)).tolist()))
    curves = Curves(Look(smoothing=0))
    (piece, *_) = curves.whole(curves.lines({"long": follower}))
    assert piece.total == 100_000
    assert piece.x.size <= MOST
    curves.look.window = (50_000.0, 50_500.0)
    (piece, *_) = curves.whole(curves.lines({"long": follower}))
    assert piece.x.size == 503  # all of the window, and one on either side


def test_an_update_is_small(live: RunDir) -> None:
    """At most 2 KiB, counted as it goes over the wire, for five samples of each line."""
    watching = Watching(lambda: live.path.parent, ["live"])
    list(watching.opening())
    at = 51
    for count in range(1, 40):
        grow(live, at, at + 4)
        at += 5
        for message in watching.tick(count):
            size = len(json.dumps(message.content)) + sum(map(len, message.buffers))
            assert size <= 2048, message.content


def test_an_update_costs_what_its_rows_cost(live: RunDir) -> None:
    """At 100,000 samples an update stays within a small multiple of reading its rows.

    The budget is 1 ms; a ratio to work of the same kind holds on a slow machine too.
    """
    grow(live, 51, 100_000)
    watching = Watching(lambda: live.path.parent, ["live"])
    list(watching.opening())
    updates, rows = [], []
    for count in range(1, 30):
        first = 100_001 + 5 * (count - 1)
        grow(live, first, first + 4)
        begun = time.thread_time()
        sent = list(watching.tick(count + (count % 5 == 0)))  # without a look at the lock
        updates.append(time.thread_time() - begun)
        assert [each.content["type"] for each in sent] == ["points"]
        begun = time.thread_time()
        for _ in range(40):
            json.loads(json.dumps({"step": first, "t": 1.7e9, "loss": 3.0, "step_s": 0.1}))
        rows.append(time.thread_time() - begun)
    assert np.median(updates) < 25 * np.median(rows)


def test_the_chart_in_words_and_as_a_table(live: RunDir) -> None:
    watching = Watching(lambda: live.path.parent, ["live"])
    list(watching.opening())
    lines = watching.curves.lines(watching.followers)
    words = described(lines, "loss")
    assert words.startswith("loss of live over 50 samples to step 50: from ")
    assert "best" in words
    table = table_of(lines[::-1], 5)
    assert [row[0] for row in table["rows"]] == ["1", "13", "25", "38", "50"]
    assert table["rows"][0][table["head"].index("validation")] == "–"


def test_zooming_keeps_to_what_there_is(live: RunDir) -> None:
    watching = Watching(lambda: live.path.parent, ["live"])
    list(watching.opening())
    watching.hear({"type": "zoom", "by": 2})
    assert watching.look.window == (25.5, 50.0)
    for _ in range(3):
        watching.hear({"type": "zoom", "by": 0.5})
    assert watching.look.window is None
    watching.hear({"type": "window", "ends": [10, 5]})
    assert watching.look.window is None


def test_the_log_grows_by_its_new_lines(live: RunDir) -> None:
    watching = Watching(lambda: live.path.parent, ["live"])
    (log,) = [each for each in watching.opening() if each.content["type"] == "log"]
    assert len(log.content["lines"]) == 50
    with live.log_path.open("a") as file:
        file.write("step 51\nstep 52\n")
    news = [each.content for each in watching.tick(10) if each.content["type"] == "log"]
    assert [each["lines"] for each in news] == [["step 51", "step 52"]]
    assert news[0]["more"] is True
    assert [each for each in watching.tick(20) if each.content["type"] == "log"] == []

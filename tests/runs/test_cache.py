"""The columnar cache is faster and never different: with it, without it, damaged, outdated."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from tests.runs.fakes import make_run
from workbench.runs import cache
from workbench.runs.directory import RunDir
from workbench.runs.follow import Follower
from workbench.runs.writer import MetricWriter


@pytest.fixture(autouse=True)
def small_runs_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WORTH_ROWS", 10)


def write(run: RunDir, attempt: int, first: int, last: int, seed: int = 0) -> None:
    numbers = random.Random(f"{attempt} {seed}")
    writer = MetricWriter(run.metrics_path(attempt))
    for step in range(first, last + 1):
        row: dict[str, Any] = {"step": step, "t": 1e9 + step, "loss": numbers.random()}
        if step % 3 == 0:
            row["val_loss"] = numbers.choice([math.nan, math.inf, -math.inf, 1e-300, 0.1])
        if step % 7 == 0:
            row["word"] = "no number"
        writer.write(row)
    writer.close()


def seen(run: RunDir, *, cached: bool = True) -> dict[str, Any]:
    follower = Follower(run, cached=cached)
    while follower.poll():
        pass
    told: dict[str, Any] = {
        name: [
            *zip(follower.series(name).steps, map(repr, follower.series(name).values), strict=True)
        ]
        for name in (*follower.metric_names, "t")
    }
    return told | {"step": follower.step, "starts": follower.attempt_starts}


def place(run: RunDir) -> Path:
    return run.cache_path / "metrics.bin"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = make_run(tmp_path)
    write(made, 1, 1, 60)
    return made


def test_the_cache_shows_what_the_rows_say(run: RunDir) -> None:
    plain = seen(run, cached=False)
    assert not place(run).exists(), "who does not want it does not write it"
    assert seen(run) == plain
    assert place(run).exists()
    assert place(run).stat().st_mode & 0o077 == 0
    assert seen(run) == plain


def test_it_is_really_read(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = seen(run)
    monkeypatch.setattr("workbench.runs.follow.parse_rows", lambda _: [])
    assert seen(run) == plain


def test_rows_that_come_later_follow(run: RunDir) -> None:
    seen(run)
    before = place(run).read_bytes()
    write(run, 1, 61, 63)
    assert seen(run) == seen(run, cached=False)
    assert place(run).read_bytes() == before, "three rows are not worth another"
    write(run, 1, 64, 200)
    assert seen(run) == seen(run, cached=False)
    assert place(run).read_bytes() != before


def test_a_resumed_attempt_cuts_what_was_cached(run: RunDir) -> None:
    seen(run)
    write(run, 2, 41, 80)
    found = seen(run)
    assert found == seen(run, cached=False)
    assert [step for step, _ in found["loss"]] == list(range(1, 81))
    assert found["starts"] == [1, 41]
    write(run, 3, 75, 110)
    assert seen(run) == seen(run, cached=False)


def test_a_live_follower_and_a_new_one_agree(run: RunDir) -> None:
    live = Follower(run)
    while live.poll():
        pass
    write(run, 1, 61, 90)
    while live.poll():
        pass
    fresh = Follower(run)
    while fresh.poll():
        pass
    assert list(live.series("loss").values) == list(fresh.series("loss").values)


@pytest.mark.parametrize(
    "what", ["other rows", "shorter", "gone", "same size, other rows", "replaced"]
)
def test_metrics_that_were_changed_are_read_anew(run: RunDir, what: str) -> None:
    seen(run)
    path = run.metrics_path(1)
    data = path.read_bytes()
    if what == "other rows":
        path.unlink()
        write(run, 1, 1, 70, seed=1)
    elif what == "shorter":
        path.write_bytes(data[: len(data) // 2])
    elif what == "gone":
        path.unlink()
        write(run, 2, 1, 20)
    elif what == "same size, other rows":
        lines = data.splitlines(keepends=True)
        path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    else:
        other = path.with_name("other")
        other.write_bytes(data.replace(b'"step":7,', b'"step":8,'))
        other.replace(path)
    assert seen(run) == seen(run, cached=False)


def test_a_damaged_cache_is_as_none(run: RunDir) -> None:
    plain = seen(run)
    good = place(run).read_bytes()
    numbers = random.Random(5)
    for _ in range(150):
        bad = bytearray(good)
        kind = numbers.choice(["flip", "cut", "zero", "junk"])
        at = numbers.randrange(len(bad))
        if kind == "flip":
            bad[at] ^= 1 << numbers.randrange(8)
        elif kind == "cut":
            del bad[at:]
        elif kind == "zero":
            bad[at : at + 64] = bytes(len(bad[at : at + 64]))
        else:
            bad[at : at + 8] = numbers.randbytes(8)
        place(run).write_bytes(bad)
        assert seen(run) == plain
        place(run).write_bytes(good)


def test_where_no_cache_can_be_written_none_is(run: RunDir) -> None:
    run.cache_path.write_text("a file in the way")
    assert seen(run) == seen(run, cached=False)
    run.cache_path.unlink()
    run.cache_path.symlink_to("/nonexistent/place")
    assert seen(run) == seen(run, cached=False)


def test_nothing_is_written_on_a_disk_that_is_nearly_full(small_disk: Path) -> None:
    made = make_run(small_disk)
    write(made, 1, 1, 4000)
    (small_disk / "ballast").write_bytes(b"x" * 300_000)
    seen(made)
    assert not made.cache_path.exists()

"""Following: every step once, the newest attempt wins, and no file in any state is an error."""

from __future__ import annotations

import math
import os
import zlib
from array import array
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runs.fakes import make_run
from workbench.runs.directory import RunDir
from workbench.runs.files import encode, to_json
from workbench.runs.follow import Follower
from workbench.runs.writer import EventWriter, MetricWriter

if TYPE_CHECKING:
    import random
    from pathlib import Path


def line(**row: object) -> bytes:
    body = encode(to_json(row))
    return b"%s\t%08x\n" % (body, zlib.crc32(body))


def write(run: RunDir, attempt: int, *rows: dict[str, object]) -> None:
    writer = MetricWriter(run.metrics_path(attempt))
    for row in rows:
        writer.write(row)
    writer.close()


def pairs(follower: Follower, name: str) -> list[tuple[float, float]]:
    series = follower.series(name)
    return list(zip(series.steps, series.values, strict=True))


def test_an_empty_run_and_a_run_that_is_gone(run: RunDir, tmp_path: Path) -> None:
    for follower in (Follower(run), Follower(RunDir(tmp_path / "nothere"))):
        assert follower.poll() is False
        assert follower.metric_names == []
        assert len(follower.series("loss")) == 0
        assert follower.last("loss") is None
        assert (follower.step, follower.events, follower.ready, follower.sample) == (
            0,
            [],
            None,
            None,
        )
        assert follower.log_tail(5) == []


def test_rows_come_as_they_are_written(run: RunDir) -> None:
    follower = Follower(run)
    write(run, 1, {"step": 1, "loss": 5.5, "tokens": 4096}, {"step": 2, "loss": 5.0})
    assert follower.poll() is True
    assert follower.poll() is False
    assert follower.metric_names == ["loss", "tokens"]
    write(run, 1, {"step": 3, "loss": 4.0}, {"step": 3, "val_loss": 4.5})
    assert follower.poll() is True
    assert pairs(follower, "loss") == [(1, 5.5), (2, 5.0), (3, 4.0)]
    assert pairs(follower, "val_loss") == [(3, 4.5)]
    assert (follower.last("loss"), follower.last("val_loss"), follower.step) == (4.0, 4.5, 3)


def test_a_resumed_attempt_replaces_what_is_trained_again(run: RunDir) -> None:
    write(
        run, 1,
        *({"step": s, "loss": float(s)} for s in range(1, 11)),
        {"step": 5, "val_loss": 0.5}, {"step": 10, "val_loss": 1.0},
    )  # fmt: skip
    follower = Follower(run)
    follower.poll()
    assert follower.step == 10
    write(run, 2, {"step": 6, "loss": -6.0}, {"step": 7, "loss": -7.0})
    follower.poll()
    expected = [(s, float(s)) for s in range(1, 6)] + [(6, -6.0), (7, -7.0)]
    assert pairs(follower, "loss") == expected
    assert pairs(follower, "val_loss") == [(5, 0.5)], "the evaluation of step 10 is gone too"
    assert follower.step == 7
    again = Follower(run)
    again.poll()
    assert pairs(again, "loss") == expected


def test_an_abandoned_trainer_that_writes_on_is_not_believed(run: RunDir) -> None:
    write(run, 1, *({"step": s, "loss": 1.0} for s in range(1, 5)))
    write(run, 2, {"step": 3, "loss": 2.0})
    follower = Follower(run)
    follower.poll()
    write(run, 1, {"step": 5, "loss": 1.0})
    assert follower.poll()
    assert pairs(follower, "loss") == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_torn_and_damaged_lines(run: RunDir) -> None:
    path = run.metrics_path(1)
    good = line(step=1, loss=1.0)
    wrong = good.replace(b'"loss":1.0', b'"loss":7.0')
    nonsense = [
        b"\n",
        b"\t\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\n",
        b'{"step":"x","loss":1}\n',
        b"[" * 9999,
    ]
    path.write_bytes(b"".join([*nonsense, b"\n", wrong, good, line(step=2, loss=2.0)[:-5]]))
    follower = Follower(run)
    follower.poll()
    assert pairs(follower, "loss") == [(1, 1.0)]
    with path.open("ab") as file:
        file.write(line(step=2, loss=2.0)[-5:])
    assert follower.poll()
    assert pairs(follower, "loss") == [(1, 1.0), (2, 2.0)]


def test_rows_of_other_tools(run: RunDir) -> None:
    run.metrics_path(1).write_text(
        '{"step": 2, "loss": 2}\n{"step": 1, "loss": "nan", "note": "hi", "x": null}\n'
        '{"step": 2, "loss": 3.5, "huge": 1%s}\n{"step": -1, "loss": 9}\n{"step": 1.5, "loss": 9}\n'
        % ("0" * 400)
    )
    follower = Follower(run)
    follower.poll()
    assert list(follower.series("loss").steps) == [1, 2]
    assert math.isnan(follower.series("loss").values[0])
    assert follower.last("loss") == 3.5
    assert follower.metric_names == ["loss"]


@pytest.mark.parametrize("how", ["replaced", "truncated", "deleted"])
def test_a_file_that_is_replaced_is_read_again(run: RunDir, how: str) -> None:
    path = run.metrics_path(1)
    write(run, 1, {"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0})
    follower = Follower(run)
    follower.poll()
    if how == "replaced":
        other = path.with_name("other")
        other.write_bytes(line(step=1, loss=7.0) + line(step=2, loss=8.0) + line(step=3, loss=9.0))
        other.replace(path)
    elif how == "truncated":
        path.write_bytes(line(step=1, loss=7.0))
    else:
        path.unlink()
    assert follower.poll()
    expected = {"replaced": [(1, 7.0), (2, 8.0), (3, 9.0)], "truncated": [(1, 7.0)], "deleted": []}
    assert pairs(follower, "loss") == expected[how]
    assert follower.poll() is False


def test_a_deleted_run_reads_as_empty(run: RunDir) -> None:
    import shutil

    write(run, 1, {"step": 1, "loss": 1.0})
    follower = Follower(run)
    follower.poll()
    shutil.rmtree(run.path)
    follower.poll()
    assert follower.metric_names == []
    assert follower.poll() is False


def test_what_is_no_file_is_passed_over(run: RunDir) -> None:
    os.mkfifo(run.metrics_path(1))
    run.metrics_path(2).mkdir()
    (run.metrics_dir / "notes.txt").touch()
    follower = Follower(run)
    assert follower.poll() is False


def test_a_view_stays_what_it_was(run: RunDir) -> None:
    follower = Follower(run)
    write(run, 1, *({"step": s, "loss": float(s)} for s in range(1, 4)))
    follower.poll()
    series = follower.series("loss")
    steps, values = np.frombuffer(series.steps), np.frombuffer(series.values)
    write(run, 1, {"step": 4, "loss": 4.0})
    write(run, 2, {"step": 2, "loss": -2.0})
    follower.poll()
    assert steps.tolist() == values.tolist() == [1, 2, 3]
    assert pairs(follower, "loss") == [(1, 1.0), (2, -2.0)]


def test_a_long_run_can_be_opened_in_parts(run: RunDir) -> None:
    count = 60_000  # more than one chunk of reading
    run.metrics_path(1).write_bytes(
        b"".join(line(step=s, loss=float(s), pad="x" * 60) for s in range(1, count + 1))
    )
    write(run, 2, {"step": count + 1, "loss": 0.0})
    follower, polls = Follower(run), 0
    while follower.poll(max_bytes=1):
        polls += 1
    assert polls >= 2
    whole = Follower(run)
    whole.poll()
    assert whole.series("loss").steps == array("d", range(1, count + 2))
    assert whole.series("loss").values == follower.series("loss").values


def test_a_line_without_end_does_not_stop_the_reader(run: RunDir) -> None:
    run.metrics_path(1).write_bytes(b"x" * 9_000_000 + b"\n" + line(step=1, loss=1.0))
    follower = Follower(run)
    follower.poll()
    assert pairs(follower, "loss") == [(1, 1.0)]


def test_events_of_supervisor_and_trainer_in_the_order_of_time(run: RunDir) -> None:
    for attempt in (1, 2):
        run.attempt_dir(attempt).mkdir()
    run.events_path.write_text(
        '{"t":1,"event":"attempt","attempt":1}\n{"t":9,"event":"exited","attempt":1}\n'
    )
    run.attempt_events_path(1).write_text(
        '{"t":2,"event":"ready","max_steps":5}\nnonsense\n{"event":"timeless"}\n'
        '{"t":3,"event":"sample","step":4,"text":"def"}\n'
    )
    follower = Follower(run)
    assert follower.poll()
    assert [event["event"] for event in follower.events] == ["attempt", "ready", "sample", "exited"]
    assert [event["attempt"] for event in follower.events] == [1, 1, 1, 1]
    assert follower.ready
    assert follower.ready["max_steps"] == 5
    assert follower.sample == (4, "def")
    writer = EventWriter(run.attempt_events_path(2))
    writer.write("ready", max_steps=7)
    writer.write("sample", step=6, text="class")
    writer.close()
    assert follower.poll()
    assert follower.ready["max_steps"] == 7
    assert follower.sample == (6, "class")
    assert follower.events[-1]["attempt"] == 2


def test_the_log_and_before_there_is_one_the_output(run: RunDir) -> None:
    follower = Follower(run)
    run.attempt_dir(1).mkdir()
    run.output_path(1).write_text("Traceback\n\x1b[31mBoom\n")
    assert follower.log_tail(1) == ["Boom"]
    run.log_path.write_text("step 1\nstep 2\n")
    assert follower.log_tail(5) == ["step 1", "step 2"]


Attempts = st.lists(
    st.tuples(
        st.integers(1, 20), st.lists(st.sampled_from(["loss", "val_loss", "both"]), max_size=20)
    ),
    max_size=4,
)


@settings(max_examples=30, deadline=None)
@given(Attempts, st.randoms(use_true_random=False))
def test_however_it_is_read_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[tuple[int, list[str]]],
    chance: random.Random,
) -> None:
    """Against a model with dictionaries, while the files arrive in pieces that end anywhere."""
    run = make_run(tmp_path_factory.mktemp("r"))
    follower, model = Follower(run), dict[str, dict[float, float]]()
    for number, (start, kinds) in enumerate(attempts, start=1):
        content = b""
        for step, kind in enumerate(kinds, start=start):
            names = ["loss", "val_loss"] if kind == "both" else [kind]
            row = {name: chance.random() for name in names}
            content += line(step=step, t=0.0, **row)
            if step == start:
                for name, known in model.items():
                    model[name] = {s: v for s, v in known.items() if s < step}
            for name, value in row.items():
                model.setdefault(name, {})[step] = value
        with run.metrics_path(number).open("ab") as file:
            while content:
                size = chance.randrange(1, len(content) + 1)
                file.write(content[:size])
                file.flush()
                content = content[size:]
                follower.poll()
    for one in (follower, Follower(run)):
        one.poll()
        assert {n: dict(pairs(one, n)) for n in one.metric_names} == {
            k: v for k, v in model.items() if v
        }

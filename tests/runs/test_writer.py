"""Writing rows: none is lost by a kill or a full disk, and none is ever wrong."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.amounts import times
from tests.runs.fakes import eventually
from workbench.runs.files import parse_line
from workbench.runs.follow import Follower, parse_rows
from workbench.runs.writer import EventWriter, LogWriter, MetricWriter

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

ROOT = Path(__file__).parents[2]


def rows(path: Path) -> list[dict[str, object]]:
    return parse_rows(path.read_bytes().split(b"\n")[:-1])


def test_a_row_is_one_line_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "0001.jsonl"
    writer = MetricWriter(path)
    writer.write({"step": 1, "t": 2.5, "loss": 0.1 + 0.2})
    body, _, checksum = path.read_bytes().rpartition(b"\t")
    assert body == b'{"step":1,"t":2.5,"loss":0.30000000000000004}'
    assert checksum == b"%08x\n" % zlib.crc32(body)
    writer.close()
    writer.close()


def test_non_finite_values_come_back(run: RunDir) -> None:
    writer = MetricWriter(run.metrics_path(1))
    values = [math.nan, math.inf, -math.inf, 5e-324, -0.0, 1.7976931348623157e308]
    for step, value in enumerate(values):
        writer.write({"step": step, "loss": value})
    writer.close()
    for line in run.metrics_path(1).read_bytes().splitlines():
        json.loads(line.rpartition(b"\t")[0], parse_constant=pytest.fail)
    follower = Follower(run)
    assert follower.poll()
    assert list(map(repr, follower.series("loss").values)) == list(map(repr, values))


@pytest.mark.parametrize("torn", [b'{"step":1,"t":1.0,"lo', b'{"step":1,"t":1.0,"loss":3}\t12'])
def test_a_torn_tail_is_sealed_and_never_joined(tmp_path: Path, torn: bytes) -> None:
    metrics, events, log = tmp_path / "1.jsonl", tmp_path / "events.jsonl", tmp_path / "log"
    for path in (metrics, events, log):
        path.write_bytes(torn)
    writer = MetricWriter(metrics)
    writer.write({"step": 2, "loss": 2.0})
    writer.close()
    assert [row["step"] for row in rows(metrics)] == [2]
    EventWriter(events).write("saved", step=3)
    assert parse_line(events.read_bytes().splitlines()[-1])["step"] == 3
    LogWriter(log).write("hello")
    assert log.read_bytes().splitlines()[-1] == b"hello"


def test_a_missing_folder_is_waited_for(tmp_path: Path) -> None:
    writer = MetricWriter(tmp_path / "later" / "1.jsonl")
    writer.write({"step": 1})
    assert writer.pending == 1
    assert writer.problem
    (tmp_path / "later").mkdir()
    writer.write({"step": 2})
    assert (writer.pending, writer.problem) == (0, None)
    writer.close()
    assert [row["step"] for row in rows(writer.path)] == [1, 2]


def test_the_backlog_is_bounded(tmp_path: Path) -> None:
    writer = MetricWriter(tmp_path / "never" / "1.jsonl", backlog=10)
    for step in range(15):
        writer.write({"step": step})
    assert (writer.pending, writer.lost) == (10, 5)
    writer.close()
    assert writer.pending == 10


def test_a_full_disk_delays_rows_and_loses_none(small_disk: Path) -> None:
    path, ballast = small_disk / "0001.jsonl", small_disk / "ballast"
    ballast.write_bytes(b"x" * 900_000)
    writer = MetricWriter(path, sync_seconds=0.02)
    steps = 0
    while writer.pending < 50:
        writer.write({"step": steps, "loss": 1.0, "pad": "x" * 300})
        steps += 1
    assert "no space" in str(writer.problem)
    ballast.unlink()
    eventually(lambda: not writer.pending)  # by the second thread: nothing more is written
    writer.close()
    assert [row["step"] for row in rows(path)] == list(range(steps))
    assert writer.lost == 0


def test_a_limit_on_file_size_delays_rows_and_loses_none(tmp_path: Path) -> None:
    """The same without mounting."""
    script = """
import resource, sys
from pathlib import Path
from workbench.runs.writer import MetricWriter
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
writer = MetricWriter(Path(sys.argv[1]))
for step in range(500):
    writer.write({"step": step, "loss": 1.0})
assert writer.pending > 100 and writer.problem, writer.pending
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.close()
assert not writer.pending and not writer.lost
"""
    path = tmp_path / "0001.jsonl"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=ROOT)
    assert [row["step"] for row in rows(path)] == list(range(500))


SESSION = """
import os, sys
from pathlib import Path
from workbench.runs.writer import MetricWriter
writer = MetricWriter(Path(sys.argv[1]))
step = int(sys.argv[2])
while True:
    step += 1
    writer.write({"step": step, "loss": 1 / step, "pad": "x" * int(sys.argv[3])})
    os.write(1, b"%d\\n" % step)
"""


@pytest.mark.parametrize(
    ("kills", "pad"),
    [(30, 20_000), pytest.param(times(200), 300, marks=pytest.mark.slow)],
    ids=["thirty", "two hundred"],
)
def test_kills_with_a_reader_tailing(run: RunDir, kills: int, pad: int) -> None:
    """All sessions append to one file: every acknowledged row is there, once and right.

    After each kill a new reader and, as the next session, a resume find all of them.
    """
    path = run.metrics_path(1)
    follower, chance, acknowledged = Follower(run), random.Random(0), 0
    for _ in range(kills):
        session = subprocess.Popen(
            [sys.executable, "-S", "-c", SESSION, str(path), str(acknowledged), str(pad)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert session.stdout
        for _ in range(chance.randrange(1, 40)):
            acknowledged = int(session.stdout.readline())
            before = len(follower.series("loss"))
            follower.poll()
            check(follower, before)
        session.kill()
        for line in session.stdout:
            if line.endswith(b"\n"):
                acknowledged = int(line)
        session.wait()
        session.stdout.close()
        if chance.random() < 0.5:  # what a kill inside write(2) leaves, too rare to wait for
            with path.open("ab") as file:
                file.write(b'{"step":%d,"t":1.0,"loss":9.9,"pad":"xxx' % (acknowledged + 1))
        follower.poll()
        check(follower)
        assert follower.step >= acknowledged
        assert len(follower.series("loss")) == follower.step
        if chance.random() < 0.1:
            fresh = Follower(run, cached=False)
            while fresh.poll():
                pass
            assert fresh.series("loss").values == follower.series("loss").values
    again = Follower(run)
    while again.poll():
        pass
    assert again.series("loss").values == follower.series("loss").values
    print(f"\n{kills} kills, {acknowledged} acknowledged rows, none lost, doubled or wrong")


def check(follower: Follower, start: int = 0) -> None:
    """Every row from `start` on is right; all of them stand once and in order by `Series`."""
    series = follower.series("loss")
    assert all(
        value == 1 / step
        for step, value in zip(series.steps[start:], series.values[start:], strict=True)
    )

"""Metrics in other programs' files say the same as our own."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from tests.runs.fakes import make_run
from workbench.errors import RunError, UsageError
from workbench.runs.directory import RunDir
from workbench.runs.export import export
from workbench.runs.writer import MetricWriter

LOSSES = {1: 3.5, 2: math.nan, 3: math.inf, 4: -math.inf, 5: 1e300, 6: 0.1}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = make_run(tmp_path)
    writer = MetricWriter(made.metrics_path(1))
    for step, loss in LOSSES.items():
        writer.write({"step": step, "t": 1e9 + step, "loss": loss})
        if step == 4:
            writer.write({"step": step, "t": 2e9, "val/loss": 2.5})
    writer.close()
    return made


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def test_csv(run: RunDir, tmp_path: Path) -> None:
    place = export(run, "csv", tmp_path / "x.csv")
    with place.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(LOSSES)
    assert all(same(float(row["loss"]), LOSSES[int(row["step"])]) for row in rows)
    assert [row["val/loss"] for row in rows] == ["", "", "", "2.5", "", ""]


def test_parquet(run: RunDir, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(export(run, "parquet", tmp_path / "x.parquet")).to_pydict()
    assert table["step"] == list(LOSSES)
    assert all(map(same, table["loss"], LOSSES.values()))
    assert table["val/loss"] == [None, None, None, 2.5, None, None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_what_we_write(run: RunDir, tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    export(run, "tensorboard", tmp_path / "tb")
    place = export(run, "tensorboard", tmp_path / "tb")
    assert len(list(place.iterdir())) == 1, "an earlier export makes room"
    reader = event_accumulator.EventAccumulator(str(place))
    reader.Reload()
    assert sorted(reader.Tags()["scalars"]) == ["loss", "val/loss"]
    events = reader.Scalars("loss")
    assert [event.step for event in events] == list(LOSSES)
    wanted = [3.5, math.nan, math.inf, -math.inf, math.inf, 0.1]
    assert all(
        same(event.value, value) or math.isclose(event.value, value, rel_tol=1e-6)
        for event, value in zip(events, wanted, strict=True)
    )
    assert events[0].wall_time == 1e9 + 1


def test_what_cannot_be_exported(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        export(run, "xlsx")
    with pytest.raises(RunError, match="no metrics yet"):
        export(make_run(tmp_path, "empty"), "csv")
    with pytest.raises(RunError, match="cannot be written"):
        export(run, "csv", tmp_path / "nowhere/x.csv")
    with pytest.raises(RunError, match="cannot be written"):
        export(run, "csv", tmp_path)


def test_a_name_for_the_file_follows_from_the_run(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(run, "csv") == Path("r.csv")
    assert export(run, "tensorboard") == Path("r-tensorboard")

"""A long run has its columns when it is over, so that the first face opens it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.fakes import eventually, trainer
from workbench.runs.cache import WORTH_ROWS, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.runs.directory import RunDir

MANY = f"""
import pathlib, sys
run = pathlib.Path(sys.argv[1])
row = '{{"step":%d,"t":1.0,"loss":2.5,"lr":0.001,"tokens":4096}}\\n'
(run / "metrics" / "0001.jsonl").write_text("".join(row % n for n in range(1, {WORTH_ROWS + 1})))
"""
FEW = """
import pathlib, sys
run = pathlib.Path(sys.argv[1])
(run / "metrics" / "0001.jsonl").write_text('{"step":1,"t":1.0,"loss":2.5}\\n')
"""


def test_a_long_run_leaves_its_columns(trained: Callable[..., RunDir]) -> None:
    run = trained(trainer(MANY))
    eventually((run.cache_path / "metrics.bin").exists)
    parsed = load(run)
    assert parsed is not None
    assert parsed.step == WORTH_ROWS
    assert len(parsed.columns["loss"][1]) == WORTH_ROWS


def test_a_short_run_leaves_none(trained: Callable[..., RunDir]) -> None:
    run = trained(trainer(FEW))
    assert not run.cache_path.exists()

"""The history of what was measured: appended to, read leniently, told apart by machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import RunError
from workbench.runs.measured import history, path, remember, this_machine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_rows_are_kept_in_order_and_by_machine(state: Path) -> None:
    assert history() == []
    remember({"machine": "a", "n": 1})
    remember({"machine": "b", "n": 2})
    assert remember({"machine": "a", "n": 3}) == path() == state / "ava" / "measured.jsonl"
    assert [row["n"] for row in history("a")] == [1, 3]
    assert [row["n"] for row in history()] == [1, 2, 3]
    assert path().stat().st_mode & 0o077 == 0


def test_a_torn_line_costs_its_row_only() -> None:
    remember({"machine": "a"})
    with path().open("ab") as file:
        file.write(b'{"machine": "a", "n\n[1]\n\n')
    remember({"machine": "a", "n": 2})
    assert len(history("a")) == 2


def test_a_place_that_cannot_be_written_is_said(state: Path) -> None:
    state.write_text("a file where a folder should be")
    with pytest.raises(RunError, match="cannot be kept"):
        remember({})


def test_a_machine_is_named_by_what_computes() -> None:
    assert "cores" in this_machine()
    assert this_machine(("NVIDIA T4",)).endswith("NVIDIA T4")

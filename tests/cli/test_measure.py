"""`ava measure`: a real run of a few steps, beside its prediction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Ava, mini
from workbench.cli import main


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "ava" / "measured.jsonl"


def test_a_real_run_beside_its_prediction(ava: Ava, state: Path, tmp_path: Path) -> None:
    done = ava("measure", "tiny_cpu", *mini(), "--steps", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps"] >= 3
    process = found["figures"]["process"]
    assert process["measured"] > 100 * 2**20
    # What a process takes here had been measured a moment before, by a network of next to nothing.
    assert found["constants_before"]["context"] > 100 * 2**20
    assert abs(process["error"]) < 0.25
    assert found["figures"]["tokens/s"]["measured"] > 0
    assert found["figures"]["tokens/s"]["predicted"] is None
    assert list(found["constants"]["reached"]) == [found["precision"]]
    rows = [json.loads(line) for line in state.read_text().splitlines()]
    assert [row["probe"] for row in rows] == [True, False]
    assert not list(tmp_path.glob("runs/*"))  # the run itself was made aside
    told = ava("measure", "--history")
    assert told.returncode == 0
    assert "tokens/s" in told.stdout


def test_nothing_measured_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--history"]) == 0
    assert "nothing has been measured" in capsys.readouterr().out
    assert main(["measure", "--history", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["tiny_cpu", "--steps", "0"],
        ["tiny_cpu", "--steps", "many"],
        ["tiny_cpu", "--steps"],
        ["--history", "tiny_cpu"],
        ["--resume", "x"],
        ["tiny_cpu", "--no_such_key", "1"],
    ],
)
def test_wrong_usage_is_one_message(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", *args]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.err

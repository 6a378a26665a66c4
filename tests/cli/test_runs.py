"""`ava runs` as a person and as a program uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import mini
from tests.runs.conftest import end
from tests.runs.fakes import OBEDIENT, eventually, trainer
from workbench.cli import main
from workbench.config.findings import FindingsError
from workbench.config.keys import keys
from workbench.errors import RunError, UsageError
from workbench.plan import plan_from
from workbench.resuming import CHANGEABLE, change, resume
from workbench.runs.control import start, stop, wait_for_end, wait_for_start
from workbench.runs.directory import RunDir, create_run, open_run
from workbench.runs.layout import files, page
from workbench.runs.status import verdict


@pytest.fixture(autouse=True)
def a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVA_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    yield
    for path in (tmp_path / "runs").glob("*/lock"):
        end(RunDir(path.parent))


@pytest.fixture
def real(tmp_path: Path) -> RunDir:
    """A run with the full config, as `ava train` makes one, that was not started."""
    plan = plan_from("tiny_cpu", overrides={"max_steps": "9", "name": "real"})
    return create_run(
        tmp_path / "runs", "real", config=plan.tree, origins=plan.origins, config_yaml="x: 1\n",
        meta={"recipe": "tiny_cpu", "command": ["ava", "train"], "stack": ["a"]},
    )  # fmt: skip


def ended(run: RunDir, script: str = "row(4, loss=2.5)\nsys.exit(75)") -> RunDir:
    start(run, command=trainer(script))
    assert not wait_for_end(run, 120).alive
    return run


def ava(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["runs", *args]) == code
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> Any:
    return json.loads(ava(capsys, *args, "--json", code=code))


def test_list_and_show(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    ended(real)
    ava(capsys, "tag", "real", "baseline")
    ava(capsys, "note", "real", "looks", "good")
    text = ava(capsys, "list")
    assert "■ stopped" in ava(capsys), "without a word more it lists"
    assert told(capsys)[0]["name"] == "real"
    assert "■ stopped" in text
    assert "4/9" in text
    assert "baseline" in text
    assert ava(capsys, "list", "--tag", "other") == "no run is like that; all of them: ava runs\n"
    (row,) = told(capsys, "list", "--state", "stopped")
    assert (row["name"], row["tags"]) == ("real", ["baseline"])
    text = ava(capsys, "show", "real")
    for words in ("real  stopped: saved on request", "baseline", "looks good", "loss", "2.5",
                  "go on with: ava runs resume real", "metrics/"):  # fmt: skip
        assert words in text
    data = told(capsys, "show", "real")
    assert data["notes"][0]["note"] == "looks good"
    assert data["config"]["training"]["max_steps"] == 9


def test_every_file_of_a_run_is_explained(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    ended(real)
    ava(capsys, "note", "real", "x")
    ava(capsys, "tag", "real", "x")
    known = {entry.name for entry in files()}
    found = {
        str(path.relative_to(real.path)) + ("/" if path.is_dir() else "")
        for path in real.path.rglob("*")
    }
    unknown = {n for n in found if n not in known and n != "attempts/0001/"}
    assert not unknown
    assert ava(capsys, "show", "--files") == page()
    assert {entry["name"] for entry in told(capsys, "show", "--files")} == known


def test_labels(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert ava(capsys, "tag", "real", "a", "b") == "a\nb\n"
    assert ava(capsys, "tag", "real", "--remove", "a") == "b\n"
    assert told(capsys, "tag", "real") == {"name": "real", "tags": ["b"]}
    ava(capsys, "note", "real", "first")
    assert ava(capsys, "note", "real").endswith("first\n")
    assert ava(capsys, "rename", "real", "better") == "real is better now\n"
    assert told(capsys, "list")[0]["name"] == "better"
    ava(capsys, "rm", "better", code=2)
    assert ava(capsys, "rm", "better", "--yes") == "deleted better\n"
    assert told(capsys, "list") == []


def test_pause_and_stop(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    start(real, command=trainer(OBEDIENT))
    wait_for_start(real, 120)
    assert ava(capsys, "pause", "real") == "real paused at step 1\n"
    assert ava(capsys, "stop", "real") == "real is not running\n"
    assert "‖ paused" in ava(capsys, "list")


def test_checkpoints(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.runs.test_checkpoints import save

    assert "has no checkpoint" in ava(capsys, "checkpoints", "list", "real")
    ava(capsys, "checkpoints", "verify", "real", code=1)
    for step in (2, 4, 6):
        save(real, step)
    assert ava(capsys, "checkpoints", "verify", "real").count("✓ good") == 3
    (real.checkpoints_dir / "step-00000006/state.json").write_text("[]")
    assert "✗ state.json has changed" in ava(capsys, "checkpoints", "verify", "real", code=1)
    ava(capsys, "checkpoints", "prune", "real", code=2)
    out = ava(capsys, "checkpoints", "prune", "real", "--keep", "1", "--yes")
    assert out == "deleted step-00000006\ndeleted step-00000002\n"
    assert [row["step"] for row in told(capsys, "checkpoints", "list", "real")] == [4]


def test_export_and_compare(
    real: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(real, "row(1, loss=3.5)\nrow(2, loss=2.5)")
    assert ava(capsys, "export", "real", "csv") == "real.csv\n"
    assert (tmp_path / "real.csv").read_text().splitlines()[1].startswith("1,")
    ava(capsys, "compare", "real", code=2)
    plan = plan_from("tiny_cpu", overrides={"max_steps": "9", "batch_size": "32", "name": "big"})
    big = create_run(
        tmp_path / "runs", "big", config=plan.tree, origins={}, config_yaml="", meta={}
    )
    ended(big, "row(1, loss=3.0)\nrow(2, loss=1.5)")
    text = ava(capsys, "compare")
    assert "which single change made loss better" in text
    assert "training.batch_size: " in text
    assert "2.5000 → 1.5000" in text or "2.5 → 1.5" in text
    data = told(capsys, "compare", "real", "big", "--by", "time")
    assert data["single_changes"][0]["key"] == "training.batch_size"
    assert set(data["curves"]["values"]) == {"real", "big"}
    ava(capsys, "compare", "--metric", "nothing", code=2)


# Going on.


def test_the_changeable_keys_exist() -> None:
    from fnmatch import fnmatchcase

    for pattern in CHANGEABLE:
        assert any(fnmatchcase(path, pattern) for path in keys()), pattern


def test_what_changes_on_the_way_is_written_down(real: RunDir) -> None:
    changes, message = change(real, {"max_steps": "20", "save_steps": "5"})
    assert changes["training.max_steps"] == (9, 20)
    assert message is not None
    assert message["config"]["training"]["max_steps"] == 20
    origin = message["origins"]["training.max_steps"]
    assert origin["value"] == 20
    assert origin["shadowed"][0]["value"] == 9
    first = message["yaml"].splitlines()[0]
    assert first.startswith("# changed 2")
    assert first.endswith("before attempt 1: training.max_steps: 9 -> 20") or "save_steps" in first
    assert change(real, {"max_steps": "9"}) == ({}, None), "the same is no change"
    assert change(real, {}) == ({}, None)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("hidden_size", "64", UsageError),
        ("training.batch_size", "64", UsageError),
        ("seed", "2", UsageError),
        ("data.path", "other.txt", UsageError),
        ("no_such_key", "1", UsageError),
        ("max_steps", "lots", FindingsError),
        ("max_steps", "-1", FindingsError),
    ],
)
def test_what_may_not_change(real: RunDir, key: str, value: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        change(real, {key: value})


def test_resume_refuses_what_lives_or_is_done(real: RunDir) -> None:
    start(real, command=trainer(OBEDIENT))
    wait_for_start(real, 120)
    with pytest.raises(RunError, match="is running"):
        resume(real)
    stop(real, now=True)
    wait_for_end(real, 120)
    ended(real, "row(9, loss=1)")
    with pytest.raises(RunError, match="nothing is left to do"):
        resume(real)
    with pytest.raises(RunError, match="nothing is left to do"):
        resume(real, {"max_steps": "9"})


def test_extend_wants_more(real: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    ended(real)
    ava(capsys, "extend", "real", "--to", "9", code=2)
    ava(capsys, "extend", "real", "--by", "0", code=2)
    ava(capsys, "extend", "real", code=2)
    ava(capsys, "resume", "real", "--hidden_size", "3", code=2)
    ava(capsys, "resume", "real", "tiny_cpu", code=2)
    ava(capsys, "show", "real", "--nonsense", code=2)
    assert verdict(real).attempt == 1


def test_a_real_run_is_paused_extended_and_ends_later(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real trainer: paused half-way, resumed with another key, extended after its end."""
    options = [*mini(max_steps=100_000, save_steps=50), "--data.path", str(corpus)]
    capsys.readouterr()
    assert main(["launch", "tiny_cpu", "--name", "r", *options]) == 0
    assert capsys.readouterr().out == "r\n"
    run = open_run(tmp_path / "runs", "r")
    eventually(lambda: verdict(run).step >= 2 or not verdict(run).alive, 120)
    assert "r paused at step" in ava(capsys, "pause", "r")
    assert verdict(run).state == "paused"
    step = verdict(run).step
    data = told(capsys, "resume", "r", "--max_steps", str(step + 3))
    assert data["changes"] == {"training.max_steps": [100_000, step + 3]}
    assert wait_for_end(run, 120).state == "finished", run.output_path(2).read_text()
    assert (verdict(run).step, verdict(run).attempt) == (step + 3, 2)
    assert ava(capsys, "extend", "r", "--by", "4") == "r\n"
    assert wait_for_end(run, 120).state == "finished", run.output_path(3).read_text()
    assert verdict(run).step == step + 7
    text = (run.path / "config.yaml").read_text()
    assert text.count("# changed ") == 2
    assert f"{step + 3} -> {step + 7}" in text
    assert "changed training.max_steps" in ava(capsys, "show", "r")
    assert "went on from step" in ava(capsys, "show", "r")


def test_a_queued_launch_says_so(
    tmp_path: Path, real: RunDir, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(real, command=trainer(OBEDIENT))
    wait_for_start(real, 120)
    capsys.readouterr()
    options = [*mini(max_steps=2), "--data.path", str(corpus), "--name", "next", "--queue"]
    assert main(["launch", "tiny_cpu", "--device", "cpu", *options]) == 0
    captured = capsys.readouterr()
    assert captured.out == "next\n"
    if "queued, it waits for real" not in captured.err:  # where there is a GPU, `real` has it
        assert os.path.exists("/proc/driver/nvidia/gpus"), captured.err  # noqa: PTH110
    run = open_run(tmp_path / "runs", "next")
    assert run.config()["run"]["queue"] is True
    stop(run)
    assert wait_for_end(run, 120).state == "stopped"

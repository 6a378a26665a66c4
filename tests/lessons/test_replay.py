"""Replays: what is compared and how closely, and runs that were resumed, shared out, or failed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lessons.conftest import STEPS, learner, small
from workbench.lessons import replaying
from workbench.lessons.evidence import RunEvidence, Work
from workbench.lessons.replaying import _compared, _groups, fingerprint, replayed
from workbench.lessons.workspace import Workspace
from workbench.training.replay import first_config

Copied = Callable[..., RunEvidence]


def _again(run: RunEvidence, **changes: Any) -> dict[str, Any]:
    """A replay's answer that agrees with the run, and what is otherwise in it."""
    return {"problem": None, "rows": [dict(row) for row in run.rows.rows]} | changes


def test_rounding_is_forgiven_and_more_is_not(trained: Workspace) -> None:
    run = Work(trained, "tiny").run("honest")
    assert run is not None
    rows, said = run.rows.rows, run.environment["precision"]
    tolerance = replaying._TOLERANCES[said]
    assert _compared(run.dir, rows, _again(run)) == replaying.Replayed("", STEPS)
    for name, factor, fits in (
        ("loss", 1 + 0.5 * tolerance, True),
        ("loss", 1 + 2 * tolerance, False),
        ("grad_norm", 1 + 5 * tolerance, True),
        ("grad_norm", 1 + 20 * tolerance, False),
        ("lr", 1 + 1e-5, False),
        ("tokens", 1.01, False),
        ("loss", math.nan, False),
    ):
        answer = _again(run)
        answer["rows"][9][name] *= factor
        why = _compared(run.dir, rows, answer).why
        assert bool(why) is not fits, (name, factor, why)
        if not fits:
            assert why.startswith("step 10 says ")


def test_on_another_machine_only_the_first_steps_are_compared(trained: Workspace) -> None:
    run = Work(trained, "tiny").run("honest")
    assert run is not None
    answer = _again(run, differences=["cpu: was A, is B"])
    answer["rows"][9]["loss"] *= 1.05  # rounding is amplified from step to step
    assert _compared(run.dir, run.rows.rows, answer) == replaying.Replayed("", 5)
    answer["rows"][2]["loss"] *= 1.05
    why = _compared(run.dir, run.rows.rows, answer).why
    assert why.endswith("; cpu: was A, is B, which may be why")


def test_a_replay_without_rows_or_answer_proves_nothing(trained: Workspace) -> None:
    run = Work(trained, "tiny").run("honest")
    assert run is not None
    assert "could be compared" in _compared(run.dir, run.rows.rows, _again(run, rows=[])).why
    lost = {"problem": replaying._NO_ANSWER, "detail": "killed", "rows": []}
    assert "without an answer (killed)" in _compared(run.dir, run.rows.rows, lost).why


def test_a_verdict_is_kept_by_content_and_a_lost_answer_is_not(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = copied("honest"), []

    def ask(runs: list[Any], least: int) -> list[dict[str, Any]]:
        asked.append([each.name for each in runs])
        return [_again(run)] if len(asked) > 1 else [{"problem": replaying._NO_ANSWER, "rows": []}]

    monkeypatch.setattr(replaying, "_ask", ask)
    cache, runs = tmp_path / "cache", {run.dir: run.rows.rows}
    assert replayed(runs, cache)[run.dir].why
    assert not replayed(runs, cache)[run.dir].why
    assert not replayed(runs, cache)[run.dir].why
    assert asked == [["honest"], ["honest"]], "the third time it is known"
    before = fingerprint(run.dir)
    with run.dir.metrics_path(1).open("ab") as file:
        file.write(b"\n")
    assert fingerprint(run.dir) != before


def test_runs_of_one_process_are_replayed_together(copied: Copied) -> None:
    one, two, three = copied("honest", "one"), copied("honest", "two"), copied("honest", "three")
    whole = json.loads(three.dir.config_path.read_text())
    whole["config"]["parallel"]["devices_per_node"] = 2
    three.dir.config_path.write_text(json.dumps(whole))
    names = [[run.name for run in group] for group in _groups([one.dir, three.dir, two.dir])]
    assert names == [["one", "two"], ["three"]]


def test_a_resumed_run_is_replayed_with_the_config_that_it_began_with(copied: Copied) -> None:
    run = copied("honest")
    assert first_config(run.dir) == (run.config, None)
    change = {"training.max_steps": [STEPS, 40], "training.lr_end": [0.0, 0.001]}
    now = run.meta["created"] + 1000
    with run.dir.events_path.open("a") as file:
        file.write(json.dumps({"t": now, "event": "config_changed", "changes": change}) + "\n")
        file.write(json.dumps({"t": now + 1, "event": "attempt", "attempt": 2}) + "\n")
    run.dir.attempt_dir(2).mkdir()
    run.dir.metrics_path(2).write_bytes(b'{"step":21,"t":1,"loss":4.0}\t00000000\n')
    tree, last = first_config(run.dir)
    assert (tree["training"]["max_steps"], tree["training"]["lr_end"], last) == (STEPS, 0.0, 20)


@pytest.mark.slow
def test_resumed_stopped_broken_and_shared_out_runs_are_verified_too(
    trained: Workspace, tmp_path: Path
) -> None:
    """One after the other would take a minute of starts: they train side by side."""
    learn = learner(tmp_path)
    text = {"data.path": str(trained.path / "text.txt")}
    learn.launch("long", "lesson", wait=False, **small(**text))
    several = {"parallel.devices_per_node": 2, "max_steps": 8}
    learn.launch("ddp", "lesson", wait=False, **small(**text, **several))
    broken = {
        "learning_rate": 10,
        "warmup_steps": 0,
        "max_gradient_norm": 0,
        "mixed_precision": "fp16",
    }
    learn.launch("nan", "lesson", wait=False, **small(**text, **broken))
    for name in ("long", "ddp", "nan"):
        learn.wait(name)
    learn.resume("long", max_steps=STEPS + 10)

    work = Work(learn.workspace, learn.lesson)
    resumed, ddp, nan = work.runs("long", "ddp", "nan")
    assert resumed.finished
    assert len(resumed.attempts) == 2
    assert resumed.config_changed
    assert resumed.verify(work) is None, "by the steps before it was changed"
    assert ddp.verify(work) is None
    assert nan.state == "failed"
    assert nan.verify(work, ending="failed", falls=False) is None
    outcome = nan.verify(work)
    assert outcome is not None
    assert "has not finished" in outcome.why

"""Checks: verdicts, how they look, what is written down, and what a cell can ask for besides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.lessons.conftest import STEPS, TINY, learner, small
from workbench.errors import ConfigError, RunError, UsageError
from workbench.lessons import receipts
from workbench.lessons.checking import check, checks_of, passed, run_check
from workbench.lessons.evidence import RunEvidence, Work
from workbench.lessons.evidence_compare import (
    differences,
    findings_of,
    single_changes,
    why_not_one_change,
)
from workbench.lessons.learn import Learn
from workbench.lessons.outcome import MIME, Outcome, fail, unattempted
from workbench.lessons.workspace import Workspace
from workbench.runs.status import Verdict

Copied = Callable[..., RunEvidence]


# ---------------------------------------------------------------------- verdicts


def test_an_outcome_has_three_forms_and_says_where_the_next_hint_is() -> None:
    outcome = fail("1 < 2", loss=1.5).of("a", title="Is it <b>?", hints=("x & y", "all"), shown=1)
    forms = outcome._repr_mimebundle_(include=None, exclude=None)
    assert forms["text/plain"].splitlines() == [
        "✗ Is it <b>?: not yet",
        "  1 < 2",
        "  hint 1: x & y",
        '  a hint: learn.hint("a")',
    ]
    assert "1 &lt; 2" in forms["text/html"]
    assert "Is it &lt;b&gt;?" in forms["text/html"]
    assert "<script" not in forms["text/html"]
    assert forms[MIME] == {
        "check": "a",
        "title": "Is it <b>?",
        "status": "fail",
        "why": "1 < 2",
        "hints": ["x & y"],
        "hints_left": 1,
        "evidence": {"loss": 1.5},
    }
    assert not isinstance(outcome, dict), "IPython would print it as a dictionary"
    assert "learn.hint" not in passed("it is").of("a", hints=("x",)).text()


def _module(**judges: Callable[..., Any]) -> ModuleType:
    """A module of checks made of functions of this file."""
    module = ModuleType("made")
    module.__file__ = __file__
    module.__dict__.update(judges)
    return module


def _judge(judge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, **given: Any) -> Outcome:
    """The verdict of one function, with its digest left aside: it has no file of its own."""
    monkeypatch.setattr("workbench.lessons.checking._shared_source", lambda *_: "")
    learn = learner(Path.cwd())
    return run_check(learn.workspace, learn.lesson, "q1", given, module=_module(j=judge))


def test_whatever_goes_wrong_in_a_check_is_a_verdict_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @check("q1")
    def breaks(work: Work) -> Outcome:
        raise ZeroDivisionError("by nothing")

    @check("q1")
    def forgets(work: Work) -> Any:
        return None

    @check("q1")
    def reads(work: Work, file: str = "a") -> Outcome:
        raise ConfigError("the file is wrong", where="a.yaml:3", fix="repair it")

    @check("q1")
    def misses(work: Work) -> Outcome:
        raise RunError("no run")

    found = _judge(breaks, monkeypatch)
    assert found.status == "error"
    assert "ZeroDivisionError: by nothing\nin test_checks.py:" in found.why
    assert "returned None" in _judge(forgets, monkeypatch).why
    assert _judge(reads, monkeypatch).status == "fail", "the learner's own file"
    assert "a.yaml:3" in _judge(reads, monkeypatch).why
    assert _judge(misses, monkeypatch).status == "error"
    unknown = _judge(reads, monkeypatch, fiel="b")
    assert (unknown.status, unknown.why) == ("error", "the check q1 takes no 'fiel': it takes file")


def test_a_quiz_knows_wrong_from_not_answered_and_the_ladder_of_hints_is_kept(
    tmp_path: Path,
) -> None:
    learn = learner(tmp_path)
    assert learn.check("q1", answer=None).status == "unattempted"
    assert learn.check("q1").status == "unattempted"
    assert learn.check("q1", answer="A").why == "not a: a loss of 0 is knowing everything"
    assert "is none of the answers: a, b, c" in learn.check("q1", answer="z").why
    assert learn.check("q1", answer=" b ").passed

    assert learn.hint("launched").text == "hint 1 of 2: run the cell above it"
    assert "hint 2 of 2" in learner(tmp_path).hint("launched").text, "remembered on disk"
    assert learn.hint("launched").text.endswith("these are all of them")
    assert "there are no hints" in learn.hint("q1").text
    shown = learn.check("launched").to_dict()
    assert (shown["status"], len(shown["hints"]), shown["hints_left"]) == ("unattempted", 2, 0)
    with pytest.raises(UsageError) as caught:
        learn.check("lunched")
    assert caught.value.fix == 'learn.check("launched")'


def test_a_verdict_is_written_down_with_all_it_rests_on(copied: Copied) -> None:
    evidence = copied("honest", to="first")
    learn = learner(evidence.dir.path.parents[1])
    (learn.workspace.path / ".ava").mkdir(exist_ok=True)
    _believe(learn, "first")
    assert learn.check("launched", run="first").passed
    assert learn.check("q1").status == "unattempted"
    (row,) = receipts.read(learn.workspace)
    known = checks_of("tiny", _checks_of_tiny())["launched"]
    assert (row.check, row.status, row.check_digest) == ("launched", "pass", known.digest)
    assert row.digest == learn.lesson.digest_of("launched")
    assert row.given == {"run": "first"}
    assert row.evidence["runs"]["first"]["steps"] == STEPS
    assert len(row.evidence["runs"]["first"]["content"]) == 32
    assert row.versions["torch"].startswith("2.")


def _checks_of_tiny() -> ModuleType:
    from workbench.lessons.checking import module_of
    from workbench.lessons.reading import read_lesson

    module = module_of(read_lesson(TINY))
    assert module is not None
    return module


def _believe(learn: Learn, name: str) -> None:
    """File the verdict that test_forgery earns by a replay, so that none is needed here."""
    from workbench.lessons.replaying import fingerprint

    run = Work(learn.workspace, learn.lesson).run(name)
    assert run is not None
    verdict = {fingerprint(run.dir): {"why": "", "steps": STEPS}}
    (learn.workspace.path / ".ava" / "replays.json").write_text(json.dumps(verdict))


def test_another_check_or_another_helper_is_another_digest_and_another_check_is_not(
    tmp_path: Path,
) -> None:
    def digests(text: str) -> dict[str, str]:
        (tmp_path / "own.md").write_text(TINY.read_text())
        (tmp_path / "own.py").write_text(text)
        import linecache

        from workbench.lessons.checking import module_of
        from workbench.lessons.reading import read_lesson

        linecache.clearcache()
        module = module_of(read_lesson(tmp_path / "own.md"))
        return {name: each.digest for name, each in checks_of("own", module).items()}

    text = TINY.with_suffix(".py").read_text()
    before = digests(text)
    assert digests(text + "\n# a remark\n") == before
    other = digests(text.replace("only the batch", "the batch only"))
    assert [name for name in before if before[name] != other[name]] == ["doubled"]
    helper = digests(text + "\nLIMIT = 3\n")
    assert [name for name in before if before[name] != helper[name]] == list(before)


# ---------------------------------------------------------------------- evidence


def test_evidence_is_what_lies_in_the_directory(trained: Workspace) -> None:
    work = Work(trained, "tiny")
    run = work.run("honest")
    assert run is not None
    assert run.finished
    assert run.steps == list(range(1, STEPS + 1))
    assert run.first_loss == run.losses[0]
    assert run.value("training.batch_size") == 2
    assert run.value("training.no.such") is None
    assert run.values["training.max_steps"] == STEPS
    assert len(run.series("val_loss")) == 2
    assert run.val_loss == run.series("val_loss").values[-1]
    assert run.prediction["batch"].startswith("2 sequences")
    assert run.measured["host"] > 1e8
    assert [each.step for each in run.checkpoints()] == [20, 10]
    assert not any(each.problem for each in run.checkpoints())
    assert work.run("nobody") is None
    assert work.run("../honest") is None
    assert work.run(None) is None
    assert [each.name for each in work.runs()] == ["honest", "other-seed", "other-rate"]
    assert json.dumps(run.proof())


def test_one_thing_was_changed_or_it_is_said_what_else(trained: Workspace) -> None:
    work = Work(trained, "tiny")
    first, seed, rate = work.runs("honest", "other-seed", "other-rate")
    assert differences(first, rate) == {"training.learning_rate": (0.004, 0.01)}
    assert why_not_one_change(first, rate) == ""
    assert why_not_one_change(first, rate, "training.learning_rate") == ""
    assert "nothing was changed" in why_not_one_change(first, first)
    assert "2 keys differ" in why_not_one_change(seed, rate)
    assert "run.seed is the same in both" in why_not_one_change(first, rate, "run.seed")
    (change,) = single_changes([first, rate], "loss")
    assert change.key == "training.learning_rate"


def test_a_config_of_the_lesson_is_a_plan_with_its_findings(tmp_path: Path) -> None:
    learn = learner(tmp_path)
    work = Work(learn.workspace, learn.lesson)
    assert work.untouched("own.yaml")
    assert work.config("own.yaml") is None
    given = learn.lesson.cell("own-config")
    assert given is not None
    assert "it loads: 8 sequences" in learn.config("own.yaml lesson", given.config_text).text
    assert work.untouched("own.yaml"), "as the lesson has it"
    learn.config("own.yaml lesson --hardware h100_80gb", "training:\n  batch_size: 16\n")
    assert not work.untouched("own.yaml")
    plan = work.config("own.yaml")
    assert plan is not None
    assert plan.config.training.batch_size == 16
    assert plan.config.run.hardware == "h100_80gb", "options stand behind the name"
    assert plan.recipe is not None
    assert findings_of(plan, rule="no-such-rule") == []
    shown = learn.config("own.yaml lesson", "training:\n  batch_sise: 16\n").text
    assert "unknown key 'training.batch_sise'" in shown
    assert "own.yaml:2" in shown
    with pytest.raises(UsageError, match="cannot write"):
        learn.config("../own.yaml", "a: 1")
    with pytest.raises(UsageError, match="needs the name of a file"):
        learn.config("", "a: 1")


# ---------------------------------------------------------------------- what a cell can do


def test_a_run_is_trained_once_and_kept_when_its_config_changes(copied: Copied) -> None:
    evidence = copied("honest", to="mine")
    learn = learner(evidence.dir.path.parents[1])
    keys = small(**{"data.path": evidence.value("data.path")})
    same = learn.launch("mine", "lesson", **keys)
    assert "nothing was trained again" in same.note
    assert same.finished
    assert "✓ mine finished: 20 steps" in repr(same)
    with pytest.raises(ConfigError):
        learn.launch("mine", "lesson", **keys | {"batch_size": -1})
    assert learn.run("mine").finished, "a plan with errors replaces nothing"

    from workbench.lessons.learn_launch import changed

    plan = learn.plan("lesson", **keys | {"learning_rate": 0.02})
    assert changed(evidence.dir, plan) == {"training.learning_rate": (0.004, 0.02)}


def test_what_a_run_and_a_comparison_look_like(trained: Workspace) -> None:
    learn = learner(trained.path)
    run = learn.run("honest")
    assert "knowing nothing is ln(256) = 5.545" in repr(run)
    html = run.html()
    assert html.count("<svg") == 1
    assert 'role="img" aria-label="loss of honest: loss from ' in html
    assert "http" not in html
    both = learn.runs("honest", "other-rate", "gone")
    assert both.table.headings[-1] == "learning_rate"
    assert "there is no run gone yet" in repr(both)
    assert [row[0] for row in both.table.rows] == ["honest", "other-rate"]
    assert both.html().count("stroke-dasharray") >= 1, "told apart without colour"
    estimate = learn.estimate("lesson", hardware="h100_80gb")
    assert "fits" in repr(estimate)
    assert estimate.categories["weights"] > 0
    assert "formula" in repr(estimate.lines)


def test_a_command_runs_in_the_workspace_and_needs_no_shell(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    learn = learner(trained.path)
    ran = learn.shell("ls runs")
    assert (ran.code, ran.output) == (0, "honest\nother-rate\nother-seed\n")
    assert capsys.readouterr().out == ran.output
    assert learn.shell("ava runs show nobody").code == 1
    assert "exit code 1" in capsys.readouterr().out
    with pytest.raises(UsageError, match="needs a shell"):
        learn.shell("ls | wc")
    with pytest.raises(UsageError, match="cannot be run"):
        learn.shell("no-such-program")


def test_a_plain_script_works_without_ipython_and_without_torch(
    trained: Workspace, tmp_path: Path
) -> None:
    script = f"""
import sys
from workbench.lessons import lesson
learn = lesson({str(TINY)!r}, {str(trained.path)!r})
print(learn.run("honest"))
print(learn.check("q1", answer="b"))
for name in ("torch", "IPython", "textual", "pandas"):
    assert name not in sys.modules, name
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "✓ honest finished" in done.stdout
    assert "✓ The first loss: passed" in done.stdout


def test_a_running_run_is_no_evidence_yet(copied: Copied) -> None:
    evidence = copied("honest")
    evidence.__dict__["verdict"] = Verdict("running", "", True, None, 1, 3, 20)
    assert evidence.verify() == unattempted(
        "honest is running: step 3 of 20; wait for its end and check again"
    )

"""Every fault is really produced, seen, repaired and proved, and leaves nothing alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workbench.lessons import faults
from workbench.lessons.faults.commands import STATE, living
from workbench.lessons.faults.report import Report
from workbench.lessons.faults.stage import Stage
from workbench.runs import process
from workbench.runs.directory import list_runs
from workbench.runs.files import read_json

QUICK = ("silent-typo", "wrong-batch-equation", "vocabulary-too-small")
IDS = [fault.id for fault in faults.all()]


def produced(id: str, folder: Path, healthy: Path | None = None) -> Report:  # noqa: A002
    before = dict(os.environ)
    report = faults.produce(id, folder, healthy=healthy)
    failed = [f"{step.text} ({step.found})" for step in report.claims if not step.holds]
    assert not failed, f"{failed}\n\n{report}"
    assert report.verified
    assert not living(folder.resolve())
    assert dict(os.environ) == before
    return report


def starts(folder: Path) -> int:
    """Processes that have imported torch for the runs of a folder, their launchers included."""
    count = 0
    for run in list_runs(folder / "runs"):
        for attempt in run.attempts():
            ranks = read_json(run.attempt_dir(attempt) / "cmd.json")["processes"]
            count += ranks + 1 if ranks > 1 else 1
    return count


@pytest.mark.parametrize("id", QUICK)
def test_quick_ones(id: str, tmp_path: Path) -> None:  # noqa: A002
    produced(id, tmp_path / "scratch")


@pytest.mark.slow
@pytest.mark.parametrize("id", [name for name in IDS if name not in QUICK])
def test_every_fault(id: str, tmp_path: Path, healthy: Path) -> None:  # noqa: A002
    folder = tmp_path / "scratch"
    report = produced(id, folder, healthy)
    phases = list(dict.fromkeys(step.phase for step in report.steps))
    assert phases == ["break", "see", "why", "repair", "proof"]
    assert any(step.phase == "see" and step.kind == "claim" for step in report.steps)
    assert not os.path.ismount(folder / "runs"), "the small disk is gone"
    plain_torchrun = id == "port-taken"
    assert starts(folder) + plain_torchrun == report.fault.starts, (
        "the minutes in the list are true"
    )


@pytest.mark.slow
def test_a_full_disk_without_rights(
    tmp_path: Path, healthy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not mount a small disk gets a limit on the size of files."""
    from workbench.lessons.faults import disk

    monkeypatch.setattr(disk, "_mounted", lambda *_: False)
    report = produced("full-disk", tmp_path / "scratch", healthy)
    assert "ulimit -f" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """Neither a process nor the scratch folder."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "workbench.cli", "break", "vanished-supervisor"]
    environment = os.environ | {
        "TMPDIR": str(temporary),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as lab:
        try:
            runs: list[Path] = []
            while not runs and lab.poll() is None:
                runs = list(temporary.glob("ava-break-*/runs/victim/metrics/0001.jsonl"))
            scratch = runs[0].parents[3]
            assert living(scratch), "its trainer is at work"
            lab.send_signal(number)
            assert lab.wait(120) == 130
        finally:
            lab.kill()
    assert not living(scratch)
    assert not process.carrying(STATE, str(scratch / ".state"))
    assert not list(temporary.iterdir())


def test_what_goes_wrong_in_the_lab_is_said(tmp_path: Path) -> None:
    """A promise that is not kept is a claim that does not hold, and no proof."""
    from workbench.lessons.faults.producing import produce
    from workbench.lessons.faults.registry import Fault

    def act(stage: Stage) -> None:
        stage.breaks("Nothing.")
        stage.ava("config keys nothing_is_called_this --json", code=7)
        raise AssertionError("the story ends before")

    fault = Fault("x", "x", "x", "x", "x", 0, 0, act)
    report = produce(fault, tmp_path / "scratch", tell=None, begins=None, healthy=None)
    assert not report.verified
    assert [step.holds for step in report.claims] == [False]
    assert "exit code 7" in report.claims[0].text
    assert tempfile.gettempdir() not in report.claims[0].text

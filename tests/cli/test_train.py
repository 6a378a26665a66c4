"""`ava train` as a person uses it: to the end, interrupted, resumed, looked at."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ava, mini


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Poll until the condition holds; the deadline is a safety net, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def losses(run: Path) -> dict[int, float]:
    """The loss of each step, the newest attempt winning."""
    found: dict[int, float] = {}
    for path in sorted((run / "metrics").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line.partition("\t")[0])
            if "loss" in row:
                found[row["step"]] = row["loss"]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One mini run to the end, for all who only look at it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "text.txt").write_text("".join(f"x{n} = {n} * {n}\n" for n in range(2000)))
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "train", "tiny_cpu", "--name", "mini",
         "--data.path", "text.txt", "--hidden_size", "32", "--num_layers", "1", "--max_steps", "12",
         "--num_attention_heads", "2", "--max_length", "32", "--batch_size", "4",
         "--eval_steps", "6",
         "--save_steps", "6", "--max_eval_examples", "4", "--max_new_tokens", "20"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_output_tells_the_story(finished: tuple[Path, str]) -> None:
    _, text = finished
    assert "4 sequences × 1 accumulation × 1 device" in text
    assert "step 12/12" in text
    assert "finished at step 12" in text
    assert "untrained: 5.545" in text
    assert "validation" in text
    assert "ava runs show mini" in text
    assert "\x1b" not in text, "no escape codes where stdout is no terminal"


def test_the_run_directory_is_complete(finished: tuple[Path, str]) -> None:
    run = finished[0] / "runs" / "mini"
    for name in (
        "run.json",
        "config.yaml",
        "config.resolved.json",
        "environment.json",
        "training.log",
        "validation.txt",
        "training_curves.png",
        "summary.json",
    ):
        assert (run / name).stat().st_size > 0, name
    assert (run / "checkpoints" / "step-00000012" / "MANIFEST.json").exists()
    assert sorted(losses(run)) == list(range(1, 13))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["untrained_loss"] == pytest.approx(math.log(256))
    assert run.stat().st_mode & 0o077 == 0, "a run is private to its user"


def test_show_and_list(finished: tuple[Path, str], ava: Ava) -> None:
    folder = finished[0]
    rows = json.loads(ava("runs", "--json", cwd=folder).stdout)
    assert [(row["name"], row["state"], row["step"]) for row in rows] == [("mini", "finished", 12)]
    assert "mini" in ava("runs", cwd=folder).stdout
    shown = ava("runs", "show", "mini", cwd=folder).stdout
    assert "finished" in shown
    assert "training_curves.png" in shown
    data = json.loads(ava("runs", "show", "mini", "--json", cwd=folder).stdout)
    assert data["summary"]["step"] == 12
    assert ava("config", "diff", "tiny_cpu", "mini", cwd=folder).stdout.count("max_steps") == 1


def test_resuming_a_finished_run_does_nothing(finished: tuple[Path, str], ava: Ava) -> None:
    done = ava("train", "--resume", "mini", cwd=finished[0])
    assert done.returncode == 0
    assert "nothing is left to do" in done.stderr
    done = ava("launch", "--resume", "mini", cwd=finished[0])
    assert (done.returncode, done.stdout) == (0, "")
    assert "running" not in done.stderr


def test_an_existing_name_is_refused(finished: tuple[Path, str], ava: Ava) -> None:
    before = (finished[0] / "runs/mini/run.json").read_bytes()
    done = ava("train", "tiny_cpu", "--name", "mini", cwd=finished[0])
    assert done.returncode in (1, 2)
    assert "mini" in done.stderr
    assert "--resume" in done.stderr
    assert (finished[0] / "runs/mini/run.json").read_bytes() == before


def test_json_puts_data_on_stdout_and_words_on_stderr(ava: Ava, corpus: Path) -> None:
    done = ava("train", "tiny_cpu", "--json", "--data.path", str(corpus), *mini(max_steps=3))
    assert json.loads(done.stdout)["state"] == "finished"
    assert "batch" in done.stderr


def start(tmp_path: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "train", "tiny_cpu", "--name", "mini", *args],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_ctrl_c_saves_and_resume_is_bitwise(tmp_path: Path, ava: Ava, corpus: Path) -> None:
    common = [*mini(max_steps=400, save_steps=50), "--data.path", str(corpus)]
    process = start(tmp_path, *common)
    run = tmp_path / "runs" / "mini"
    wait_for(lambda: len(losses(run)) > 20)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "ava train --resume mini" in output
    assert "stopped at step" in output
    stopped = max(losses(run))
    assert stopped < 400

    done = ava("train", "--resume", "mini")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resumed from step {stopped}" in done.stdout
    whole = ava("train", "tiny_cpu", "--name", "whole", *common)
    assert whole.returncode == 0
    assert losses(run) == losses(tmp_path / "runs" / "whole")


def test_kill_9_of_the_face_leaves_the_run_and_resume_attaches(
    tmp_path: Path, ava: Ava, corpus: Path
) -> None:
    process = start(tmp_path, *mini(max_steps=300), "--data.path", str(corpus))
    run = tmp_path / "runs" / "mini"
    wait_for(lambda: len(losses(run)) > 5)
    process.kill()
    process.communicate()
    done = ava("train", "--resume", "mini")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(losses(run)) == list(range(1, 301))
    assert len(list((run / "attempts").iterdir())) == 1


def test_launch_watch_stop_rm(tmp_path: Path, ava: Ava, corpus: Path) -> None:
    launched = ava("launch", "tiny_cpu", "--data.path", str(corpus), *mini(max_steps=100_000))
    name = launched.stdout.strip()
    assert launched.returncode == 0
    assert name.startswith("tiny_cpu-")
    run = tmp_path / "runs" / name
    wait_for(lambda: len(losses(run)) > 3)
    refused = ava("runs", "rm", name, "--yes")
    assert refused.returncode == 1
    assert run.exists()
    stopped = ava("runs", "stop", name)
    assert f"{name} stopped at step" in stopped.stdout
    again = json.loads(ava("runs", "stop", name, "--json").stdout)
    assert (again["name"], again["state"]) == (name, "stopped")
    assert ava("runs", "rm", name, "--json").returncode == 2
    removed = ava("runs", "rm", name, "--yes", "--json")
    assert json.loads(removed.stdout) == {"name": name, "deleted": True}
    assert not run.exists()

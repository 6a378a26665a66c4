"""The words of the command line: help, options, suggestions, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ava
from workbench.cli import COMMANDS, main
from workbench.cli.options import parse
from workbench.cli.train import _remarks
from workbench.errors import UsageError
from workbench.plan import plan_from


def test_help_starts_a_newcomer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "ava train tiny_cpu" in text
    assert all(name in text for name in COMMANDS)
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("command", [*COMMANDS, "version"])
def test_every_command_explains_itself(command: str, ava: Ava) -> None:
    done = ava(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(("usage:", "ava-workbench"))
    assert not done.stderr
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_options_take_every_form() -> None:
    options = parse(
        ["tiny_cpu", "--config", "gpu/tiny", "--batch-size=4", "--training.max_steps", "50",
         "--distributed_config", "d.yaml", "--hardware-config=h.yaml", "--gradient_checkpointing",
         "--lr_end", "-1"]
    )  # fmt: skip
    assert options.recipe == "tiny_cpu"
    assert options.layers == ["gpu/tiny", "h.yaml", "d.yaml"]
    assert options.overrides == {
        "batch_size": "4",
        "training.max_steps": "50",
        "gradient_checkpointing": "true",
        "lr_end": "-1",
    }


@pytest.mark.parametrize(
    "args",
    [
        ["a", "b"],
        ["--batch_size"],
        ["--batch_size", "1", "--batch_size", "2"],
        ["-x"],
        ["--resume"],
    ],
)
def test_wrong_options_are_usage_errors(args: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(args)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["trian"], "ava train"),
        (["tiny_cpu"], "ava train tiny_cpu"),
        (["train"], "name a recipe or a config"),
        (["train", "tiny_cup"], "tiny_cpu"),
        (["train", "my.yaml"], "my.yaml"),
        (["train", "--config", "gpu/tyni"], "gpu/tiny"),
        (["train", "tiny_cpu", "--batch_sise", "4"], "--training.batch_size"),
        (
            ["train", "tiny_cpu", "--batch_size", "four"],
            "training.batch_size must be a whole number",
        ),
        (["train", "tiny_cpu", "--resume", "x"], "keeps the config"),
        (["runs", "shwo"], "ava runs --help"),
        (["config", "chek"], "ava config check"),
        (["config", "explain", "lerning_rate"], "training.learning_rate"),
    ],
)
def test_mistakes_end_in_one_message_and_exit_2(ava: Ava, args: list[str], words: str) -> None:
    done = ava(*args)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert not done.stdout


def test_json_is_json(ava: Ava) -> None:
    shown = json.loads(ava("config", "show", "tiny_cpu", "--json").stdout)
    assert shown["origins"]["training.batch_size"]["layer"] == "gpu/nano"
    assert json.loads(ava("runs", "--json").stdout) == []
    assert json.loads(ava("config", "check", "tiny_cpu", "--json").stdout) == []
    assert json.loads(ava("config", "presets", "--json").stdout)["recipes"]
    assert json.loads(ava("config", "keys", "batch", "--json").stdout)


def test_a_closed_pipe_is_no_error(ava: Ava) -> None:
    import subprocess
    import sys

    pipe = f"{sys.executable} -m workbench.cli config keys | head -1"
    done = subprocess.run(
        ["sh", "-c", pipe],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr


def test_set_and_unset_change_only_their_lines(tmp_path: Path, ava: Ava) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("# mine\ntraining:\n  batch_size: 4   # small\n")
    assert (
        ava("config", "set", "my.yaml", "batch_size", "8", "learning_rate", "3e-4").returncode == 0
    )
    assert path.read_text() == (
        "# mine\ntraining:\n  batch_size: 8   # small\n  learning_rate: 0.0003\n"
    )
    assert ava("config", "unset", "my.yaml", "learning_rate").returncode == 0
    assert path.read_text() == "# mine\ntraining:\n  batch_size: 8   # small\n"
    done = ava("config", "set", "my.yaml", "batch_size", "zero")
    assert done.returncode == 2
    assert "must be a whole number" in done.stderr
    assert "zero" not in path.read_text()


def test_set_and_unset_know_the_spellings_of_the_file(tmp_path: Path, ava: Ava) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("training:\n  lr: 0.001   # mine\n  bf16: true\n  batch_size: 4\n")
    assert ava("config", "set", "my.yaml", "learning_rate", "3e-4").returncode == 0
    assert ava("config", "set", "my.yaml", "fp16", "true").returncode == 0
    assert path.read_text() == (
        "training:\n  lr: 0.0003   # mine\n  batch_size: 4\n  mixed_precision: fp16\n"
    )
    assert ava("config", "unset", "my.yaml", "learning_rate", "fp16").returncode == 0
    assert path.read_text() == "training:\n  batch_size: 4\n"
    assert "has no line for" in ava("config", "unset", "my.yaml", "max_steps").stderr


def test_repair_shows_first_and_keeps_the_old_file(tmp_path: Path, ava: Ava) -> None:
    path = tmp_path / "glued.yaml"
    path.write_text("training:\n  gradient_checkpointing: falsemodel:\n  hidden_size: 64\n")
    shown = ava("config", "repair", "glued.yaml")
    assert shown.returncode == 0
    assert "checkpointing: false\nmodel:\n" in shown.stdout
    assert "falsemodel" in path.read_text()
    assert ava("config", "repair", "glued.yaml", "--write").returncode == 0
    assert path.read_text() == shown.stdout
    assert "falsemodel" in (tmp_path / "glued.yaml.bak").read_text()
    assert ava("config", "check", "glued.yaml").returncode == 0


def test_an_ascii_locale_gets_question_marks_and_whole_data(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
        "PYTHONIOENCODING": "ascii:strict",
    }
    for args in (["--help"], ["config", "show", "tiny_cpu"], ["config", "show", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "workbench.cli", *args],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()
        if "--json" in args:
            assert json.loads(done.stdout)
        else:
            assert "?" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
@pytest.mark.parametrize("args", ["--help", "runs", "config show tiny_cpu --json"])
def test_a_closed_stream_is_no_error(tmp_path: Path, closed: str, args: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m workbench.cli {args} {closed}', sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_typed_key_without_effect_is_never_silent() -> None:
    plan = plan_from("tiny_cpu", overrides={"rlhf.ppo.max_grad_norm": "0.5"})
    assert any("no effect" in line for line in _remarks(plan.findings))


def test_an_unknown_action_of_runs(ava: Ava) -> None:
    done = ava("runs", "bogus")
    assert done.returncode == 2
    assert "argument ACTION: invalid choice: 'bogus'" in done.stderr

"""`ava fit` as a person types it: the table, the diff, the command line, the file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.cli.fit import run
from workbench.cli.options import parse
from workbench.errors import ConfigError, UsageError
from workbench.plan import plan_from

LARGE = [
    "--hidden_size=2048", "--num_layers=16", "--num_attention_heads=16",
    "--intermediate_size=5632", "--vocab_size=32000", "--max_position_embeddings=4096",
    "--max_length=2048", "--batch_size=32", "--mixed_precision=bf16", "--hardware=a100_40gb",
]  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run("fit", [*LARGE, *args]) == 0
    return capsys.readouterr().out


def data(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    return json.loads(shown(capsys, *args, "--json"))


def test_the_table_the_difference_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert "NVIDIA A100" in text
    assert "too much" in text
    assert "training.batch_size" in text
    assert "→" in text
    command = next(line.strip() for line in text.splitlines() if line.strip().startswith("ava "))
    words = shlex.split(command)[2:]
    options = parse(words)
    trained = plan_from(options.recipe, layers=options.layers, overrides=options.overrides)
    best = data(capsys)["proposals"][0]
    assert trained.config.training.batch_size == best["batch_size"]
    steps = trained.config.training.gradient_accumulation_steps
    assert steps * best["batch_size"] == 32
    assert trained.equation.startswith(f"{best['batch_size']} sequences × {steps}")


def test_it_is_readable_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys)
    table = text[text.index("#  batch") : text.index("plan ", text.index("#  batch"))]
    assert all(len(line.rstrip()) <= 80 for line in table.splitlines())
    assert "…" not in table


def test_a_chosen_plan_becomes_a_layer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "fits.yaml"
    text = shown(capsys, "--apply", str(target), "--choose", "2")
    assert str(target) in text
    second = data(capsys)["proposals"][1]
    plan = plan_from(layers=[str(target)])
    for path, value in second["edits"].items():
        section, name = path.split(".")
        assert getattr(getattr(plan.config, section), name) == value
    assert plan.config.model.hidden_size == 2048
    before = target.read_text()
    with pytest.raises(ConfigError, match="already"):
        run("fit", [*LARGE, "--apply", str(target)])
    assert target.read_text() == before


def test_what_is_kept_stays(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "--keep", "recompute,sharding,offload,precision")
    for each in found["proposals"]:
        assert set(each["edits"]) <= {
            "training.batch_size",
            "training.gradient_accumulation_steps",
        }


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("--largest-micro-batch", "largest micro-batch"),
        ("--longest-sequence", "longest sequence"),
        ("--smallest-card", "smallest"),
        ("--what-if", "recompute"),
    ],
)
def test_the_other_questions(question: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in shown(capsys, question)
    assert json.loads(shown(capsys, question, "--json"))


def test_where_nothing_fits_it_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", [*LARGE, "--margin", "97"]) == 1
    text = capsys.readouterr().out
    assert "nothing fits; what lacks least:" in text
    huge = [*LARGE[2:], "--hidden_size=8192", "--num_layers=80", "--keep=offload"]
    assert run("fit", huge) == 1
    text = capsys.readouterr().out
    assert "it would fit on" in text
    assert "the first of them with" in text


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["tiny_cpu", "--keep", "everything"],
        ["tiny_cpu", "--try-optimizers", "adamx"],
        ["tiny_cpu", "--margin", "100"],
        ["tiny_cpu", "--margin", "much"],
        ["tiny_cpu", "--apply"],
        ["tiny_cpu", "--choose", "2"],
        ["tiny_cpu", "--apply", "x.yaml", "--choose", "two"],
        ["tiny_cpu", "--longest-sequence", "--smallest-card"],
        ["tiny_cpu", "--longest-sequence", "--apply", "x.yaml"],
        ["--resume", "x"],
        ["tiny_cpu", "--hardware", "h1000"],
    ],
)
def test_wrong_usage_is_one_message(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *args]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.err
    assert not told.out


def test_a_plan_of_the_table_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no plan 99"):
        run("fit", [*LARGE, "--apply", "x.yaml", "--choose", "99"])


def test_without_hardware_it_is_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", ["tiny_cpu"]) == 0
    text = capsys.readouterr().out
    assert "(this machine)" in text
    assert "it fits as it is" in text

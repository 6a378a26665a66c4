"""All problems at once, each with its place and its repair."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config.findings import FindingsError
from workbench.plan import Plan, plan_from


def plan_of(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return plan_from(layers=[str(path)])


def test_every_problem_is_reported_with_file_and_line(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        "training:\n  learning_rat: 1.0e-3\n  batch_size: many\n  max_steps: 0\n"
        "modell:\n  hidden_size: 32\ndata: 5\n",
    )
    origins = [(f, f.origin) for f in plan.findings if f.origin]
    found = {(f.rule, f.path, origin.place().rpartition(":")[2]) for f, origin in origins}
    assert found == {
        ("unknown-key", "training.learning_rat", "2"),
        ("invalid-value", "training.batch_size", "3"),
        ("invalid-value", "training.max_steps", "4"),
        ("unknown-key", "modell", "5"),
        ("not-a-section", "data", "7"),
    }
    with pytest.raises(FindingsError) as caught:
        _ = plan.config
    message = caught.value.render()
    assert "did you mean training.learning_rate?" in message
    assert "did you mean model?" in message
    assert message.count("error:") == 5


def test_a_key_in_the_wrong_section_is_sent_home(tmp_path: Path) -> None:
    (finding,) = plan_of(tmp_path, "model:\n  learning_rate: 1.0e-3\n").findings
    assert finding.fixes[0].title == "did you mean training.learning_rate?"


def test_yaml_1_2_numbers(tmp_path: Path) -> None:
    config = plan_of(tmp_path, "training: {learning_rate: 3e-5, max_steps: 1e3}\n").config
    assert (config.training.learning_rate, config.training.max_steps) == (3e-5, 1000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training: {learning_rate: true}", "must be a number"),
        ("training: {learning_rate: .nan}", "must be a number"),
        ("training: {batch_size: 2.5}", "must be a whole number"),
        ("training: {batch_size: '8'}", "must be a whole number ≥ 1, not the text '8'"),
        ("training: {batch_size: null}", "not null"),
        ("training: {mixed_precision: bf-16}", "must be auto, no"),
        ("training: {gradient_checkpointing: yes}", "must be true or false"),
        ("model: {head_dim: [1, 2]}", "not a list of 2"),
    ],
)
def test_wrong_values_are_said_in_words(tmp_path: Path, text: str, words: str) -> None:
    (finding,) = [f for f in plan_of(tmp_path, text + "\n").findings if f.severity == "error"]
    assert words in finding.message


def test_the_defaults_have_nothing_to_complain_about() -> None:
    assert plan_from().findings == []
    assert plan_from("tiny_cpu").findings == []

"""Layers merge as the guides say, and every value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config.layers import Layer, compose, load, shipped
from workbench.errors import ConfigError
from workbench.plan import plan_from


def test_the_precedence_example_of_the_guide() -> None:
    base = Layer("base", {"training": {"batch_size": 8, "learning_rate": 0.001}})
    hardware = Layer("h100_80gb", {"training": {"batch_size": 16}})
    typed = Layer("command line", {"training": {"batch_size": 32}})
    composed = compose([base, hardware, typed])
    assert composed.tree == {"training": {"batch_size": 32, "learning_rate": 0.001}}
    origin = composed.origins["training.batch_size"]
    assert origin.layer == "command line"
    assert [(old.layer, old.value) for old in origin.shadowed] == [("h100_80gb", 16), ("base", 8)]
    assert composed.origins["training.learning_rate"].layer == "base"


def test_command_line_beats_distributed_beats_hardware_beats_base(tmp_path: Path) -> None:
    files = {
        "base": "training: {batch_size: 1, max_steps: 1, warmup_steps: 0, learning_rate: 1.0e-3}\n",
        "hardware": "training: {batch_size: 2, max_steps: 2, warmup_steps: 1}\n",
        "distributed": "training: {batch_size: 3, max_steps: 3}\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    plan = plan_from(
        layers=[str(tmp_path / f"{name}.yaml") for name in files], overrides={"batch_size": "4"}
    )
    training = plan.config.training
    assert (training.batch_size, training.max_steps) == (4, 3)
    assert (training.warmup_steps, training.learning_rate) == (1, 0.001)


def test_lists_and_single_values_replace() -> None:
    composed = compose([Layer("a", {"x": {"y": [1, 2]}}), Layer("b", {"x": {"y": [3]}})])
    assert composed.tree == {"x": {"y": [3]}}


def test_a_section_can_become_a_value_and_a_value_a_section() -> None:
    composed = compose([Layer("a", {"x": {"y": 1}}), Layer("b", {"x": 2})])
    assert composed.tree == {"x": 2}
    assert set(composed.origins) == {"x"}
    composed = compose([Layer("a", {"x": 2}), Layer("b", {"x": {"y": 1}})])
    assert composed.tree == {"x": {"y": 1}}
    assert set(composed.origins) == {"x.y"}


def test_origins_name_file_and_line(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("# my experiment\ntraining:\n  # twice the usual\n  batch_size: 32\n")
    plan = plan_from(layers=["gpu/tiny", str(mine)])
    origin = plan.composed.origins["training.batch_size"]
    assert origin.place() == f"{mine}:4"
    assert origin.shadowed[0].layer == "gpu/tiny"


def test_extends_puts_the_parents_below(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: [gpu/tiny, ./more.yaml]\ntraining:\n  max_steps: 7\n")
    (tmp_path / "more.yaml").write_text("training: {max_steps: 5, batch_size: 3}\n")
    config = plan_from(layers=[str(mine)]).config
    assert (config.training.max_steps, config.training.batch_size) == (7, 3)
    assert config.model.hidden_size == 256


def test_a_circle_of_extends_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match=r"a\.yaml → b\.yaml → a\.yaml"):
        load(str(tmp_path / "a.yaml"))


def test_a_misspelt_layer_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        load("gpu/tinny")
    assert "gpu/tiny" in str(caught.value.fix)


@pytest.mark.parametrize("form", ["gpu/tiny", "gpu/tiny.yaml", "configs/gpu/tiny.yaml"])
def test_shipped_layers_answer_to_the_usual_spellings(form: str) -> None:
    assert load(form)[-1].tree["model"]["hidden_size"] == 256


def test_everything_shipped_can_be_read() -> None:
    for name in shipped():
        assert load(name)[-1].tree


def test_an_empty_section_says_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("training:\n  # batch_size: 32\nmodel:\n")
    plan = plan_from(layers=["gpu/tiny", str(mine)])
    assert plan.findings == []
    assert plan.config.training.batch_size == 16


def test_notes_on_the_text_are_findings(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("# caf\u00c3\u00a9\ntraining:\n  max_steps: 5\n", encoding="utf-8")
    assert [finding.rule for finding in plan_from(layers=[str(mine)]).findings] == ["mojibake"]

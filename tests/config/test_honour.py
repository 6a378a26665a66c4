"""What a plan says and today's trainer would not do is said before the launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.config.checking import validate
from workbench.config.findings import Finding, FindingsError
from workbench.config.keys import keys
from workbench.config.layers import Layer, compose
from workbench.config.rules import Subject, check
from workbench.config.rules.honour import CHANGES_THE_TASK
from workbench.plan import plan_from


def findings(tree: dict[str, Any], *rules: str) -> list[Finding]:
    composed = compose([Layer("my.yaml", tree, "my.yaml")])
    config, found = validate(composed)
    assert config is not None, found
    found = check(Subject(config, composed.origins))
    return [finding for finding in found if not rules or finding.rule in rules]


def nest(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def test_what_the_trainer_honours_is_no_finding() -> None:
    tree = {
        "model": {"hidden_size": 128, "num_experts": 4, "num_experts_per_token": 2},
        "training": {"batch_size": 4, "mixed_precision": "bf16", "lr_scheduler_type": "linear"},
        "data": {"max_length": 128},
        "run": {"seed": 7, "hardware": "h100_80gb", "objective": "test", "tags": ["a"]},
    }
    assert findings(tree, "not-honoured", "without-effect", "retired-key") == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("training.mixed_precision", "fp8", "8-bit"),
        ("checkpointing.format", "torch", "safetensors"),
        ("training.optimizer", "moreh_adamw", "same rule"),
        ("training.stability.use_stable_embedding", True, "neither normalised"),
        ("model.router_type", "gshard", "nearest"),
        ("parallel.tensor_parallel_size", 8, "and not the model"),
        ("rag.enabled", True, "no code"),
    ],
)
def test_what_it_does_not_honour_is_a_warning_with_the_reason(
    path: str, value: Any, words: str
) -> None:
    (finding,) = findings(nest(path, value), "not-honoured")
    assert (finding.severity, finding.path) == ("warning", path)
    assert f"{path}: {value if value is not True else 'true'}" in finding.message
    assert words in finding.message
    assert finding.origin is not None
    assert finding.fixes[0].edits[0].value == keys()[path].default


@pytest.mark.parametrize(
    "tree",
    [
        {"training": {"num_epochs": None}},
        {"deepspeed": {"enabled": False}},
        {"data": {"max_train_examples": -1}},
        {"parallel": {"data_parallel_size": 1, "devices_per_node": 1}},
        {"parallel": {"strategy": "single"}},
        {"evaluation": {"metrics": ["perplexity"]}},
        {"data": {"tokenizer_name": "bytes"}},
    ],
)
def test_saying_what_happens_anyway_is_no_finding(tree: dict[str, Any]) -> None:
    assert findings(tree, "not-honoured", "without-effect") == []


def test_what_hangs_on_a_switch_is_named_with_it_once() -> None:
    tree: Any = {"rag": {"enabled": True, "encoder_dim": 64, "use_faiss_index": True}}
    (finding,) = findings(tree, "not-honoured")
    assert finding.path == "rag.enabled"
    assert "encoder_dim, use_faiss_index" in finding.message
    assert {edit.path for edit in finding.fixes[0].edits} == {
        "rag.enabled",
        "rag.encoder_dim",
        "rag.use_faiss_index",
    }
    tree = {"training": {"mixed_precision": "fp8"}, "quantization": {"fp8": {"format": "e4m3"}}}
    (finding,) = findings(tree, "not-honoured")
    assert finding.path == "training.mixed_precision"
    assert "quantization.fp8.format" in finding.message


def test_what_hangs_on_a_switch_that_is_off_is_a_hint() -> None:
    tree = {"deepspeed": {"zero_stage": 3, "offload_param": {"device": "cpu"}}}
    (finding,) = findings(tree, "not-honoured", "without-effect")
    assert (finding.rule, finding.severity) == ("without-effect", "hint")
    assert "deepspeed.zero_stage, deepspeed.offload_param.device have no effect" in finding.message
    assert finding.fixes[0].edits[0].path == "deepspeed.enabled"
    (finding,) = findings({"fsdp": {"cpu_offload": True}}, "without-effect")
    assert "while parallel.strategy is auto" in finding.message
    assert finding.fixes[0].edits[0].value == "fsdp"


def test_every_key_that_is_not_honoured_is_said_in_one_way_or_another() -> None:
    other = {"boolean": lambda k: not k.default, "text": lambda _: "something"}
    for path, key in keys().items():
        if not key.unhonoured:
            continue
        if key.type in ("integer", "number"):
            value = next(
                v
                for v in (1, 2, 3, 16, 0.5, 0.25, 1.5)
                if v not in (key.default, *key.honoured) and accepts(path, v)
            )
        elif key.type == "choice":
            value = next(c for c in key.choices if c not in (key.default, *key.honoured))
        elif key.type == "list":
            value = ["something"] if key.items == "text" else [1]
        elif key.type == "mapping":
            value = {"a": 1.0}
        else:
            value = other[key.type](key)
        assert any(f.path == path for f in findings(nest(path, value))), path


def accepts(path: str, value: Any) -> bool:
    return validate(compose([Layer("x", nest(path, value))]))[0] is not None


@pytest.mark.parametrize("path", CHANGES_THE_TASK)
def test_what_changes_the_task_is_a_key_that_is_not_honoured_in_full(path: str) -> None:
    key = keys()[path]
    assert key.unhonoured or key.unhonoured_values


@pytest.mark.parametrize("edit", ["model.router_type=hash", "data.format=preference"])
def test_a_launch_refuses_to_train_something_else(edit: str, tmp_path: Path) -> None:
    key, value = edit.split("=")
    plan = plan_from("tiny_cpu", overrides={key: value, "run.runs_dir": str(tmp_path / "runs")})
    with pytest.raises(FindingsError, match="another training"):
        plan.launch()
    assert not (tmp_path / "runs").exists()

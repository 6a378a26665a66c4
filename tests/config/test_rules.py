"""Every rule: a text that it speaks about, one near by that it does not, and repairs that help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from workbench.config.editing import edit_text
from workbench.config.findings import Finding
from workbench.config.rules import RULES
from workbench.config.rules.data import PATH_KEYS
from workbench.plan import plan_from

Check = Callable[..., list[Finding]]

FOLDER = Path(__file__).parent
CASES: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "rule_cases.yaml").read_text())
MISSING = {"missing-path": frozenset({"data.path"})}


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_and_its_repairs_help(rule: str, findings: Check) -> None:
    text, missing = CASES[rule]["wrong"], MISSING.get(rule, frozenset())
    found = [f for f in findings(text, missing_paths=missing) if f.rule == rule]
    assert found, f"{rule} did not speak"
    for finding in found:
        assert finding.origin is not None
        assert finding.origin.mark is not None
        for fix in finding.fixes:
            repaired = edit_text(text, fix.edits, "my.yaml")
            gone = {edit.path for edit in fix.edits} & missing
            left = findings(repaired, missing_paths=missing - gone)
            assert (finding.rule, finding.message) not in {(f.rule, f.message) for f in left}, (
                f"{fix.title} leaves\n{repaired}"
            )
            broken = {"unknown-key", "invalid-value", "not-a-section", "invalid"}
            assert not broken & {f.rule for f in left}, repaired
            assert errors(left) <= errors(findings(text, missing_paths=missing)), repaired


def errors(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found if finding.severity == "error"}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_is_silent_near_by(rule: str, findings: Check) -> None:
    quiet = {f.rule for f in findings(CASES[rule]["right"])}
    assert not quiet & {"unknown-key", "invalid-value", "not-a-section", rule}


def test_nothing_is_said_about_an_empty_file(findings: Check) -> None:
    assert findings("{}\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "training: {num_epochs: 3, eval_steps: 2000, save_steps: 5000, logging_steps: 5000}",
        "training: {num_epochs: 3, gradient_health: {enabled: true, warmup_steps: 5000}}",
        "{data: {tokenizer_name: bytes_bpe.json}, model: {vocab_size: 8192}}",
        "{data: {tokenizer_name: gpt2_of_mine}, model: {vocab_size: 16000}}",
        "run: {name: tiny-100M-tokens, tags: [10b_tokens, 1B tokens]}",
        "deepspeed: {enabled: true, optimizer: {params: {lr: auto, betas: auto}}}",
        (
            "deepspeed: {enabled: true, zero_optimization: {stage: 3, reduce_bucket_size: auto,"
            " stage3_prefetch_bucket_size: auto, stage3_param_persistence_threshold: auto}}"
        ),
        "fsdp: {cpu_offload: false}\nparallel: {sharding_strategy: full}",
    ],
)
def test_nothing_right_is_accused(text: str, findings: Check) -> None:
    assert {f.rule for f in findings(text)} <= {"not-honoured"}


def test_offload_is_asked_for_where_the_device_is_named(findings: Check) -> None:
    text = CASES["zero-3-small-card"]["wrong"].replace(
        "zero_stage: 3", "zero_stage: 3, offload_optimizer: {device: none}"
    )
    (fix,) = next(f.fixes for f in findings(text) if f.rule == "zero-3-small-card")
    left = findings(edit_text(text, fix.edits, "my.yaml"))
    assert "zero-3-small-card" not in {f.rule for f in left}


def test_every_rule_has_a_line_of_documentation() -> None:
    for rule in RULES.values():
        assert rule.summary.endswith("."), rule.name
        assert len(rule.summary) <= 100, rule.name


@pytest.mark.parametrize("rule", CASES)
def test_a_message_reads_as_a_sentence(rule: str, findings: Check) -> None:
    text, missing = CASES[rule]["wrong"], MISSING.get(rule, frozenset())
    for finding in findings(text, missing_paths=missing):
        assert not finding.message.endswith("."), "render() joins lines; a full stop is not needed"
        assert "  " not in finding.message
        assert "None" not in finding.message
        assert "True" not in finding.message
        assert len(finding.message) < 250


def test_the_three_repairs_of_the_batch_identity(findings: Check) -> None:
    text = (
        "training:\n  batch_size: 4\n  gradient_accumulation_steps: 4\n  global_batch_size: 32\n"
        "parallel:\n  devices_per_node: 4\n"
    )
    (finding,) = [f for f in findings(text) if f.rule == "batch-identity"]
    assert "4 sequences × 4 accumulation × 4 data-parallel = 64" in finding.message
    assert [fix.title for fix in finding.fixes] == [
        "training.gradient_accumulation_steps: 2",
        "training.batch_size: 2",
        "training.global_batch_size: 64",
        "use 2 devices on one node",
    ]


def test_the_batch_identity_knows_deepspeeds_names(findings: Check) -> None:
    text = (
        "deepspeed:\n  train_batch_size: 128\n  train_micro_batch_size_per_gpu: 4\n"
        "  gradient_accumulation_steps: 4\nparallel:\n  devices_per_node: {}\n"
    )
    assert "batch-identity" in {f.rule for f in findings(text.format(1))}
    assert "batch-identity" not in {f.rule for f in findings(text.format(8))}


def test_a_batch_typed_over_a_stack_that_fixes_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  batch_size: 8\n  global_batch_size: 8\n")
    plan = plan_from(layers=[str(path)], overrides={"batch_size": "16"})
    (finding,) = plan.findings
    assert (finding.rule, finding.origin and finding.origin.place()) == (
        "batch-identity",
        f"{path}:3",
    )


def test_model_parallel_devices_do_not_multiply_the_batch(findings: Check) -> None:
    text = (
        "training: {batch_size: 2, global_batch_size: 4}\nmodel: {intermediate_size: 1024}\n"
        "parallel: {devices_per_node: 8, tensor_parallel_size: 4}\n"
    )
    assert [f for f in findings(text) if f.severity == "error"] == []


def test_every_named_path_is_a_key_that_may_be_missing(findings: Check) -> None:
    for path in PATH_KEYS:
        *sections, name = path.split(".")
        shapes = {"fallback_paths": "[/nowhere]", "mixture": "{/nowhere: 1.0}"}
        value = shapes.get(name, "/nowhere")
        text = "".join(f"{'  ' * i}{s}:\n" for i, s in enumerate(sections))
        text += f"{'  ' * len(sections)}{name}: {value}\n"
        found = findings(text, missing_paths=frozenset({path}))
        (missing,) = [f for f in found if f.rule == "missing-path"]
        assert missing.origin is not None
        assert missing.origin.place() == f"my.yaml:{len(sections) + 1}"


@pytest.mark.parametrize(
    ("name", "is_wrong"),
    [
        ("deepseek_v3_1b", True),
        ("8x7b", False),
        ("a100_80gb", False),
        ("run-2", False),
        ("4b5f", False),
        ("tiny-5M", False),
        ("4.8m", False),
        ("llama 7B", True),
        ("100m_steps", True),
    ],
)
def test_sizes_in_names(name: str, is_wrong: bool, findings: Check) -> None:  # noqa: FBT001
    rules = {f.rule for f in findings(f"run: {{name: {name!r}}}\n")}
    assert ("name-against-size" in rules) == is_wrong


def test_a_file_called_1b_that_holds_5b(findings: Check) -> None:
    text = (
        "model:\n  num_layers: 16\n  hidden_size: 1536\n  num_attention_heads: 24\n"
        "  intermediate_size: 4224\n  vocab_size: 128000\n  tie_word_embeddings: false\n"
        "  num_experts: 16\n  num_experts_per_token: 4\n"
        "  moe: {num_shared_experts: 1, dense_layer_interval: 4}\n"
        "data: {tokenizer_name: my/tokenizer}\n"
    )
    found = {f.rule: f for f in findings(text, "deepseek_v3_1b.yaml")}
    assert "holds 4.59 B parameters, 1.79 B of them active" in found["name-against-size"].message
    assert "name-against-size" not in {f.rule for f in findings(text, "deepseek_v3_5b.yaml")}

"""Every shipped layer and recipe: readable, composable, without errors, and true to what it says.

The findings of each are listed in expected_findings.yaml. After a change that is meant to move
them: AVA_UPDATE_EXPECTED=1 pytest tests/config/test_shipped.py, then read the difference.
"""

from __future__ import annotations

import math
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.config.keys import keys, sections, value_at
from workbench.config.layers import Layer, compose, load, shipped
from workbench.config.reading import read_file
from workbench.config.scalars import same
from workbench.config.size import size_of
from workbench.hardware.devices import names as device_names
from workbench.plan import Plan, Recipe, plan_from, recipe, recipes
from workbench.resources import data_dir

CONFIGS = data_dir("configs")
EXPECTED = Path(__file__).parent / "expected_findings.yaml"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
NAMES = [item.name for item in recipes()]
STACKED = [*shipped(), *(f"recipes/{name}" for name in NAMES)]


@cache
def plan_of(name: str) -> Plan:
    """The plan of a layer by itself, or of a recipe."""
    group, _, stem = name.partition("/")
    return plan_from(stem) if group == "recipes" else plan_from(layers=[name])


def devices(plan: Plan) -> int:
    return plan.config.parallel.num_nodes * plan.config.parallel.devices_per_node


# ---------------------------------------------------------------- what there is


def test_everything_that_the_seed_documents_name_is_there() -> None:
    assert set(shipped()) >= {
        *(f"gpu/{name}" for name in ("tiny", "small", "base", "large")),
        *(f"hardware/{name}" for name in ("a100_80gb", "h100_80gb", "cpu", "n150", "n300", "t3k")),
        *(f"distributed/deepspeed_zero{stage}" for stage in (1, 2, 3)),
        "rlhf/test_cpu",
        "research/quantization_nvfp4",
        "research/rag_enabled",
        *(f"templates/{name}" for name in ("quick_start", "research", "production")),
        "scenarios/medical_chatbot",
        "scenarios/code_translator",
        "scenarios/research_experiment",
        "scenarios/production_pipeline",
    }


# The rows of the guide's quick reference, then the branches of its decision tree.
ROWS = {
    "development": ["gpu/tiny"],
    "single_a100": ["gpu/base", "hardware/a100_80gb"],
    "single_h100": ["gpu/large", "hardware/h100_80gb"],
    "four_a100": ["gpu/base", "hardware/a100_80gb", "distributed/deepspeed_zero1"],
    "eight_a100": ["gpu/base", "hardware/a100_80gb", "distributed/deepspeed_zero2"],
    "sixteen_gpus": ["gpu/large", "hardware/h100_80gb", "distributed/deepspeed_zero3"],
    "rlhf_test": ["gpu/base", "rlhf/test_cpu"],
    "consumer_gpu": ["gpu/small", "hardware/rtx_3090"],
    "two_to_four_gpus": ["gpu/base", "distributed/deepspeed_zero1"],
    "four_to_eight_gpus": ["gpu/base", "distributed/deepspeed_zero2"],
    "eight_and_more_gpus": ["gpu/base", "distributed/deepspeed_zero3"],
}
DEVICES = {
    "single_a100": 1,
    "single_h100": 1,
    "four_a100": 4,
    "eight_a100": 8,
    "sixteen_gpus": 16,
    "two_to_four_gpus": 2,
    "four_to_eight_gpus": 4,
    "eight_and_more_gpus": 8,
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_guide_is_a_recipe(name: str) -> None:
    assert list(recipe(name).stack) == ROWS[name]
    assert devices(plan_of(f"recipes/{name}")) == DEVICES.get(name, 1)


def test_the_folder_explains_every_group() -> None:
    text = (CONFIGS / "README.md").read_text()
    groups = {path.parent.name for path in CONFIGS.glob("*/*.yaml")}
    assert {group for group in groups if f"| `{group}/` |" not in text} == set()


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("name", FILES)
def test_a_yaml_1_1_reader_sees_the_same(name: str) -> None:
    path = CONFIGS / name
    assert same(yaml.safe_load(path.read_text()), read_file(path).tree)


@pytest.mark.parametrize("name", STACKED)
def test_keys_have_their_own_names(name: str) -> None:
    assert [path for path, origin in plan_of(name).composed.origins.items() if origin.alias] == []


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("hardware/")])
def test_a_hardware_layer_names_its_profile(name: str) -> None:
    profile = plan_of(name).config.run.hardware
    assert profile == name.removeprefix("hardware/")
    assert profile in device_names()


# ---------------------------------------------------------------- findings


def listed(plan: Plan) -> dict[str, list[str]]:
    """The findings as they are listed: the keys by the rule."""
    found: dict[str, list[str]] = {}
    for finding in plan.findings:
        found.setdefault(finding.rule, []).append(finding.path)
    return {rule: sorted(paths) for rule, paths in sorted(found.items())}


def expected() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(EXPECTED.read_text())
    return tree


@pytest.mark.parametrize("name", STACKED)
def test_findings_are_those_that_are_listed(name: str) -> None:
    plan = plan_of(name)
    assert [f.render() for f in plan.findings if f.severity == "error"] == []
    assert listed(plan) == (expected()["findings"].get(name) or {})


def test_every_listed_rule_has_its_reason_and_nothing_else_is_listed() -> None:
    tree = expected()
    fired = {rule for found in tree["findings"].values() for rule in found}
    assert fired == set(tree["why"])
    assert set(tree["findings"]) <= set(STACKED)


@pytest.mark.skipif("AVA_UPDATE_EXPECTED" not in os.environ, reason="writes expected_findings.yaml")
def test_update_the_list() -> None:
    head, _, _ = EXPECTED.read_text().partition("findings:\n")
    findings = {name: listed(plan_of(name)) for name in STACKED}
    told = {name: found for name, found in findings.items() if found}
    text = yaml.safe_dump({"findings": told}, sort_keys=False, default_flow_style=None, width=100)
    EXPECTED.write_text(head + text)


# ---------------------------------------------------------------- the guide's examples


def test_command_line_over_hardware_over_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("training: {batch_size: 8, learning_rate: 0.001}\n")
    (tmp_path / "h100_80gb.yaml").write_text("training:\n  batch_size: 16\n")
    plan = plan_from(
        layers=[str(tmp_path / "base.yaml"), str(tmp_path / "h100_80gb.yaml")],
        overrides={"batch_size": "32"},
    )
    assert plan.config.training.batch_size == 32
    assert plan.config.training.learning_rate == 0.001
    origin = plan.composed.origins["training.batch_size"]
    assert [each.value for each in origin.shadowed] == [16, 8]


STACK = ["gpu/base", "hardware/h100_80gb", "distributed/deepspeed_zero2"]


def test_the_python_example() -> None:
    overrides = Layer("overrides", {"training": {"batch_size": 32, "learning_rate": 5e-5}})
    plan = Plan(compose([*(layer for name in STACK for layer in load(name)), overrides]))
    config = plan.config
    assert config.training.batch_size == 32  # from the overrides
    assert config.training.learning_rate == 5e-5
    assert config.training.mixed_precision == "fp8"  # from the hardware
    assert config.training.gradient_accumulation_steps == 8  # hardware and distributed agree
    assert config.deepspeed.zero_stage == 2  # distributed over hardware, which says 3
    assert config.model.num_experts == 64  # hardware over base
    assert config.model.vocab_size == 65536  # from the base
    stage = plan.composed.origins["deepspeed.zero_stage"]
    assert [stage.layer, *(each.layer for each in stage.shadowed)] == STACK[:0:-1]


def test_the_full_command_line() -> None:
    config = plan_from(layers=STACK, overrides={"batch_size": "16", "warmup_steps": "5000"}).config
    assert (config.training.batch_size, config.training.warmup_steps) == (16, 5000)
    assert config.training.max_steps == 40000


def test_mappings_merge_deep_and_lists_are_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "extends: gpu/base\n"
        "training: {gradient_health: {initial_clip_value: 1.0}}\n"
        "evaluation: {metrics: [loss]}\n"
    )
    config = plan_from(layers=[str(mine)]).config
    assert config.training.gradient_health.initial_clip_value == 1.0
    assert config.training.gradient_health.explosion_threshold == 5.0
    assert config.evaluation.metrics == ["loss"]


# What the guide's excerpts say, in the guide's own spelling.
GUIDE = {
    "gpu/base": """
model: {hidden_size: 768, num_layers: 16, num_attention_heads: 12, intermediate_size: 3072,
  vocab_size: 65536, max_position_embeddings: 2048, num_experts: 16, num_experts_per_token: 2,
  expert_capacity_factor: 1.25, router_type: switch, router_aux_loss_coef: 0.01, use_moh: false,
  use_moa: false, use_rag: false, use_cross_attention: false, use_episodic_memory: false,
  layer_norm_eps: 1.0e-5, attention_dropout: 0.0, hidden_dropout: 0.0, initializer_range: 0.02}
training: {batch_size: 8, gradient_accumulation_steps: 4, learning_rate: 0.00042,
  weight_decay: 0.1, beta1: 0.9, beta2: 0.95, eps: 1.0e-8, max_gradient_norm: 0.5, num_epochs: 10,
  max_steps: 40000, warmup_steps: 2000, warmup_schedule: cosine, lr_scheduler_type: cosine,
  lr_end: 1.0e-4, repetition_penalty_weight: 0.5, immediate_repetition_weight: 1.0,
  min_sequence_length: 20, eos_penalty_weight: 5.0, mixed_precision: fp16,
  gradient_checkpointing: true, dataloader_num_workers: 8, eval_strategy: steps, eval_steps: 500,
  save_strategy: steps, save_steps: 1000, logging_steps: 50, early_stopping_patience: 3,
  early_stopping_threshold: 0.01, gradient_health: {enabled: true, initial_clip_value: 2.0,
  final_clip_value: 0.5, warmup_steps: 2000, explosion_threshold: 5.0, auto_reduce_lr: true,
  lr_reduction_factor: 0.5}}
data: {data_dir: /project/code/data/processed,
  tokenizer_name: /project/code/models/tokenizer/enhanced-65k, max_length: 1024,
  max_train_examples: -1, max_eval_examples: 1000, padding_side: right, truncation: true,
  train_batch_size: 8, eval_batch_size: 16, dataloader_num_workers: 8, dataloader_drop_last: true,
  dataloader_pin_memory: true, dataloader_prefetch_factor: 2, dataloader_persistent_workers: true,
  use_weighted_mixing: true, mixing_temperature: 1.0, streaming: true, buffer_size: 15000,
  max_samples: -1, shuffle_seed: 42, reshuffle_each_epoch: true}
""",
    "hardware/a100_80gb": """
model: {hidden_size: 1280, num_layers: 28, num_attention_heads: 20, intermediate_size: 5120,
  max_position_embeddings: 4096, num_experts: 32, num_experts_per_token: 4}
training: {batch_size: 4, gradient_accumulation_steps: 12, mixed_precision: bf16,
  learning_rate: 3.0e-5}
deepspeed: {enabled: true, zero_stage: 2, cpu_offload: false, precision: bf16}
""",
    "hardware/h100_80gb": """
model: {hidden_size: 1536, num_layers: 32, num_attention_heads: 24, intermediate_size: 6144,
  max_position_embeddings: 8192, num_experts: 64, num_experts_per_token: 8, use_moh: true,
  use_moa: true, use_rag: true, use_cross_attention: true, use_episodic_memory: true}
training: {batch_size: 6, gradient_accumulation_steps: 8, mixed_precision: fp8,
  learning_rate: 4.0e-5}
deepspeed: {enabled: true, zero_stage: 3, precision: fp8, fp8_enabled: true, fp8_margin: 0,
  fp8_interval: 1}
""",
    "distributed/deepspeed_zero1": """
deepspeed: {enabled: true, zero_stage: 1, cpu_offload: false, nvme_offload: false,
  precision: bf16, gradient_accumulation_steps: 4, train_batch_size: 32, micro_batch_size: 8,
  optimizer: {type: AdamW, params: {lr: 3.0e-5, betas: [0.9, 0.95], eps: 1.0e-8,
  weight_decay: 0.1}}}
""",
    "distributed/deepspeed_zero2": """
deepspeed: {enabled: true, zero_stage: 2, cpu_offload: false, gradient_accumulation_steps: 8,
  train_batch_size: 64, micro_batch_size: 4, allgather_bucket_size: 500000000,
  reduce_bucket_size: 500000000}
""",
    "distributed/deepspeed_zero3": """
deepspeed: {enabled: true, zero_stage: 3, cpu_offload: true, nvme_offload: false,
  stage3_prefetch_bucket_size: 500000000, stage3_param_persistence_threshold: 1000000,
  stage3_max_live_parameters: 1000000000, train_batch_size: 128, micro_batch_size: 2}
""",
}
# Where the shipped layer says otherwise; each has its reason in a comment of the layer.
DEVIATIONS = {
    "gpu/base": {
        "model.router_type": "topk",
        "training.num_epochs": None,
        "data.path": None,
        "data.tokenizer_name": "bytes",
        "data.max_train_examples": None,  # null means all, as -1 does
    },
    "distributed/deepspeed_zero1": {"training.global_batch_size": None},
    "distributed/deepspeed_zero2": {"training.global_batch_size": None},
    "distributed/deepspeed_zero3": {"training.global_batch_size": None},
}


@pytest.mark.parametrize("name", GUIDE)
def test_a_layer_says_what_the_guide_says(name: str) -> None:
    told = compose([Layer("the guide", yaml.safe_load(GUIDE[name]))])
    config = plan_of(name).config
    differing = {
        path: value_at(config, path)
        for path, origin in told.origins.items()
        if not same(value_at(config, path), origin.value)
    }
    assert differing == DEVIATIONS.get(name, {})


# ---------------------------------------------------------------- figures


def parameters(model: Any) -> int:
    """By the sum over the matrices, as a check on `size_of`."""
    h, inner, experts = model.hidden_size, model.intermediate_size, model.num_experts
    ffn = (3 if model.hidden_act == "swiglu" else 2) * h * inner
    norm = {"layernorm": 2 * h, "rmsnorm": h}[model.norm_type]
    width = (model.head_dim or h // model.num_attention_heads) * model.num_attention_heads
    assert model.num_key_value_heads in (None, model.num_attention_heads)
    attention = 4 * h * width
    block = attention + 2 * norm + (experts * ffn + experts * h if experts > 1 else ffn)
    crossed = model.num_cross_attention_layers if model.use_cross_attention else 0
    matrices = 1 if model.tie_word_embeddings else 2
    return int(
        model.num_layers * block
        + crossed * (attention + norm)
        + norm
        + matrices * model.vocab_size * h
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_states_its_true_size(name: str) -> None:
    model = plan_of(f"recipes/{name}").config.model
    if not any(layer.startswith("models/") for layer in recipe(name).stack):
        assert size_of(model).total == parameters(model)
    # The published models have known sizes: tests/dialects/test_presets.py.
    assert recipe(name).parameters == size_of(model).total


BUDGET = re.compile(r"([\d,]+) steps of ([\d,]+) tokens, ([\d.]+) (million|billion) in all")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rlhf_test"])
def test_a_recipe_states_its_true_budget(name: str) -> None:
    plan, told = plan_of(f"recipes/{name}"), BUDGET.match(recipe(name).budget)
    assert told is not None
    steps, tokens = (int(told[i].replace(",", "")) for i in (1, 2))
    training = plan.config.training
    sequences = training.batch_size * training.gradient_accumulation_steps * devices(plan)
    assert steps == training.max_steps
    assert tokens == sequences * plan.config.data.max_length
    assert rounds_to(steps * tokens / {"million": 1e6, "billion": 1e9}[told[4]], told[3])


def rounds_to(value: float, text: str) -> bool:
    decimals = len(text.partition(".")[2])
    return math.isclose(value, float(text), rel_tol=0, abs_tol=0.5000001 * 10.0**-decimals)


# What a summary says that training takes, in bytes per parameter.
GIGABYTES = {
    "single_a100": (194, 16),  # 2 weight, 2 gradient, 12 optimizer
    "single_h100": (78, 2),  # the weights
    "four_a100": (85, 4 + 12 / 4),  # ZeRO-1
    "eight_a100": (45, 2 + 14 / 8),  # ZeRO-2
}


def test_summaries_state_true_figures() -> None:
    for item in recipes():
        for text in re.findall(r"([\d.]+) billion parameters", item.summary):
            assert rounds_to(size_of_recipe(item) / 1e9, text), item.name
        said = [int(number) for number in re.findall(r"(\d+) GB", item.summary)]
        if item.name in GIGABYTES:
            stated, per_parameter = GIGABYTES[item.name]
            assert stated in said
            assert math.floor(size_of_recipe(item) * per_parameter / 1e9 + 0.5) == stated
        else:
            assert said == [], item.name


def size_of_recipe(item: Recipe) -> int:
    return size_of(plan_of(f"recipes/{item.name}").config.model).total


def comments(name: str) -> str:
    """The comments of a file as one line of text."""
    text = (CONFIGS / name).read_text()
    return " ".join(re.findall(r"(?:^|\s)#\s*(.*)", text))


@pytest.mark.parametrize("name", FILES)
def test_arithmetic_in_comments_is_right(name: str) -> None:
    number = r"\d[\d,]*(?:\.\d+)?"
    for product, result in re.findall(
        rf"({number}(?: x {number})+)[a-z ]* = ({number})", comments(name)
    ):
        factors = [float(factor.replace(",", "")) for factor in product.split(" x ")]
        assert math.prod(factors) == float(result.replace(",", "")), (product, result)
    for over, under, result in re.findall(rf"({number}) / ({number}) = ({number})", comments(name)):
        assert float(over.replace(",", "")) / float(under) == float(result), (over, under, result)


SIZES = {
    "gpu/small": ["gpu/small"],
    "gpu/base": ["gpu/base"],
    "gpu/large": ["gpu/large"],
    "hardware/a100_80gb": ["gpu/base", "hardware/a100_80gb"],
    "hardware/h100_80gb": ["gpu/large", "hardware/h100_80gb"],
}


@pytest.mark.parametrize("name", SIZES)
def test_the_head_of_a_layer_states_its_true_size(name: str) -> None:
    size = size_of(plan_from(layers=SIZES[name]).config.model)
    text = comments(f"{name}.yaml")
    (total,) = re.findall(r"([\d.]+) B parameters[:.,]", text)[:1]
    assert rounds_to(size.total / 1e9, total)
    for active in re.findall(r"of which ([\d.]+) B work on each token", text):
        assert rounds_to(size.active / 1e9, active)


# ---------------------------------------------------------------- recipes are words, too


def test_recipes_are_told_apart() -> None:
    for attribute in ("title", "summary"):
        texts = [getattr(item, attribute) for item in recipes()]
        assert len(set(texts)) == len(texts)
    assert all(len(item.title) <= 50 for item in recipes())
    assert all(item.objective in ("pre-train", "fine-tune", "RLHF", "test") for item in recipes())


def test_the_objective_of_a_recipe_reaches_the_plan() -> None:
    plan = plan_of("recipes/development")
    assert plan.config.run.objective == "test"
    origin = plan.composed.origins["run.objective"]
    path = recipe("development").path
    line = path.read_text().splitlines().index("objective: test") + 1
    assert origin.place() == f"{path}:{line}"
    assert plan.composed.origins["training.max_steps"].layer == "recipes/development"


def test_every_key_of_a_layer_is_in_the_schema() -> None:
    for name in shipped():
        for path in plan_of(name).composed.origins:
            assert path in keys() or path in sections()

"""Ava's YAML files: layered presets with all their faults, and the result of its rate search."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config.checking import validate
from workbench.config.keys import keys, value_at
from workbench.config.layers import compose
from workbench.config.schema import Config
from workbench.dialects.ava import DIALECT
from workbench.dialects.ava.known import known
from workbench.dialects.ava.meanings import aliases, says, why_not
from workbench.dialects.ava.size import built
from workbench.dialects.ava.verdicts import verdict
from workbench.dialects.base import Foreign, Reading, Remark
from workbench.plan import plan_from, recipes

UPSTREAM = SHARED / "upstream" / "ava"
REAL = sorted(
    path
    for path in UPSTREAM.rglob("*.*")
    if path.suffix == ".yaml" or path.name == "lr_finder_results.json"
)
APPENDIX = SHARED / "reference" / "seed_systems.md"

SMALL = """\
model:
  hidden_size: 128
  num_layers: 4
  num_attention_heads: 4
  intermediate_size: 256
  vocab_size: 1000
  max_position_embeddings: 128
  num_experts: 4
  num_experts_per_token: 2
  router_type: switch
  layer_norm_eps: 1e-6
  use_cache: true
training:
  batch_size: 8
  gradient_accumulation_steps: 2
  learning_rate: 3e-5
  max_gradient_norm: 0.5
  mixed_precision: fp16
  eval_strategy: steps
data:
  data_dir: texts
  max_length: 128
  train_batch_size: 8
deepspeed:
  use_deepspeed: true
  zero_stage: 2
  train_batch_size: 32
  micro_batch_size: 8
  precision_type: fp16
enhanced_features:
  architecture:
    expert_routing_type: gshard
    use_alibi: false
  quantization:
    bit_width: 4
evaluation:
  eval_during_training: true
  eval_metrics: "perplexity,bleu"
wandb:
  enabled: true
  project: mine
"""


def read(text: str, name: str = "mine.yaml") -> Reading:
    return DIALECT.read(Foreign(Path(name), text))


def config_of(reading: Reading) -> Config:
    config, findings = validate(compose([reading.layer]))
    assert config is not None, findings
    return config


def written(reading: Reading, **changes: Any) -> str:
    """The file that a reading is written to, after edits such as ``training__batch_size=4``."""
    layer = replace(reading.layer, tree=compose([reading.layer]).tree)
    for path, value in changes.items():
        inner = layer.tree
        *sections, name = path.split("__")
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    stack = compose([layer])
    config, findings = validate(stack)
    assert config is not None, findings
    writing = DIALECT.write(config, chosen=frozenset(stack.origins) & keys().keys())
    assert writing.lost == ()
    (text,) = writing.files.values()
    return text


def told(reading: Reading, path: str, kind: str = "upstream") -> list[Remark]:
    return [each for each in reading.remarks if each.path == path and each.kind == kind]


def kept(reading: Reading) -> dict[str, str]:
    return {".".join(each.path): each.reason for each in reading.residue}


def same_again(reading: Reading, again: Reading) -> None:
    assert again.layer.tree == reading.layer.tree
    assert again.places == reading.places
    assert kept(again) == kept(reading)


# ---------------------------------------------------------------- every key there is


def appendix(part: str, end: str) -> list[str]:
    """The keys of a table of the facts about the systems."""
    text = APPENDIX.read_text()
    text = text[text.index(part) : text.index(end)]
    found = re.findall(r"^\| `([\w.]+)` \| ", text, re.MULTILINE)
    return list(dict.fromkeys(found))


@pytest.mark.skipif(not APPENDIX.exists(), reason="the facts about the systems are not here")
def test_every_key_of_the_presets_is_known_mapped_or_has_a_reason() -> None:
    listed = appendix("## A5.", "# Appendix B")
    assert len(listed) == 580
    nobody = "neither Ava nor the workbench knows such a key"
    assert [path for path in listed if not aliases(path) and why_not(path) == nobody] == []
    assert [path for path in listed if verdict(path) == ("ignored", "")] == []


def test_every_known_key_has_a_verdict_and_a_place_or_a_reason() -> None:
    for path in known():
        said, reason = verdict(path)
        assert said in ("read", "ignored")
        assert said == "read" or reason
        assert aliases(path) or why_not(path)
    assert len(known()) > 580


@pytest.mark.parametrize(
    ("path", "said", "why"),
    [
        ("training.learning_rate", "read", ""),
        ("training.max_gradient_norm", "ignored", "--max-gradient-norm"),
        ("deepspeed.use_deepspeed", "read", ""),
        ("deepspeed.enabled", "ignored", "DeepSpeed stays off"),
        ("deepspeed.precision", "ignored", "precision_type"),
        ("deepspeed.zero_stage3_prefetch_bucket_size", "ignored", "eight keys"),
        ("model.router_type", "ignored", "decides it"),
        ("model.tie_word_embeddings", "ignored", "never tied"),
        ("model.use_rag", "ignored", "dropped"),
        ("training.deepspeed.zero_stage", "ignored", "top of the file"),
        ("rlhf.ppo.gamma", "read", "train_rlhf.py"),
        ("enhanced_features.include_retrieval_targets", "ignored", "indentation"),
        ("stability.stop_on_nan", "ignored", "no program"),
    ],
)
def test_what_upstream_does_with_a_key(path: str, said: str, why: str) -> None:
    found, reason = verdict(path)
    assert found == said
    assert why in reason


def test_a_key_is_said_as_upstream_reads_it() -> None:
    assert says("deepspeed.enabled") == "deepspeed.use_deepspeed"
    assert says("training.label_smoothing") == "enhanced_features.losses.label_smoothing"
    assert says("training.mixed_precision") == "training.mixed_precision"
    assert says("model.norm_type") is None


# ---------------------------------------------------------------- what a file means


PLACES = {
    "model.hidden_size": 128,
    "model.router_type": "gshard",  # enhanced_features decides it, as upstream
    "model.norm_type": "layernorm",
    "model.tie_word_embeddings": False,
    "model.hidden_act": "gelu",
    "model.layer_norm_eps": 1e-6,
    "training.batch_size": 8,
    "training.global_batch_size": 32,
    "training.learning_rate": 3e-5,
    "training.mixed_precision": "fp16",
    "training.eval_strategy": "steps",
    "evaluation.metrics": ["perplexity", "bleu"],
    "deepspeed.enabled": True,
    "deepspeed.zero_stage": 2,
    "data.path": "texts",
    "logging.wandb.project": "mine",
    "quantization.bit_width": 4,
}


@pytest.mark.parametrize("path", PLACES)
def test_a_key_goes_to_its_place(path: str) -> None:
    assert value_at(config_of(read(SMALL)), path) == PLACES[path]


def test_repeated_keys_agree_or_are_kept() -> None:
    reading = read(SMALL)
    assert reading.places["data.train_batch_size"] == ("training.batch_size",)
    assert reading.places["deepspeed.micro_batch_size"] == ("training.batch_size",)
    assert "decides it" in told(reading, "model.router_type")[0].message
    assert "gshard" in kept(reading)["model.router_type"]
    other = read(SMALL.replace("micro_batch_size: 8", "micro_batch_size: 4"))
    reason = "training.batch_size says 8, which counts here, not 4"
    assert kept(other)["deepspeed.micro_batch_size"] == reason


def test_the_batch_of_deepspeed_holds_for_some_devices_only() -> None:
    (right,) = told(read(SMALL), "deepspeed.train_batch_size")
    assert "32 = 8 x 2 x 2: right on 2 devices only" in right.message
    wrong = read(SMALL.replace("train_batch_size: 32", "train_batch_size: 40"))
    (refused,) = told(wrong, "deepspeed.train_batch_size")
    assert refused.verdict == "refused"


def test_numbers_that_are_text_to_yaml_1_1_are_numbers_and_said() -> None:
    reading = read(SMALL)
    (rate,) = told(reading, "training.learning_rate", "translated")
    assert (rate.line, rate.message.partition(" is ")[0]) == (16, "3e-5")
    assert yaml.safe_load(SMALL)["training"]["learning_rate"] == "3e-5"
    assert yaml.safe_load(written(reading))["training"]["learning_rate"] == 3e-05


def test_the_rate_of_feedback_that_is_text_stops_upstream() -> None:
    reading = read("rlhf:\n  ppo:\n    learning_rate: 1e-5\n    mixed_precision: no\n")
    (refused,) = told(reading, "rlhf.ppo.learning_rate")
    assert refused.verdict == "refused"
    assert config_of(reading).rlhf.ppo.mixed_precision == "no"
    assert "no is false" in told(reading, "rlhf.ppo.mixed_precision", "translated")[0].message


def test_positions_that_a_sequence_exceeds_stop_upstream() -> None:
    reading = read(SMALL.replace("max_length: 128", "max_length: 2048"))
    (refused,) = told(reading, "data.max_length")
    assert refused.verdict == "refused"
    assert "max_position_embeddings is 128" in refused.message


def test_an_optimizer_that_train_py_does_not_know() -> None:
    reading = read("training:\n  optimizer: Lion\n  batch_size: 4\n")
    assert told(reading, "training.optimizer")[0].message == (
        "ValueError: Unsupported optimizer: lion"
    )


def test_deepspeed_that_upstream_leaves_off_is_on_here_and_said() -> None:
    reading = read("deepspeed:\n  enabled: true\n  precision: bf16\n  zero_stage: 1\n")
    assert config_of(reading).deepspeed.enabled
    assert config_of(reading).training.mixed_precision == "bf16"
    assert "stays off" in told(reading, "deepspeed.enabled")[0].message


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("fp16: false\n", "training.mixed_precision", "no"),
        ("fp16: false\nbf16: true\n", "training.mixed_precision", "bf16"),
        ("evaluation:\n  eval_during_training: false\n", "training.eval_strategy", "no"),
        ("training:\n  adam_betas: [0.8, 0.9]\n", "training.beta2", 0.9),
        ("training:\n  loss_scaling: dynamic\n", "training.loss_scaling.scale", 0.0),
        ("lr_finder:\n  beta: 0.9\n", "training.lr_finder.beta", 0.9),
        ("wandb:\n  enabled: false\n", "logging.wandb.enabled", False),
        ("distributed:\n  backend: nccl\n", "parallel.backend", "nccl"),
        ("deepspeed:\n  zero_overlap_comm: true\n", "deepspeed.overlap_comm", True),
        ("losses:\n  focal_loss: true\n", "training.losses.focal_loss", True),
        ("architecture:\n  use_moh: true\n", "model.use_moh", True),
        ("performance:\n  torch_compile:\n    mode: default\n", "training.compile.mode", "default"),
    ],
)
def test_a_key_alone_is_read_and_written_back(text: str, path: str, value: Any) -> None:
    reading = read(text)
    assert value_at(config_of(reading), path) == value
    back = written(reading)
    assert yaml.safe_load(back) == yaml.safe_load(text)
    same_again(reading, read(back))


# ---------------------------------------------------------------- faults of files


NESTED = """\
training:
  batch_size: 4
  device: cpu
  fp16: true
  deepspeed:
    use_deepspeed: true
    zero_stage: 1
  enhanced_features:
    losses:
      label_smoothing: 0.1
  performance:
    torch_compile:
      enabled: true
"""


def test_sections_below_training_are_found_and_written_where_they_stood() -> None:
    reading = read(NESTED)
    config = config_of(reading)
    assert (config.run.device, config.deepspeed.zero_stage) == ("cpu", 1)
    assert config.training.label_smoothing == 0.1
    assert config.training.compile.enabled
    assert yaml.safe_load(written(reading)) == yaml.safe_load(NESTED)
    (whole,) = told(reading, "training")
    assert "deepspeed" in whole.message
    assert "at the top of the file it would" in whole.message


def test_an_edit_follows_a_key_to_where_it_stood() -> None:
    back = yaml.safe_load(written(read(NESTED), deepspeed__zero_stage=3))
    assert back["training"]["deepspeed"]["zero_stage"] == 3
    assert "deepspeed" not in back


def test_a_line_break_that_went_missing_is_repaired_and_said() -> None:
    glued = SMALL.replace("bit_width: 4\nevaluation:", "bit_width: 4evaluation:")
    glued = glued.replace("bit_width: 4evaluation:", "stochastic_rounding: falseevaluation:")
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(glued)
    reading = read(glued)
    (repaired,) = [each for each in reading.remarks if each.kind == "repaired"]
    line = next(n for n, row in enumerate(glued.splitlines(), 1) if "falseevaluation" in row)
    assert repaired.line == line
    (refused,) = [each for each in reading.remarks if each.verdict == "refused"]
    assert "mapping values are not allowed here" in refused.message
    assert config_of(reading).evaluation.metrics == ["perplexity", "bleu"]
    # Marks point into the file as it was given, not into its repair.
    metrics = next(n for n, row in enumerate(glued.splitlines(), 1) if "eval_metrics" in row)
    assert reading.layer.marks["evaluation", "metrics"].line == metrics
    same_again(reading, read(written(reading)))


def test_of_a_section_that_stands_twice_the_last_counts_and_the_first_is_told() -> None:
    text = "training:\n  learning_rate: 0.1\ndata:\n  max_length: 8\ntraining:\n  batch_size: 4\n"
    reading = read(text)
    assert config_of(reading).training.batch_size == 4
    assert "training.learning_rate" not in reading.places
    first = [each.message for each in told(reading, "training")]
    assert any("line 1 and in line 5" in message for message in first)
    assert any("learning_rate: 0.1" in message for message in first)


def test_a_key_that_nobody_knows_is_kept() -> None:
    reading = read(SMALL + "colour: blue\nmodel_zoo:\n  size: [1, 2]\n")
    assert kept(reading)["colour"] == "neither Ava nor the workbench knows such a key"
    back = yaml.safe_load(written(reading))
    assert (back["colour"], back["model_zoo"]) == ("blue", {"size": [1, 2]})


# ---------------------------------------------------------------- sizes


# hidden, layers, inner, vocabulary, experts, per token: parameters as torch counted them
SIZES = {
    "tiny": ((384, 8, 1536, 65536, 4, 2), 118_924_096),
    "small": ((512, 14, 2048, 65536, 8, 2), 478_897_376),
    "base": ((768, 16, 3072, 65536, 16, 2), 2_179_303_424),
    "large": ((1024, 24, 4096, 65536, 32, 4), 11_116_154_368),
    "a100": ((1280, 28, 5120, 50257, 48, 6), 30_060_224_128),
    "h100": ((1536, 32, 6144, 50257, 64, 8), 65_724_344_320),
}
_NAMES = ("hidden_size", "num_layers", "intermediate_size", "vocab_size", "num_experts",
          "num_experts_per_token")  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_the_size_is_that_of_upstreams_code(name: str) -> None:
    values, total = SIZES[name]
    counted = built(dict(zip(_NAMES, values, strict=True)))
    assert counted is not None
    assert counted.total == total
    assert counted.plain < counted.total
    assert built({"hidden_size": "wide"}) is None


def test_the_remark_names_all_sizes() -> None:
    (size,) = [each for each in told(read(SMALL), "model") if "as coded" in each.message]
    for words in ("mask and a gate", "with plain experts", "here "):
        assert words in size.message


# ---------------------------------------------------------------- writing


def test_reading_what_was_written_is_reading_the_file() -> None:
    reading = read(SMALL)
    back = written(reading)
    assert yaml.safe_load(back)["model"] == {
        **yaml.safe_load(SMALL)["model"],
        "layer_norm_eps": 1e-6,
    }
    same_again(reading, read(back))


def test_an_edit_reaches_every_key_that_says_it() -> None:
    back = yaml.safe_load(written(read(SMALL), training__batch_size=4))
    assert back["training"]["batch_size"] == back["data"]["train_batch_size"] == 4
    assert back["deepspeed"]["micro_batch_size"] == 4
    fp = yaml.safe_load(written(read(SMALL + "fp16: true\nbf16: false\n"),
                                training__mixed_precision="bf16"))  # fmt: skip
    assert (fp["fp16"], fp["bf16"], fp["deepspeed"]["precision_type"]) == (False, True, "bf16")


@pytest.mark.parametrize("name", [item.name for item in recipes() if item.featured])
def test_any_plan_becomes_a_file_and_comes_back(name: str) -> None:
    plan = plan_from(name)
    chosen = frozenset(plan.composed.origins) & keys().keys()
    writing = DIALECT.write(plan.config, chosen=chosen)
    (text,) = writing.files.values()
    again = config_of(read(text))
    lost = {each.path for each in writing.lost}
    differing = [
        path
        for path in sorted(chosen - lost)
        if value_at(plan.config, path) != value_at(again, path)
    ]
    assert differing == []
    assert all(each.reason for each in writing.lost)
    assert "train.py --config" in writing.command

    def texts(tree: Any) -> list[str]:
        if isinstance(tree, dict):
            return [text for value in tree.values() for text in texts(value)]
        return [tree] if isinstance(tree, str) else []

    numbers = re.compile(r"[-+]?\d[\d_]*\.?\d*([eE][-+]?\d+)?")
    assert [each for each in texts(yaml.safe_load(text)) if numbers.fullmatch(each)] == []


# ---------------------------------------------------------------- the search for a rate


SEARCH = """\
{"methods": {"fastai": 3e-4}, "statistics": {"average": 2e-4},
 "recommendation": {"lr": 6.5e-05, "strategy": "mean", "confidence": "LOW"}}
"""


def test_the_result_of_a_search_is_a_rate() -> None:
    guess = DIALECT.recognise(Foreign(Path("lr_finder_results.json"), SEARCH))
    assert guess is not None
    assert "search" in guess.reason
    reading = read(SEARCH, "lr_finder_results.json")
    assert config_of(reading).training.learning_rate == 6.5e-05
    assert "confidence LOW" in told(reading, "recommendation.lr", "assumed")[0].message
    assert yaml.safe_load(written(reading).replace("e-", ".0e-")) is not None
    same_again(reading, read(written(reading), "lr_finder_results.json"))


# ---------------------------------------------------------------- whose a file is


def test_ava_is_recognised_by_its_sections() -> None:
    guess = DIALECT.recognise(Foreign(Path("f.yaml"), SMALL))
    assert guess is not None
    assert guess.score > 0.8
    assert "enhanced_features" in guess.reason
    assert DIALECT.recognise(Foreign(Path("f.yaml"), "a: 1\n")) is None
    assert DIALECT.recognise(Foreign(Path("f.yaml"), "{{{")) is None


# ---------------------------------------------------------------- the real files


@pytest.mark.skipif(not REAL, reason="the upstream files are not here")
@pytest.mark.parametrize("path", REAL, ids=[path.name for path in REAL])
def test_a_real_file_is_read_and_written_back(path: Path) -> None:
    foreign = Foreign(path, path.read_text())
    guess = DIALECT.recognise(foreign)
    assert guess is not None
    assert guess.score > 0.4
    reading = DIALECT.read(foreign)
    assert reading.remarks
    back = DIALECT.read(Foreign(path, written(reading)))
    back = replace(back, layer=replace(back.layer, tree=back.layer.tree))
    same_again(reading, back)

"""Tenstorrent: the pair of files of tt-train, its older schema, tt-blacksmith, the toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config.checking import validate
from workbench.config.layers import Layer, compose
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.dialects.base import Foreign, Reading, Writing
from workbench.dialects.tenstorrent import DIALECT
from workbench.dialects.tenstorrent.words import default_inner, padded
from workbench.errors import ConfigError
from workbench.plan import Plan

UPSTREAM = SHARED / "upstream/tenstorrent"
FILES = sorted(UPSTREAM.rglob("*.yaml"))
needs_files = pytest.mark.skipif(not FILES, reason="the upstream files are not here")

NANOGPT = """\
transformer_config:
  model_type: "gpt2"
  num_heads: 6
  embedding_dim: 384
  dropout_prob: 0.2
  num_blocks: 6
  vocab_size: 50257
  max_sequence_length: 256
  weight_tying: enabled
  positional_embedding_type: trainable
  experimental:
    use_composite_layernorm: false
"""

CURRENT = """\
training_config:
  project_name: "tt_train_nano_gpt"
  seed: 5489
  model_save_interval: 500
  batch_size: 256
  max_steps: 5000
  use_clip_grad_norm: false
  clip_grad_norm_max_norm: 1.0
  model_config: "${TT_METAL_RUNTIME_ROOT}/tt-train/configs/model_configs/nanogpt.yaml"
  optimizer:
    type: AdamW
    lr: 3e-4
    beta1: 0.9
    beta2: 0.999
    epsilon: 1.0e-8
    weight_decay: 0.01
    amsgrad: false
    stochastic_rounding: false

device_config:
  enable_ddp: true
  mesh_shape: [1, 2]

eval_config:
  temperature: 0.7
  top_k: 50
"""

LESSON = """\
training_config:
  model_type: "llama"
  seed: 42
  batch_size: 32
  validation_batch_size: 8
  num_epochs: 3
  max_steps: 500
  learning_rate: 1e-4
  weight_decay: 0.01
  use_moreh_adamw: true
  use_kahan_summation: false
  use_clip_grad_norm: true
  clip_grad_norm_max_norm: 1.0
  gradient_accumulation_steps: 1
  eval_every: 50
  model_save_interval: 100
  tokenizer_type: "bpe"
  checkpoint_dir: "checkpoints_t3k"
  model_config: "model_configs/tinyllama.yaml"
  log_level: "INFO"
  use_wandb: false
  checkpoint_frequency: 100
  validation_frequency: 50
  save_strategy: "steps"
device_config:
  enable_ddp: True
  mesh_shape: [2, 4]
"""

BLACKSMITH = """\
dataset_id: "sst2"
model_name: "meta-llama/Llama-3.1-8B"
max_length: 64
dtype: "torch.bfloat16"
learning_rate: 2e-4
batch_size: 16
gradient_accumulation_steps: 2
num_epochs: 1
training_model_type: "lora"
lora_r: 4
lora_alpha: 8
lora_target_modules: ["q_proj", "v_proj"]
mesh:
  shape: [2, 4]
  axis_names: ["batch", "model"]
math_fidelity: "HiFi4"
wandb_watch_mode: "all"
steps_freq: 5
val_steps_freq: 10
save_strategy: "step"
keep_last_n: 2
checkpoint_metric: "eval/loss"
checkpoint_metric_mode: "min"
use_tt: true
"""


def read(text: str, name: str = "training.yaml", folder: Path | None = None) -> Reading:
    return DIALECT.read(Foreign((folder or Path("nowhere")) / name, text))


def config_of(layer: Layer) -> Config:
    config, findings = validate(compose([layer]))
    assert config is not None, findings
    return config


def written(reading: Reading, **changes: Any) -> Writing:
    """The reading's config, with changes, in Tenstorrent's words again."""
    edits: dict[str, Any] = {}
    for path, value in changes.items():
        section, _, name = path.partition("__")
        edits.setdefault(section, {})[name] = value
    stack = compose([reading.layer, Layer("edits", edits)])
    config, findings = validate(stack)
    assert config is not None, findings
    return DIALECT.write(config, chosen=frozenset(stack.origins))


def again(writing: Writing, folder: Path) -> Reading:
    """What the written files say, all of them in one folder."""
    for name, text in writing.files.items():
        (folder / name).write_text(text)
    first = next(iter(writing.files))
    return DIALECT.read(Foreign(folder / first, writing.files[first]))


def say(reading: Reading) -> str:
    return "\n".join(f"{each.verdict} {each.path}: {each.message}" for each in reading.remarks)


def first(writing: Writing) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(next(iter(writing.files.values())))
    return tree


# ---------------------------------------------------------------- parameters


def test_a_vocabulary_is_padded_to_tiles() -> None:
    assert [padded(65, 1), padded(50257, 1), padded(50257, 4), padded(128256, 8)] == [
        96,
        50272,
        50304,
        128256,
    ]


def test_a_llama_s_inner_width_is_two_thirds_of_four_in_steps_of_256() -> None:
    assert [default_inner(384), default_inner(2048), default_inner(16384)] == [1024, 5632, 43776]


CHAR = "transformer_config:\n  model_type: {kind}\n  num_heads: 6\n  embedding_dim: 384\n"


@pytest.mark.parametrize(
    ("name", "text", "parameters"),
    [
        (
            "nanogpt_char.yaml",
            CHAR.format(kind="gpt2") + "  num_blocks: 6\n  vocab_size: 128\n",
            10_819_584,
        ),
        (
            "nanollama3_char.yaml",
            CHAR.format(kind="llama") + "  num_groups: 3\n  max_sequence_length: 256\n",
            9_810_816,
        ),
        ("nanogpt.yaml", NANOGPT, 30_050_304),
    ],
)
def test_parameters_are_those_that_the_trainer_prints(
    name: str, text: str, parameters: int
) -> None:
    assert size_of(config_of(read(text, name).layer).model).total == parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("nanogpt_char", 10_819_584),
        ("nanollama3_char", 9_810_816),
        ("gpt2s", 124_451_328),
        ("tinyllama", 1_100_048_384),
        ("llama8b", 8_030_261_248),
        ("llama70b", 70_553_706_496),
    ],
)
def test_a_model_that_is_only_named_is_tt_train_s_own(name: str, parameters: int) -> None:
    text = f"training_config:\n  model_config: {name}.yaml\n  data_path: ''\n  batch_size: 1\n"
    reading = read(text)
    assert size_of(config_of(reading.layer).model).total == parameters
    assert f"tt-train's own {name}.yaml" in say(reading)


# ---------------------------------------------------------------- the pair


@pytest.mark.parametrize(
    "where", ["nanogpt.yaml", "model_configs/nanogpt.yaml", "../model_configs/nanogpt.yaml"]
)
def test_the_model_s_file_is_found_beside_the_training_s(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "configs/training_configs"
    folder.mkdir(parents=True)
    model = folder / where
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_text(NANOGPT.replace("num_blocks: 6", "num_blocks: 9"))
    reading = read(CURRENT, "t.yaml", folder)
    assert config_of(reading.layer).model.num_layers == 9


def test_the_variable_of_a_path_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "tt-train/configs/model_configs/nanogpt.yaml"
    model.parent.mkdir(parents=True)
    model.write_text(NANOGPT.replace("num_blocks: 6", "num_blocks: 5"))
    monkeypatch.setenv("TT_METAL_RUNTIME_ROOT", str(tmp_path))
    assert config_of(read(CURRENT).layer).model.num_layers == 5


def test_a_model_that_is_nowhere_is_said(tmp_path: Path) -> None:
    reading = read(CURRENT.replace("nanogpt.yaml", "mine.yaml"), folder=tmp_path)
    assert "mine.yaml is not here, so the model is unknown" in say(reading)
    assert "model" not in reading.layer.tree


def test_the_pair_goes_back_as_a_pair(tmp_path: Path) -> None:
    (tmp_path / "nanogpt.yaml").write_text(NANOGPT)
    reading = read(CURRENT, "training_n300.yaml", tmp_path)
    writing = written(reading)
    assert list(writing.files) == ["training_n300.yaml", "nanogpt.yaml"]
    assert writing.lost == ()
    mine = {name: yaml.safe_load(text) for name, text in writing.files.items()}
    theirs = yaml.safe_load(CURRENT)
    theirs["training_config"]["optimizer"]["lr"] = 3e-4  # a text to a YAML 1.1 reader
    assert mine["training_n300.yaml"] == theirs
    assert mine["nanogpt.yaml"] == yaml.safe_load(NANOGPT)
    folder = tmp_path / "again"
    folder.mkdir()
    assert again(writing, folder).layer.tree == reading.layer.tree


def test_a_changed_plan_changes_the_keys_that_say_so(tmp_path: Path) -> None:
    (tmp_path / "nanogpt.yaml").write_text(NANOGPT)
    reading = read(CURRENT, folder=tmp_path)
    writing = written(
        reading, training__batch_size=64, training__learning_rate=1e-3, model__num_layers=8
    )
    tree = first(writing)
    assert tree["training_config"]["batch_size"] == 128  # of both chips
    assert tree["training_config"]["optimizer"]["lr"] == 1e-3
    assert yaml.safe_load(writing.files["nanogpt.yaml"])["transformer_config"]["num_blocks"] == 8


def test_a_plan_of_ours_becomes_a_pair(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "model": {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512,
                  "vocab_size": 512, "tie_word_embeddings": False},
        "data": {"max_length": 1024},
        "training": {"batch_size": 2, "lr_scheduler_type": "constant", "optimizer": "lion"},
        "parallel": {"devices_per_node": 8, "tensor_parallel_size": 4},
        "run": {"name": "mine", "hardware": "t3k"},
    }  # fmt: skip
    stack = compose([Layer("mine", tree)])
    config, _ = validate(stack)
    assert config is not None
    writing = DIALECT.write(config, chosen=frozenset(stack.origins))
    assert list(writing.files) == ["training_mine.yaml", "mine_model.yaml"]
    assert first(writing)["device_config"] == {
        "mesh_shape": [2, 4],
        "enable_ddp": True,
        "enable_tp": True,
    }
    assert [each.path for each in writing.lost] == ["training.optimizer"]
    back = config_of(again(writing, tmp_path).layer)
    assert back.model.hidden_size == 128
    assert back.training.batch_size == 2
    assert back.parallel.tensor_parallel_size == 4
    assert back.run.hardware == "t3k"


# ---------------------------------------------------------------- batch, mesh, boards


def test_the_batch_counts_all_data_parallel_chips() -> None:
    config = config_of(read(CURRENT).layer)
    assert config.training.batch_size == 128
    assert config.parallel.devices_per_node == 2
    assert config.parallel.strategy == "ddp"


def test_a_batch_that_cannot_be_shared_is_refused_and_kept() -> None:
    reading = read(CURRENT.replace("batch_size: 256", "batch_size: 255"))
    assert "batch_size 255 cannot be shared evenly by 2 chips" in say(reading)
    assert first(written(reading))["training_config"]["batch_size"] == 255


@pytest.mark.parametrize(
    ("device", "degrees"),
    [
        ("enable_ddp: false\n  mesh_shape: [1, 1]", (1, 1, 1, "auto")),
        ("enable_ddp: true\n  mesh_shape: [1, 8]", (8, 1, 1, "ddp")),
        ("enable_ddp: true\n  mesh_shape: [32, 1]", (32, 1, 1, "ddp")),
        ("enable_tp: true\n  mesh_shape: [1, 8]", (1, 8, 1, "auto")),
        ("enable_tp: true\n  enable_ddp: true\n  mesh_shape: [2, 4]", (2, 4, 1, "ddp")),
        ("enable_tp: true\n  enable_fsdp: true\n  mesh_shape: [8, 4]", (8, 4, 1, "fsdp")),
        ("enable_fsdp: true\n  mesh_shape: [32, 1]", (32, 1, 1, "fsdp")),
        ("enable_cp: true\n  mesh_shape: [1, 8]", (1, 1, 8, "auto")),
    ],
)
def test_a_mesh_and_its_switches_are_degrees(device: str, degrees: tuple[Any, ...]) -> None:
    reading = read(f"device_config:\n  {device}\n", "device.yaml")
    parallel = config_of(reading.layer).parallel
    data, tensor, context, strategy = degrees
    assert parallel.devices_per_node == data * tensor * context
    assert (parallel.tensor_parallel_size, parallel.context_parallel_size) == (tensor, context)
    assert parallel.strategy == strategy
    assert first(written(reading)) == yaml.safe_load(f"device_config:\n  {device}\n")


@pytest.mark.parametrize(
    ("name", "mesh", "hardware"),
    [
        ("finetune_zen_n150", "[1, 1]", "n150"),
        ("ddp_n300", "[1, 2]", "n300"),
        ("p100", "[1, 1]", "p100"),
        ("p150", "[1, 1]", "p150"),
        ("p300c", "[1, 2]", "p300"),
        ("zen_blackhole", "[1, 2]", "p300"),
        ("zen_blackhole", "[1, 1]", "p150"),
        ("quietbox_2", "[1, 4]", "quietbox2"),
        ("loudbox_ddp", "[1, 8]", "t3k"),
        ("t3k", "[1, 8]", "t3k"),
        ("galaxy_ddp", "[1, 32]", "galaxy"),
        ("unnamed", "[1, 32]", "galaxy"),
        ("unnamed", "[1, 1]", None),
        ("n150", "[1, 2]", None),
    ],
)
def test_the_board_is_one_with_the_chips_of_the_mesh(
    name: str, mesh: str, hardware: str | None
) -> None:
    text = f"device_config:\n  enable_ddp: true\n  mesh_shape: {mesh}\n"
    reading = read(text, f"{name}.yaml")
    assert config_of(reading.layer).run.hardware == hardware


def test_the_lesson_s_mesh_of_a_t3k_is_a_finding_with_the_right_one_as_its_fix() -> None:
    reading = read(LESSON, "finetune_t3k.yaml")
    told = say(reading)
    assert "refused device_config.mesh_shape: Only [1, N] mesh shapes are supported" in told
    assert "the mesh is [1, 8]" in told
    found = {each.rule: each for each in Plan(compose([reading.layer])).findings}
    (fix,) = found["mesh-agrees"].fixes
    assert fix.edits[0].value == [1, 8]


def test_clipping_with_tensor_parallelism_is_refused_upstream() -> None:
    text = CURRENT.replace("use_clip_grad_norm: false", "use_clip_grad_norm: true")
    text = text.replace("enable_ddp: true", "enable_tp: true")
    assert "clip_grad_norm is not supported with tensor parallelism" in say(read(text))


# ---------------------------------------------------------------- both generations


def test_the_flat_schema_is_understood_and_today_s_trainer_does_not_read_it() -> None:
    reading = read(LESSON, "finetune_t3k.yaml")
    config = config_of(reading.layer)
    assert config.training.learning_rate == 1e-4
    assert config.training.optimizer == "moreh_adamw"
    assert config.training.max_gradient_norm == 1.0
    assert config.training.eval_steps == 50
    assert config.model.num_key_value_heads == 4
    verdicts = {each.path: each.verdict for each in reading.remarks}
    for name in ("learning_rate", "use_wandb", "save_strategy", "log_level"):
        assert verdicts[f"training_config.{name}"] == "ignored"
    kept = {".".join(each.path): each.reason for each in reading.residue}
    assert "says it already" in kept["training_config.checkpoint_frequency"]


def test_the_scheduler_decides_the_learning_rate() -> None:
    text = LESSON + "scheduler_config:\n  max_lr: 2e-4\n  min_lr: 3e-5\n  warmup_steps: 20\n"
    reading = read(text)
    training = config_of(reading.layer).training
    assert (training.learning_rate, training.lr_end) == (2e-4, 3e-5)
    assert training.lr_scheduler_type == "linear"
    tree = first(written(reading))
    assert tree["training_config"]["learning_rate"] == 1e-4
    assert tree["scheduler_config"]["max_lr"] == 2e-4


def test_warmup_linear_warms_up_for_a_tenth() -> None:
    text = CURRENT.replace("  seed: 5489\n", "  seed: 5489\n  scheduler_type: warmup_linear\n")
    reading = read(text)
    training = config_of(reading.layer).training
    assert (training.lr_scheduler_type, training.warmup_ratio) == ("linear", 0.1)
    assert first(written(reading))["training_config"]["scheduler_type"] == "warmup_linear"


def test_a_variant_of_an_optimizer_is_kept() -> None:
    reading = read(CURRENT.replace("type: AdamW", "type: AdamWFullPrecision"))
    assert config_of(reading.layer).training.optimizer == "adamw"
    assert first(written(reading))["training_config"]["optimizer"]["type"] == "AdamWFullPrecision"
    changed = first(written(reading, training__optimizer="sgd"))
    assert changed["training_config"]["optimizer"]["type"] == "SGD"


def test_stages_of_a_pipeline_are_machines() -> None:
    text = """\
multihost_config:
  enabled: true
  num_workers: 5
  socket_type: fabric
  pipeline_parallel_config:
    num_blocks: 80
    blocks_per_rank: {0: 15, 1: 17, 2: 17, 3: 17, 4: 14}
"""
    reading = read(text, "5worker.yaml")
    config = config_of(reading.layer)
    assert config.parallel.pipeline_parallel_size == config.parallel.num_nodes == 5
    assert config.parallel.blocks_per_rank == [15, 17, 17, 17, 14]
    assert first(written(reading)) == yaml.safe_load(text)


def test_grpo_lora_and_eval_files_have_their_places() -> None:
    text = """\
training_config:
  optimizer: {type: MorehAdamW, lr: 5.0e-6}
  grpo_config: {epsilon: 0.3, num_generations: 4, max_completion_length: 99, report_to: none}
lora_config: {r: 8, lora_alpha: 2.0, is_bias_trainable: true}
eval_config: {top_p: 0.9}
"""
    reading = read(text)
    config = config_of(reading.layer)
    assert (config.rlhf.algorithm, config.rlhf.grpo.epsilon) == ("grpo", 0.3)
    assert (config.lora.r, config.lora.bias, config.evaluation.top_p) == (8, "all", 0.9)
    assert first(written(reading)) == yaml.safe_load(text)


def test_an_overlay_says_only_what_it_says() -> None:
    text = "training_config:\n  max_steps: 7\n  transformer_config:\n    max_sequence_length: 512\n"
    reading = read(text, "training_overrides.yaml")
    config = config_of(reading.layer)
    assert (config.model.max_position_embeddings, config.training.max_steps) == (512, 7)
    assert "hidden_size" not in reading.layer.tree["model"]
    assert first(written(reading)) == yaml.safe_load(text)


def test_latent_attention_and_experts_in_both_layouts() -> None:
    flat = "n_routed_experts: 64\n  n_activated_experts: 6\n  moe_inter_dim: 1408"
    nested = "moe_hyperparam: {n_routed_experts: 64, n_activated_experts: 6, moe_inter_dim: 1408}"
    begin = "transformer_config:\n  model_type: deepseek\n  embedding_dim: 2048\n  num_heads: 16\n"
    begin += "  num_blocks: 4\n  q_lora_rank: 0\n  kv_lora_rank: 512\n  "
    configs = [config_of(read(f"{begin}{each}\n", "m.yaml").layer) for each in (flat, nested)]
    for config in configs:
        assert config.model.mla.enabled
        assert config.model.mla.q_lora_rank is None
        assert config.model.num_experts == 64
        assert config.model.moe.num_dense_layers == 2
    assert size_of(configs[0].model) == size_of(configs[1].model)


# ---------------------------------------------------------------- blacksmith, toolkit


def test_blacksmith_is_fine_tuning_on_a_mesh_with_names() -> None:
    reading = read(BLACKSMITH, "llama_quietbox.yaml")
    config = config_of(reading.layer)
    assert config.lora.enabled
    assert config.lora.r == 4
    assert config.training.batch_size == 8
    assert config.parallel.tensor_parallel_size == 4
    assert config.training.save_steps == config.training.logging_steps == 5
    assert size_of(config.model).total == 8_030_261_248
    assert config.training.metric_for_best_model == "eval_loss"
    tree = yaml.safe_load(BLACKSMITH)
    tree["learning_rate"] = 2e-4
    assert first(written(reading)) == tree


def test_nested_blacksmith_keeps_its_sections() -> None:
    text = """\
dataset_id: sst2
model_name: Qwen/Qwen3-4B
batch_size: 8
training_model_type: lora
max_steps: -1
logging: {log_level: INFO, use_wandb: true, wandb_watch_mode: all}
metrics: {steps_freq: 10, epoch_freq: 1}
checkpoint: {steps_freq: 50, save_strategy: none, keep_last_n: 3}
"""
    reading = read(text, "new.yaml")
    config = config_of(reading.layer)
    assert (config.training.logging_steps, config.training.save_steps) == (10, 50)
    assert config.training.save_strategy == "no"
    assert first(written(reading)) == yaml.safe_load(text)


EARLY = """\
experiment_name: my-lora
tags:
- pytorch
model:
  model_id: meta-llama/Llama-3.2-1B
  dtype: float32
  rank: 4
  alpha: 8
  lora_attn_modules:
  - q_proj
data_loading:
  dataset_id: someone/alpaca
  max_length: 512
  instruction_columns: [instruction]
  batch_size: 2
  train_sample: 100
training_config:
  epochs: 3
  loss: CrossEntropyLoss
  optimizer: AdamW
  optimizer_kwargs:
    lr: 0.001
  run_on: mps
"""


def test_blacksmith_s_first_schema_is_no_tt_train() -> None:
    reading = read(EARLY)
    config = config_of(reading.layer)
    assert (config.training.learning_rate, config.training.num_epochs) == (0.001, 3)
    assert (config.lora.enabled, config.lora.r, config.training.mixed_precision) == (True, 4, "no")
    assert size_of(config.model).total == 1_235_814_400
    assert first(written(reading)) == yaml.safe_load(EARLY)
    edited = first(written(reading, training__optimizer="sgd", training__learning_rate=0.5))
    assert edited["training_config"]["optimizer"] == "SGD"
    assert edited["training_config"]["optimizer_kwargs"] == {"lr": 0.5}


def test_blacksmith_keeps_the_spelling_of_a_precision() -> None:
    jax = BLACKSMITH.replace("torch.bfloat16", "jnp.float32")
    assert "jnp.float32" in jax
    reading = read(jax)
    assert config_of(reading.layer).training.mixed_precision == "no"
    assert first(written(reading))["dtype"] == "jnp.float32"
    assert first(written(reading, training__mixed_precision="bf16"))["dtype"] == "jnp.bfloat16"


def test_blacksmith_s_grpo_is_no_plain_fine_tuning() -> None:
    more = "grpo_beta: 0.005\ngrpo_epsilon: 0.2\nnum_generations: 4\nmax_grad_norm: 0.1\n"
    reading = read(BLACKSMITH + more)
    config = config_of(reading.layer)
    assert (config.rlhf.enabled, config.rlhf.algorithm) == (True, "grpo")
    assert (config.rlhf.grpo.num_generations, config.rlhf.grpo.epsilon) == (4, 0.2)
    assert config.training.max_gradient_norm == 0.1
    back = first(written(reading))
    assert {key: back[key] for key in yaml.safe_load(more)} == yaml.safe_load(more)


def test_a_file_in_nanogpt_s_words_is_a_gpt_2() -> None:
    text = """\
model_config:
  n_layer: 12
  n_head: 12
  n_embd: 768
  block_size: 1024
  vocab_size: 50304
  bias: false
data_config:
  batch_size: 12
training_config:
  learning_rate: 0.0006
  max_iters: 600000
  warmup_iters: 2000
  min_lr: 6.0e-05
"""
    reading = read(text)
    config = config_of(reading.layer)
    assert size_of(config.model).total == 124_373_760 + 25 * 768  # norms here have a bias
    assert (config.training.max_steps, config.training.batch_size) == (600_000, 12)
    assert first(written(reading)) == yaml.safe_load(text)


def test_the_toolkit_s_trainer_does_not_accumulate() -> None:
    text = """\
model_config: {vocab_size: 256, hidden_dim: 256, num_layers: 6, num_heads: 8, mlp_dim: 768}
training_config: {batch_size: 16, gradient_accumulation_steps: 2, grad_clip: 1.0}
device_config: {enable_ddp: false, mesh_shape: [1, 1], device_type: tt}
data_config: {train_data: data/train.pt}
output_config: {output_dir: output/x}
"""
    reading = read(text, "nano.yaml")
    config = config_of(reading.layer)
    assert config.training.gradient_accumulation_steps == 2
    assert "the toolkit's trainer never reads it" in say(reading)
    assert first(written(reading)) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("type: SGD\nlr: 0.001\nmomentum: 0.9\ndampening: 0.0\nnesterov: false\n", "sgd.yaml"),
        ("type: NoOp\nlr: 0.001\n", "no_op.yaml"),
        (
            (
                "embedding_dim: 768\nnum_heads: 12\nnum_blocks: 12\nvocab_size: 30522\n"
                "dropout_prob: 0.1\ntype_vocab_size: 2\nrunner_type: default\n"
            ),
            "bert.yaml",
        ),
        ("log_hyperparameters: true\nlog_every_n_steps: 100\nwandb_dir: ./\n", "logger.yaml"),
    ],
)
def test_a_small_file_goes_back_as_it_was(text: str, name: str) -> None:
    reading = read(text, name)
    assert first(written(reading)) == yaml.safe_load(text)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("dit_config:\n  model_type: dit\n", "diffusion"),
        ("training_config:\n  model_config: x/dit_s.yaml\n", "diffusion"),
        ("mlp_config:\n  input_features: 784\n", "MNIST"),
        ("a: 1\n", "none of the sections"),
        ("training_config: [\n", "YAML"),
        ("", "none of the sections"),
    ],
)
def test_what_cannot_be_trained_here_is_one_message(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read(text)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("in_channels: 5\nhidden_channels: 8\nout_channels: 3\n", "a network on graphs"),
        ("model:\n  netdepth: 8\n  netwidth: 256\n", "a radiance field"),
    ],
)
def test_blacksmith_s_other_networks_are_refused(more: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read(f"{BLACKSMITH}{more}")


def test_an_unknown_type_of_network_is_refused_and_kept() -> None:
    reading = read("transformer_config:\n  model_type: mamba\n  embedding_dim: 8\n", "m.yaml")
    assert "Unsupported model type: mamba" in say(reading)
    assert {each.path[-1] for each in reading.residue} >= {"model_type", "embedding_dim"}


# ---------------------------------------------------------------- real files


@needs_files
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_real_file_goes_back_as_it_was(path: Path, tmp_path: Path) -> None:
    reading = DIALECT.read(Foreign(path, path.read_text()))
    found = DIALECT.recognise(Foreign(path, path.read_text()))
    assert found is not None
    writing = written(reading)
    assert writing.lost == ()
    assert again(writing, tmp_path).layer.tree == reading.layer.tree

"""DeepSeek-V3 1B to 50B: every kind of its files, its loader's verdicts, its true sizes."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config.checking import validate
from workbench.config.keys import keys, value_at
from workbench.config.layers import compose
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.dialects.base import Foreign, Reading, Remark
from workbench.dialects.deepseek_v3 import DIALECT
from workbench.dialects.deepseek_v3.loader import stops
from workbench.dialects.deepseek_v3.remarks import verdict
from workbench.dialects.deepseek_v3.size import built
from workbench.dialects.parsing import leaves
from workbench.plan import plan_from, recipes

UPSTREAM = SHARED / "upstream" / "deepseek_v3"
REAL = sorted(
    path
    for path in UPSTREAM.rglob("*.*")
    if path.suffix in (".json", ".yaml") and "deepspeed_config" not in path.name
)
each_real_file = pytest.mark.parametrize("path", REAL, ids=[path.name for path in REAL])

MAIN: dict[str, Any] = {
    "experiment_name": "mine",
    "output_dir": "./out",
    "seed": 7,
    "model": {
        "num_layers": 6,
        "vocab_size": 1000,
        "norm_type": "rmsnorm",
        "norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "init_method_std": 0.006,
        "dense_layer_interval": 3,
        "mla": {"d_model": 192, "d_latent": 48, "num_heads": 3, "max_context_length": 512},
        "moe": {
            "num_experts": 8,
            "num_experts_per_token": 2,
            "expert_intermediate_size": 528,
            "num_shared_experts": 1,
            "shared_intermediate_size": 264,
        },
    },
    "training": {
        "global_batch_size": 96,
        "micro_batch_size": 2,
        "seq_length": 256,
        "learning_rate": 0.0003,
        "min_learning_rate": 3e-05,
        "use_bf16": True,
        "use_fp8": False,
        "num_predict_tokens": 1,
        "train_steps": 400,
    },
    "data": {
        "dataset_name": "allenai/dolma",
        "dataset_version": "v1_6",
        "cache_dir": None,
        "preprocessing": {"num_workers": 2, "shuffle": True},
        "sources": [{"name": "web", "weight": 3.0}, {"name": "code", "weight": 1.0}],
    },
    "distributed": {
        "backend": "deepspeed",
        "launcher": "deepspeed",
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "expert_parallel_size": 1,
        "data_parallel_size": -1,
        "zero_stage": 1,
        "zero_offload": False,
        "overlap_grad_reduce": True,
        "overlap_param_gather": True,
        "deepspeed": {"enabled": True},
        "slurm": {"enabled": False, "nodes": 2, "gpus_per_node": 4, "time": "1:00:00"},
    },
    "checkpointing": {
        "save_interval": 100,
        "save_total_limit": 5,
        "resume_from_checkpoint": None,
        "checkpoint_format": "deepspeed",
        "save_optimizer_states": True,
    },
    "logging": {"log_interval": 5, "wandb": {"enabled": False}, "tensorboard": {"enabled": True}},
    "validation": {
        "enabled": True,
        "eval_interval": 50,
        "eval_samples": 100,
        "metrics": ["loss"],
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    """The file with other values: ``model__mla__d_latent=64``; ``...`` takes a key out."""
    tree = copy.deepcopy(MAIN)
    for path, value in changes.items():
        inner = tree
        *sections, name = path.split("__")
        for section in sections:
            inner = inner.setdefault(section, {})
        if value is ...:
            del inner[name]
        else:
            inner[name] = value
    return tree


def read(tree: dict[str, Any], name: str = "mine.json") -> Reading:
    text = json.dumps(tree, indent=1) if name.endswith("json") else yaml.safe_dump(tree)
    return DIALECT.read(Foreign(Path(name), text))


def config_of(reading: Reading) -> Config:
    config, findings = validate(compose([reading.layer]))
    assert config is not None, findings
    return config


def written(reading: Reading, **changes: Any) -> dict[str, Any]:
    """The file that a reading is written to, after edits of the plan."""
    stack = compose([reading.layer])
    tree = copy.deepcopy(stack.tree)
    for path, value in changes.items():
        inner = tree
        *sections, name = path.split("__")
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    stack = compose([dataclasses.replace(reading.layer, tree=tree)])
    config, findings = validate(stack)
    assert config is not None, findings
    writing = DIALECT.write(config, chosen=frozenset(stack.origins) & keys().keys())
    assert writing.lost == ()
    (text,) = writing.files.values()
    found: dict[str, Any] = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
    return found


def remarks(reading: Reading, path: str, verdict: str | None = None) -> list[Remark]:
    return [each for each in reading.remarks if each.path == path and each.verdict == verdict]


# ---------------------------------------------------------------- what keys mean


PLACES = {
    "model.hidden_size": 192,
    "model.num_layers": 6,
    "model.num_attention_heads": 3,
    "model.mla.enabled": True,
    "model.mla.kv_lora_rank": 48,
    "model.max_position_embeddings": 512,
    "model.num_experts": 8,
    "model.num_experts_per_token": 2,
    "model.moe.expert_intermediate_size": 528,
    "model.moe.shared_intermediate_size": 264,
    "model.moe.dense_layer_interval": 3,
    "training.mixed_precision": "bf16",
    "training.batch_size": 2,
    "training.lr_end": 3e-05,
    "training.max_steps": 400,
    "training.save_steps": 100,
    "training.eval_steps": 50,
    "training.logging_steps": 5,
    "data.max_length": 256,
    "data.dataset_name": "allenai/dolma",
    "data.dataloader_num_workers": 2,
    "data.max_eval_examples": 100,
    "parallel.strategy": "deepspeed",
    "parallel.num_nodes": 2,
    "parallel.devices_per_node": 4,
    "deepspeed.zero_stage": 1,
    "checkpointing.format": "deepspeed",
    "run.name": "mine",
    "run.seed": 7,
}


@pytest.mark.parametrize("path", PLACES)
def test_a_key_goes_to_its_place(path: str) -> None:
    assert value_at(config_of(read(MAIN)), path) == PLACES[path]


def test_every_leaf_is_a_place_or_residue() -> None:
    reading = read(MAIN)
    told = {*reading.places, *(".".join(each.path) for each in reading.residue)}
    assert {".".join(path) for path, _ in leaves(MAIN)} == told


def test_a_key_keeps_the_line_that_it_stands_in() -> None:
    text = json.dumps(MAIN, indent=1)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if '"d_latent"' in row)
    assert read(MAIN).layer.marks["model", "mla", "kv_lora_rank"].line == line


@pytest.mark.parametrize(
    ("switches", "precision"),
    [
        ({"use_fp8": True}, "fp8"),
        ({"use_bf16": False}, "no"),
        ({"use_bf16": False, "use_fp16": True}, "fp16"),
        ({"use_bf16": True, "use_fp16": False}, "bf16"),
    ],
)
def test_precision_switches(switches: dict[str, bool], precision: str) -> None:
    tree = changed(**{f"training__{name}": value for name, value in switches.items()})
    reading = read(tree)
    assert config_of(reading).training.mixed_precision == precision
    assert [each for each in reading.residue if each.path[-1] in switches] == []
    assert written(reading) == tree


def test_two_switches_at_once_contradict() -> None:
    reading = read(changed(training__use_fp16=True))
    (kept,) = [each for each in reading.residue if each.path == ("training", "use_bf16")]
    assert "training.use_fp16 says true, which counts here" in kept.reason


def test_the_width_of_an_expert_has_two_names() -> None:
    reading = read(changed(model__moe__expert_dim=100))
    assert config_of(reading).model.moe.expert_intermediate_size == 528
    assert [each.value for each in reading.residue if each.path[-1] == "expert_dim"] == [100]
    assert "the loader sets it" in verdict("model.moe.expert_dim", MAIN)[1]


def test_groups_of_heads_have_no_place_in_latent_attention() -> None:
    reading = read(changed(model__mla__num_kv_heads=1))
    assert "for every head" in next(
        each.reason for each in reading.residue if each.path[-1] == "num_kv_heads"
    )
    same = read(changed(model__mla__num_kv_heads=3))
    assert same.places["model.mla.num_kv_heads"] == ("model.num_key_value_heads",)


def test_dense_layers_are_as_large_as_upstreams() -> None:
    model = config_of(read(MAIN)).model
    assert model.hidden_act == "swiglu"
    assert 3 * model.intermediate_size == 2 * 4 * model.hidden_size


# ---------------------------------------------------------------- devices and batches


def test_the_batch_counts_sequences() -> None:
    reading = read(MAIN)  # 96 = 2 x 6 x 8 devices
    training = config_of(reading).training
    assert (training.gradient_accumulation_steps, training.global_batch_size) == (6, 96)
    (told,) = remarks(reading, "training.global_batch_size")
    assert "2 x 6 accumulated x 8 data-parallel = 96" in told.message


def test_a_batch_that_does_not_divide_is_rounded_down_and_said() -> None:
    reading = read(changed(training__global_batch_size=100))
    training = config_of(reading).training
    assert (training.gradient_accumulation_steps, training.global_batch_size) == (6, None)
    assert [each.value for each in reading.residue if each.path[-1] == "global_batch_size"] == [100]
    assert written(reading)["training"]["global_batch_size"] == 100
    (told,) = remarks(reading, "training.global_batch_size")
    assert "short of the 100 asked for" in told.message


def test_upstream_divides_by_all_devices() -> None:
    reading = read(changed(distributed__tensor_parallel_size=2))
    assert config_of(reading).training.gradient_accumulation_steps == 12  # 96 / (2 x 4)
    (told,) = remarks(reading, "training.global_batch_size", "read")
    assert "upstream divides by all 8 devices" in told.message
    assert "6 accumulated" in told.message


def test_data_parallelism_is_what_the_other_degrees_leave() -> None:
    tree = changed(distributed__tensor_parallel_size=2, distributed__expert_parallel_size=2)
    (told,) = remarks(read(tree), "distributed.data_parallel_size")
    assert "8 devices / (TP 2 x PP 1 x EP 2) = 2" in told.message


def test_without_machines_the_degrees_make_the_devices() -> None:
    tree = changed(
        distributed__slurm=...,
        distributed__data_parallel_size=3,
        distributed__expert_parallel_size=2,
        distributed__tensor_parallel_size=2,
        training__global_batch_size=24,
    )
    reading = read(tree)
    parallel = config_of(reading).parallel
    assert parallel.devices_per_node == 12  # 2 x 1 x 2 x 3
    assert parallel.data_parallel_size == 6  # experts are divided inside it
    assert config_of(reading).training.gradient_accumulation_steps == 2
    assert written(reading) == tree


def test_no_nodes_are_one() -> None:
    reading = read(changed(distributed__slurm__nodes=0))
    assert config_of(reading).parallel.devices_per_node == 1
    assert "0 nodes is none" in remarks(reading, "distributed.slurm.nodes")[0].message


def test_an_accumulation_of_its_own_has_to_agree() -> None:
    agreed = read(changed(training__gradient_accumulation_steps=6))
    ours = ("training.gradient_accumulation_steps",)
    assert agreed.places["training.gradient_accumulation_steps"] == ours
    other = read(changed(training__gradient_accumulation_steps=9))
    assert "global_batch_size makes it 6" in {each.reason for each in other.residue}
    for tree in (6, 9):
        given = changed(training__gradient_accumulation_steps=tree)
        assert written(read(given)) == given


def test_an_accumulation_alone_goes_back_and_follows_the_plan() -> None:
    alone = changed(training__global_batch_size=..., training__gradient_accumulation_steps=5)
    reading = read(alone)
    assert written(reading) == alone
    edited = written(reading, training__gradient_accumulation_steps=7)
    assert edited["training"]["gradient_accumulation_steps"] == 7


RELEASED = {
    "vocab_size": 129280, "dim": 7168, "inter_dim": 18432, "moe_inter_dim": 2048, "n_layers": 61,
    "n_dense_layers": 3, "n_heads": 128, "n_routed_experts": 256, "n_shared_experts": 1,
    "n_activated_experts": 8, "n_expert_groups": 8, "n_limited_groups": 4, "route_scale": 2.5,
    "score_func": "sigmoid", "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "dtype": "fp8",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "parameters"),
    [
        ({}, 671_026_404_352),
        (
            {"vocab_size": 102400, "dim": 2048, "inter_dim": 10944, "moe_inter_dim": 1408,
             "n_layers": 27, "n_dense_layers": 1, "n_heads": 16, "n_routed_experts": 64,
             "n_shared_experts": 2, "n_activated_experts": 6, "n_expert_groups": 1,
             "n_limited_groups": 1, "route_scale": 1.0, "score_func": "softmax", "q_lora_rank": 0},
            15_706_484_224,
        ),
    ],
    ids=["V3", "V2 Lite"],
)  # fmt: skip
def test_a_config_of_the_inference_code_is_the_shape_of_the_network(
    change: dict[str, Any], parameters: int
) -> None:
    tree = RELEASED | change
    guess = DIALECT.recognise(Foreign(Path("config.json"), json.dumps(tree)))
    assert guess is not None
    assert "inference" in guess.reason
    reading = read(tree)
    assert size_of(config_of(reading).model).total == parameters
    assert not [each for each in reading.remarks if each.verdict == "refused"]
    assert written(reading) == tree


def test_the_mixture_is_told_in_shares() -> None:
    (told,) = remarks(read(MAIN), "data.sources")
    assert "web 75%, code 25%" in told.message


# ---------------------------------------------------------------- upstream's loader


def test_a_complete_file_is_accepted() -> None:
    assert stops(MAIN) == []
    assert not [each for each in read(MAIN).remarks if each.verdict == "refused"]


REFUSED = [
    ({"data__chinchilla_tokens": 1}, "data.chinchilla_tokens",
     "TypeError: DataConfig.__init__() got an unexpected keyword argument 'chinchilla_tokens'"),
    ({"model__moe__use_segmented_experts": True}, "model.moe.use_segmented_experts",
     "TypeError: MoEConfig.__init__() got an unexpected keyword argument 'use_segmented_experts'"),
    ({"training__device": "cpu"}, "training.device",
     "TypeError: TrainingConfig.__init__() got an unexpected keyword argument 'device'"),
    ({"data__sources": ..., "data__dataset_version": ...}, "data",
     ("TypeError: DataConfig.__init__() missing 2 required positional arguments: 'dataset_version'"
     " and 'sources'")),
    ({"distributed__slurm": ...}, "distributed",
     "TypeError: DistributedConfig.__init__() missing 1 required positional argument: 'slurm'"),
    ({"model__mla": ...}, "model.mla", "KeyError: 'mla'"),
    ({"model__norm_eps": ...}, "model", "KeyError: 'norm_eps'"),
    ({"model__mla__d_latent": 192}, "model.mla.d_latent",
     "ValueError: d_latent (192) must be < d_model (192)"),
    ({"model__mla__num_heads": 5}, "model.mla.num_heads",
     "ValueError: d_model (192) must be divisible by num_heads (5)"),
    ({"model__mla__num_kv_heads": 2}, "model.mla.num_kv_heads",
     "ValueError: num_heads (3) must be divisible by num_kv_heads (2) for GQA"),
    ({"model__moe__num_experts_per_token": 9}, "model.moe.num_experts_per_token",
     "ValueError: top_k (9) cannot exceed num_experts (8)"),
    ({"model__moe__segment_routing": "both"}, "model.moe.segment_routing",
     "ValueError: segment_routing must be 'independent' or 'shared', got: both"),
    ({"seed": ...}, "seed", "KeyError: 'seed'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "message"), REFUSED)
def test_what_the_loader_refuses_is_predicted(
    changes: dict[str, Any], path: str, message: str
) -> None:
    tree = changed(**changes)
    assert [(stop.path, stop.message) for stop in stops(tree)][:1] == [(path, message)]
    assert verdict(path, tree) == ("refused", message)
    if "model__mla" not in changes:
        whole = remarks(read(tree), "", "refused")
        assert message in whole[0].message


@pytest.mark.parametrize("given", [{"a": 1, "x": 2}, {"a": 1}, {}, {"a": 1, "b": 2, "c": 3}])
def test_messages_are_pythons(given: dict[str, int]) -> None:
    from workbench.dialects.deepseek_v3.loader import _Call, _call

    made = dataclasses.make_dataclass("DataConfig", ["a", "b", "c"])
    predicted = list(_call(_Call("DataConfig", "data", ("a", "b", "c")), given))
    if not predicted:
        made(**given)
        return
    with pytest.raises(TypeError) as error:
        made(**given)
    assert predicted[0].message == f"TypeError: {error.value}"


def test_keys_that_upstream_takes_and_does_not_read_are_told() -> None:
    reading = read(MAIN)
    assert remarks(reading, "training.use_bf16", "ignored")
    assert verdict("distributed.zero_stage", MAIN)[0] == "ignored"
    assert verdict("vocoder.type", MAIN)[0] == "ignored"
    assert verdict("training.learning_rate", MAIN) == ("read", "")


# ---------------------------------------------------------------- true sizes


# num_layers, d_model, d_latent, experts, per token, shared, width, interval: billions as coded
SIZES = {
    "1b": ((16, 1536, 384, 16, 4, 1, 4224, 4), 5.03, 4.57, 1.77),
    "5b": ((24, 2560, 640, 32, 6, 2, 7040, 4), 35.4, 34.6, 9.3),
    "10b": ((32, 3072, 768, 48, 6, 3, 8448, 4), 98.8, 97.8, 19.3),
    "15b": ((36, 3584, 896, 64, 8, 4, 9856, 3), 178, 177, 34.3),
    "20b": ((40, 4096, 1024, 80, 8, 5, 11264, 3), 313, 311, 52.0),
    "25b": ((44, 4608, 1152, 96, 8, 6, 12672, 3), 527, 525, 78),
    "30b": ((48, 5120, 1280, 112, 8, 7, 14080, 3), 835, 833, 113),
    "35b": ((52, 5632, 1408, 128, 8, 8, 15488, 3), 1220, 1220, 154),
    "40b": ((56, 6144, 1536, 144, 8, 9, 16896, 3), 1780, 1780, 210),
    "45b": ((60, 6656, 1664, 160, 8, 10, 18304, 3), 2510, 2500, 281),
    "50b": ((64, 7168, 1792, 176, 8, 11, 19712, 3), 3350, 3350, 360),
}


def sized(name: str) -> dict[str, Any]:
    layers, width, latent, experts, chosen, shared, inner, interval = SIZES[name][0]
    return changed(
        model__num_layers=layers,
        model__vocab_size=128000,
        model__dense_layer_interval=interval,
        model__mla={"d_model": width, "d_latent": latent, "num_heads": width // 64},
        model__moe={
            "num_experts": experts,
            "num_experts_per_token": chosen,
            "expert_intermediate_size": inner,
            "num_shared_experts": shared,
            "shared_intermediate_size": inner,
        },
        training__num_predict_tokens=2,
    )


@pytest.mark.parametrize("name", SIZES)
def test_the_size_is_that_of_upstreams_code(name: str) -> None:
    _, total, without, active = SIZES[name]
    counted = built(sized(name))
    assert counted is not None
    assert counted.total / 1e9 == pytest.approx(total, rel=4e-3)
    assert (counted.total - counted.heads) / 1e9 == pytest.approx(without, rel=4e-3)
    assert counted.active / 1e9 == pytest.approx(active, rel=7e-3)


def test_the_size_is_exact() -> None:
    """As torch counted the parameters of upstream's own model, built without weights."""
    counted = built(sized("1b"))
    assert counted is not None
    assert counted.total == 5_026_624_524
    small = built(
        changed(
            model__num_layers=2,
            model__vocab_size=8000,
            model__dense_layer_interval=1,
            model__mla={"d_model": 128, "d_latent": 32, "num_heads": 4},
            model__moe={
                "num_experts": 2,
                "num_experts_per_token": 1,
                "expert_intermediate_size": 256,
            },
        )
    )
    assert small is not None
    assert small.total == 10_238_912


def test_the_remark_names_the_true_size() -> None:
    (told,) = [
        each for each in read(sized("50b")).remarks if "as its code builds it" in each.message
    ]
    assert "3.35 T" in told.message
    assert "3,354,517,154,254" in told.message


def test_a_layer_of_experts_that_is_never_built_is_told() -> None:
    reading = read(changed(model__dense_layer_interval=1))
    assert any("never built" in each.message for each in reading.remarks)


# ---------------------------------------------------------------- writing


def test_reading_what_was_written_is_reading_the_file() -> None:
    assert written(read(MAIN)) == MAIN


def test_an_edit_reaches_every_key_that_says_it() -> None:
    tree = changed(training__save_interval=100, training__mtp_tokens=1)
    back = written(read(tree), training__save_steps=250, training__mtp={"num_future_tokens": 3})
    assert back["training"]["save_interval"] == back["checkpointing"]["save_interval"] == 250
    assert back["training"]["num_predict_tokens"] == back["training"]["mtp_tokens"] == 3
    assert {**back, "training": 0, "checkpointing": 0} == {
        **tree,
        "training": 0,
        "checkpointing": 0,
    }


@pytest.mark.parametrize("name", [item.name for item in recipes() if item.featured])
def test_any_plan_becomes_a_file_that_the_loader_accepts(name: str) -> None:
    plan = plan_from(name)
    chosen = frozenset(plan.composed.origins) & keys().keys()
    writing = DIALECT.write(plan.config, chosen=chosen)
    (text,) = writing.files.values()
    assert [stop for stop in stops(json.loads(text)) if stop.path != "model.vocab_size"] == []
    again = config_of(DIALECT.read(Foreign(Path("again.json"), text)))
    lost = {each.path for each in writing.lost}
    assert [path for path in sorted(chosen - lost) if value_at(plan.config, path)
            != value_at(again, path)] == []  # fmt: skip
    assert all(each.reason for each in writing.lost)
    assert "run_training.py --config" in writing.command


# ---------------------------------------------------------------- other kinds


OFFICIAL = {
    "model": {"name": "v3_official", "vocab_size": 129280, "hidden_size": 7168,
              "num_hidden_layers": 61, "num_attention_heads": 128, "first_k_dense_replace": 3,
              "rope_scaling": {"type": "default", "factor": 1.0}},
    "mla": {"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128},
    "moe": {"num_experts": 256, "n_shared_experts": 1, "moe_intermediate_size": 2048,
            "n_group": 8, "topk_group": 1, "scoring_func": "sigmoid"},
    "training": {"micro_batch_size": 4, "global_batch_size": 512, "learning_rate": 3e-4},
    "dataset": {"path": "allenai/dolma", "split": "train"},
}  # fmt: skip
ALIGNED = {
    "d_model": 256,
    "vocab_size": 1000,
    "num_layers": 4,
    "mla": {"d_latent": 64, "num_heads": 4, "num_kv_heads": 2, "rope_base": 10000.0},
    "moe": {"num_experts": 8, "num_experts_per_token": 2, "expert_intermediate_size": 512},
    "ffn": {"intermediate_size": 512, "activation": "swiglu"},
    "mtp": {"enabled": False, "num_predict_tokens": 0},
    "training": {"mixed_precision": True, "learning_rate": None, "micro_batch_size": 1},
}
SFT = {"mask_prompt": True, "maintain_load_balance": True, "learning_rate": 2e-5, "batch_size": 1,
       "report_to": ["tensorboard", "wandb"], "mixed_precision": True}  # fmt: skip
DPO = {"beta": 0.2, "sft_loss_weight": 0.1, "learning_rate": 1e-6, "ipo_grad_norm": False}
PPO = {"n_steps": 2048, "n_epochs": 10, "kl_coef": 0.02, "learning_rate": 3e-4, "batch_size": 64,
       "use_sde": False}  # fmt: skip
DATA = {"data": {"dataset_name": "dolma", "preprocessing": {"shuffle": True}},
        "training": {"seq_length": 512, "micro_batch_size": 4, "global_batch_size": 32},
        "notes": ["small"]}  # fmt: skip
SANITIZE = {"language_filtering": {"target_language": "en"}, "quality_thresholds": {"min": 1}}
KINDS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("official.json", OFFICIAL, {"model.moe.num_dense_layers": 3, "model.num_layers": 61,
     "training.gradient_accumulation_steps": 128, "model.num_experts_per_token": 8},
     "KeyError: 'mla'"),
    ("model_7b.yaml", ALIGNED, {"model.hidden_size": 256, "model.mla.v_head_dim": 64,
     "training.mixed_precision": "bf16"}, "ImportError"),
    ("sft.yaml", SFT, {"logging.wandb.enabled": True, "logging.tensorboard.enabled": True,
     "data.format": "chat"}, "ImportError"),
    ("dpo.yaml", DPO, {"rlhf.dpo.beta": 0.2, "rlhf.algorithm": "dpo", "rlhf.enabled": True},
     "ImportError"),
    ("ppo.yaml", PPO, {"rlhf.ppo.ppo_epochs": 10, "rlhf.algorithm": "ppo"}, "ImportError"),
    ("dolma.json", DATA, {"training.gradient_accumulation_steps": 8, "data.max_length": 512},
     "KeyError: 'model'"),
    ("sanitization.json", SANITIZE, {}, "KeyError: 'model'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tree", "places", "refused"), KINDS)
def test_the_other_kinds_of_file(
    name: str, tree: dict[str, Any], places: dict[str, Any], refused: str
) -> None:
    guess = DIALECT.recognise(Foreign(Path(name), json.dumps(tree)))
    assert guess is not None
    assert guess.score > 0.8
    reading = read(tree, name)
    config = config_of(reading)
    assert {path: value_at(config, path) for path in places} == places
    assert refused in remarks(reading, "", "refused")[0].message
    assert written(reading) == tree


def test_a_vocabulary_that_upstreams_code_cannot_build_is_told() -> None:
    tree = changed(model__vocab_size=65536)
    config = config_of(read(tree))
    stack = compose([read(tree).layer])
    writing = DIALECT.write(config, chosen=frozenset(stack.origins) & keys().keys())
    assert [each.path for each in writing.lost] == ["model.vocab_size"]
    assert "negative dimension" in stops(tree)[0].message


def test_a_model_for_alignment_is_told_its_size() -> None:
    (size,) = remarks(read(ALIGNED, "model_7b.yaml"), "")
    assert re.search(r"model_7b describes [\d.]+ M parameters \([\d,]+\)", size.message)


def test_rates_are_written_as_numbers_to_every_reader() -> None:
    stack = compose([read(SFT, "sft.yaml").layer])
    config, _ = validate(stack)
    assert config is not None
    (text,) = DIALECT.write(config, chosen=frozenset(stack.origins) & keys().keys()).files.values()
    assert "learning_rate: 2.0e-05" in text
    assert yaml.safe_load(text)["learning_rate"] == 2e-05


def test_deepspeeds_own_files_are_deepspeeds() -> None:
    tree = {
        "train_batch_size": "auto",
        "zero_optimization": {"stage": 1},
        "bf16": {"enabled": True},
    }
    assert DIALECT.recognise(Foreign(Path("deepspeed_config.json"), json.dumps(tree))) is None


# ---------------------------------------------------------------- the real files


@pytest.mark.skipif(not REAL, reason="the upstream files are not here")
@each_real_file
def test_a_real_file_is_read_and_written_back(path: Path) -> None:
    foreign = Foreign(path, path.read_text())
    guess = DIALECT.recognise(foreign)
    assert guess is not None
    assert guess.score > 0.8
    reading = DIALECT.read(foreign)
    assert reading.remarks
    tree = json.loads(foreign.text) if path.suffix == ".json" else None
    if tree is not None and "mla" in tree.get("model", {}):
        assert stops(tree)  # upstream's own loader refuses every one of its files
        assert built(tree) is not None
    back = written(reading)
    text = json.dumps(back) if tree is not None else yaml.safe_dump(back)
    again = DIALECT.read(Foreign(path, text))
    assert again.layer.tree == reading.layer.tree
    assert again.places == reading.places
    assert [(e.path, e.value, e.reason) for e in sorted(again.residue, key=lambda e: e.path)] == [
        (e.path, e.value, e.reason) for e in sorted(reading.residue, key=lambda e: e.path)
    ]
    if tree is not None:
        assert back == tree

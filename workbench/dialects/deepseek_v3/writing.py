"""A plan in the system's words: the main file, or the kind that it was read from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.dialects.base import Lost
from workbench.dialects.building import plant
from workbench.dialects.deepseek_v3.main import dense_width
from workbench.dialects.deepseek_v3.reading import KIND, OTHERS, SYSTEM
from workbench.dialects.deepseek_v3.size import impossible_vocabulary
from workbench.dialects.deepseek_v3.tables import MAIN
from workbench.dialects.telling import Teller

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Writing

_ORDER = (
    "experiment_name", "output_dir", "seed", "description", "model", "mla", "moe", "training",
    "data", "dataset", "distributed", "checkpointing", "logging", "validation",
)  # fmt: skip
_YAML = ("model", "sft", "dpo", "ppo")


def write(config: Config, chosen: frozenset[str]) -> Writing:
    """Say a plan in the system's words."""
    teller = Teller(SYSTEM, config, chosen)
    name = str(teller.tree.pop(KIND, "main"))
    source = config.imported.source if config.imported.system == SYSTEM else None
    if name in ("main", "data"):
        _main(teller, complete=name == "main" and source is None)
        file = source or "deepseek_v3.json"
        rest = "the system has no such key"
        command = f"python scripts/run_training.py --config {file}"
        if name == "data":
            return teller.writing({file: _json(teller.tree)}, rest=rest)
        return _told(teller.writing({file: _json(teller.tree)}, command=command, rest=rest), config)
    kind = OTHERS[name]
    kind.claims.write(teller)
    for path, value in kind.derived.items():
        if teller.our(path) == value:
            teller.said(path)
    if name == "inference":
        teller.said("model.moe.normalize_expert_weights", "model.moe_balancing.method")
    if name == "model":
        _derived_heads(teller)
    if name == "official":
        _sequences(teller)
    file = source or f"{name}.{'yaml' if name in _YAML else 'json'}"
    text = _yaml(teller.tree) if name in _YAML else _json(teller.tree)
    return teller.writing({file: text}, rest="that kind of file has no such key")


def _told(writing: Writing, config: Config) -> Writing:
    """The writing, with what is in it and stops the system's code all the same."""
    size = config.model.vocab_size
    if not impossible_vocabulary(size):
        return writing
    why = "its code stops at vocabularies between 51,540 and 116,000"
    return replace(writing, lost=(*writing.lost, Lost("model.vocab_size", size, why)))


def _main(teller: Teller, *, complete: bool) -> None:
    if complete:
        MAIN.write(teller, everything=True)
        _required(teller)
    else:
        MAIN.write(teller)
    _sequences(teller)
    _degrees(teller)
    _derived_heads(teller)
    model = teller.config.model
    _say_or_lose(
        teller,
        "model.hidden_act",
        holds=model.hidden_act == "swiglu",
        why="its experts are SwiGLU and its dense layers GELU",
    )
    _say_or_lose(
        teller,
        "model.intermediate_size",
        holds=model.intermediate_size == dense_width(model.hidden_size),
        why="its dense layers are four times the width",
    )


def _derived_heads(teller: Teller) -> None:
    model, mla = teller.config.model, teller.config.model.mla
    head = model.hidden_size // model.num_attention_heads
    paths = ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    same = mla.qk_nope_head_dim + mla.qk_rope_head_dim == head == mla.v_head_dim
    for path in paths:
        _say_or_lose(
            teller,
            f"model.mla.{path}",
            holds=same,
            why=f"a head is d_model / num_heads wide: {head} features",
        )
    _say_or_lose(
        teller, "model.mla.enabled", holds=mla.enabled, why="its attention is always latent"
    )


def _say_or_lose(teller: Teller, path: str, *, holds: bool, why: str) -> None:
    """A key that goes without saying where `holds` is true."""
    if holds:
        teller.said(path)
    elif path in teller.chosen:
        teller.lose(path, why)


def _sequences(teller: Teller) -> None:
    """Sequences of a step, which the system divides by itself."""
    config, training = teller.config, teller.config.training
    data = Degrees.of(config).data
    steps = training.gradient_accumulation_steps
    micro = training.batch_size
    reached = micro * steps * data
    stored = _at(teller.tree, "training", "global_batch_size")
    own = ("training", "gradient_accumulation_steps")
    chosen = teller.chosen
    alone = stored is None and _at(teller.tree, *own) is not None
    if alone and "training.global_batch_size" not in chosen:
        plant(teller.tree, own, steps)  # the file says it so
    keys = ("training.gradient_accumulation_steps", "training.global_batch_size")
    fits = isinstance(stored, int) and max(1, stored // (micro * data)) == steps
    asked = "training.global_batch_size" in chosen or _at(teller.tree, *own) is None
    if not fits and asked and ({*keys, "model.hidden_size"} & chosen):
        plant(teller.tree, ("training", "global_batch_size"), reached)
    teller.said(*keys)


def _degrees(teller: Teller) -> None:
    config, chosen = teller.config, teller.chosen
    parallel = config.parallel
    expert = parallel.expert_parallel_size
    asked = parallel.data_parallel_size
    if "parallel.data_parallel_size" in chosen:
        if asked is None or asked < 0:
            plant(teller.tree, ("distributed", "data_parallel_size"), -1)
            teller.said("parallel.data_parallel_size")
        elif asked % expert == 0:
            plant(teller.tree, ("distributed", "data_parallel_size"), asked // expert)
            teller.said("parallel.data_parallel_size")
        else:
            teller.lose(
                "parallel.data_parallel_size",
                f"it multiplies by the expert degree, and {asked} is no multiple of {expert}",
            )
    devices = parallel.num_nodes * parallel.devices_per_node
    if "parallel.num_nodes" in chosen or devices > _product(teller):
        plant(teller.tree, ("distributed", "slurm", "nodes"), parallel.num_nodes)
        plant(teller.tree, ("distributed", "slurm", "gpus_per_node"), parallel.devices_per_node)
    teller.said("parallel.num_nodes", "parallel.devices_per_node")
    if config.parallel.strategy == "deepspeed":
        if "parallel.strategy" in chosen:
            plant(teller.tree, ("distributed", "backend"), "deepspeed")
        teller.said("parallel.strategy")


def _product(teller: Teller) -> int:
    parallel = teller.config.parallel
    asked = parallel.data_parallel_size
    data = asked if asked is not None and asked > 0 else parallel.expert_parallel_size
    return parallel.tensor_parallel_size * parallel.pipeline_parallel_size * data


def _required(teller: Teller) -> None:
    """What the system's loader demands and a plan does not say."""
    config = teller.config
    defaults: dict[tuple[str, ...], Any] = {
        ("experiment_name",): config.run.name or "workbench",
        ("data", "dataset_name"): config.data.dataset_name or "allenai/dolma",
        ("data", "dataset_version"): config.data.dataset_config_name or "v1_7",
        ("data", "sources"): [],
        ("distributed", "backend"): "deepspeed" if config.deepspeed.enabled else "nccl",
        ("distributed", "launcher"): "deepspeed",
        ("distributed", "data_parallel_size"): -1,
        ("distributed", "deepspeed"): {"enabled": config.deepspeed.enabled},
        ("distributed", "slurm"): {"enabled": False},
    }
    for path, value in (defaults | _numbers(teller)).items():
        if _at(teller.tree, *path) is None:
            plant(teller.tree, path, value)


def _numbers(teller: Teller) -> dict[tuple[str, ...], Any]:
    """Numbers that the loader demands where a plan may say null."""
    model = teller.config.model
    experts, inner = model.num_experts, model.moe.expert_intermediate_size
    if not model.mla.enabled:
        plant(teller.tree, ("model", "mla", "d_latent"), max(1, model.hidden_size // 4))
    if experts > 1 and model.moe.dense_layer_interval is None:
        teller.lose("model.moe.dense_layer_interval", "its first layer is always dense")
    return {
        ("model", "dense_layer_interval"): model.num_layers if experts > 1 else 1,
        ("model", "moe", "expert_intermediate_size"): inner or model.intermediate_size,
        ("model", "moe", "expert_dim"): inner or model.intermediate_size,
        # As many places as there are tokens: no token is dropped.
        ("model", "moe", "capacity_factor"): experts / model.num_experts_per_token,
        ("training", "tokens_per_parameter_ratio"): 20.0,
    }


def _at(tree: dict[str, Any], *path: str) -> Any:
    value: Any = tree
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _ordered(tree: dict[str, Any]) -> dict[str, Any]:
    rank = {name: index for index, name in enumerate(_ORDER)}
    return {name: tree[name] for name in sorted(tree, key=lambda n: rank.get(n, len(rank)))}


def _json(tree: dict[str, Any]) -> str:
    return json.dumps(_ordered(tree), indent=2, ensure_ascii=False) + "\n"


def _yaml(tree: dict[str, Any]) -> str:
    from workbench.dialects.yaml_text import yaml_text

    return yaml_text(_ordered(tree))

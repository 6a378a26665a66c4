"""Random configs as somebody draws them who knows the schema alone, and none of our generators.

A shape of a family and how it is trained; then any other key that the trainer honours and that
could change what is allocated, at any value that it may have. What a rule refuses is drawn again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tests.estimate import families
from workbench.config.keys import keys
from workbench.config.linears import NEVER_ADAPTED, groups_of
from workbench.config.rules import Subject, check
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random

    from workbench.config.keys import Key

FAMILIES = ("dense", "gqa", "mla", "moe", "bert", "t5", "lora")
OPTIMIZERS = (
    "adamw", "adamw", "adam", "sgd", "adagrad", "adafactor", "lamb", "lion", "muon", "adamw_8bit",
)  # fmt: skip
SHARE = 0.1
"""Of the other keys that are drawn."""

_VARIED = ("model", "training", "fsdp", "lora", "data.noise_density", "data.mean_noise", "parallel")
_NOT_VARIED = (
    # What is drawn apart, or needs files.
    "_size", "_heads", "num_layers", "num_encoder_layers", "num_experts", "max_position", "enabled",
    "model_type", "head_dim", "pretrained", "strategy", "optimizer", "accumulation", "_nodes",
    "max_steps", "rope_scaling", "episodic", "global_batch", "target_modules", "num_labels",
    "model.head",
    # What no step allocates by.
    "lr_", "warmup", "save_", "eval_", "early", "adaptive_lr", "stability", "compile", "master_",
    "hostfile", "backend", "launcher", "logging", "loss_scaling", "num_epochs", "total_training",
    "tokens_per", "metric", "load_best",
)  # fmt: skip


def accepted(rng: random.Random, strategy: str, family: str) -> Config:
    """A config of a family that trains with a strategy, and that no rule refuses."""
    while True:
        tree = _tree(rng, strategy, family)
        try:
            config = Config.model_validate(tree)
        except ValidationError:
            continue
        if not any(each.severity == "error" for each in check(Subject(config))):
            return config


def _tree(rng: random.Random, strategy: str, family: str) -> dict[str, Any]:
    kind = rng.choice(FAMILIES[:-1]) if family == "lora" else family
    model = _model(rng, kind)
    tree = {
        "model": model,
        "training": _training(rng, strategy, kind),
        "data": _data(rng, model),
        "parallel": {
            "strategy": strategy,
            "devices_per_node": 1 if strategy == "single" else rng.choice([1, 2, 3, 4, 6, 8]),
        },
    }
    if strategy != "single":
        tree["parallel"]["num_nodes"] = rng.choice([1, 1, 2])
    if strategy == "fsdp":
        tree["fsdp"] = {
            "sharding_strategy": rng.choice(["full", "hybrid", "shard_grad_op", "no_shard"]),
            "cpu_offload": rng.random() < 0.2,
            "offload_activations": rng.random() < 0.25,
        }
    for key in keys().values():
        if _varies(key, kind) and rng.random() < SHARE:
            _put(tree, key.path, rng.choice(_values(key)))
    if family == "lora":
        tree["lora"] = _adapters(rng, tree) | tree.get("lora", {})
    return tree


def _model(rng: random.Random, family: str) -> dict[str, Any]:
    heads, width = rng.choice([1, 2, 3, 4, 6, 8]), rng.choice([16, 32, 40, 64, 96])
    found: dict[str, Any] = {
        "num_attention_heads": heads,
        "head_dim": width,
        "hidden_size": rng.choice([heads * width, 128, 192, 320, 512, 768]),
        "num_layers": rng.choice([1, 2, 2, 3, 4]),
        "intermediate_size": rng.choice([100, 256, 683, 1365, 2048]),
        "vocab_size": rng.choice([256, 1000, 5003, 32000, 50257]),
        "max_position_embeddings": 2048,
    }
    groups = [each for each in range(1, heads + 1) if heads % each == 0]
    if family in ("gqa", "moe"):
        found["num_key_value_heads"] = rng.choice(groups)
    if family == "moe" or (family == "mla" and rng.random() < 0.3):
        experts = rng.choice([2, 3, 4, 6, 8, 16])
        found["num_experts"] = experts
        found["num_experts_per_token"] = rng.choice([n for n in (1, 2, 3, 4) if n <= experts])
        found["moe"] = {"expert_intermediate_size": rng.choice([None, 64, 129, 200, 512])}
    if family == "mla":
        found["mla"] = {
            "enabled": True,
            "kv_lora_rank": rng.choice([16, 64, 200]),
            "q_lora_rank": rng.choice([None, 24, 192]),
            "qk_nope_head_dim": rng.choice([16, 32, 64]),
            "qk_rope_head_dim": rng.choice([8, 16, 32]),
            "v_head_dim": rng.choice([12, 32, 64, 100]),
        }
    if family == "bert":
        heads_of = ["language", "language", "classification", "token_classification"]
        found |= {"model_type": "bert", "head": rng.choice(heads_of)}
    if family == "t5":
        found |= {"model_type": "t5", "num_encoder_layers": rng.choice([None, 1, 2, 4])}
    return found


def _training(rng: random.Random, strategy: str, family: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "batch_size": rng.choice([1, 1, 2, 3, 6]),
        "gradient_accumulation_steps": rng.choice([1, 1, 2, 3]),
        "gradient_checkpointing": rng.random() < 0.5,
        "mixed_precision": rng.choice(["no", "bf16", "bf16", "fp16", "auto"]),
        "optimizer": rng.choice(OPTIMIZERS),
    }
    if strategy != "fsdp" and rng.random() < 0.2:
        found[rng.choice(["split_weights", "kahan_summation", "stochastic_rounding"])] = True
    if family not in ("bert", "t5") and rng.random() < 0.15:
        found["mtp"] = families.mtp(rng)
    return found


def _data(rng: random.Random, model: dict[str, Any]) -> dict[str, Any]:
    found = {
        "max_length": rng.choice([64, 100, 256, 300, 512, 777, 1024]),
        "packing": rng.choice(["stream", "stream", "documents", "none"]),
        "format": rng.choice(["text", "text", "instruction", "chat"]),
    }
    if model.get("model_type") == "bert":
        found["format"] = "text" if model["head"] == "language" else model["head"]
    if model.get("model_type") == "t5" and found["packing"] == "documents":
        found["packing"] = "none"
    return found


def _varies(key: Key, family: str) -> bool:
    path = key.path
    if not path.startswith(_VARIED) or key.unhonoured or not _values(key):
        return False
    if path.startswith("model.mla.") and family != "mla":
        return False
    return not any(part in path for part in _NOT_VARIED)


def _values(key: Key) -> list[Any]:
    """Values of a key, some of them at the end of its range."""
    none: list[Any] = [None] if key.optional else []
    if key.type == "boolean":
        return [True, False]
    if key.type == "choice":
        return [each for each in key.choices if each not in key.unhonoured_values] + none
    least = max(key.bounds.get("ge", 0), key.bounds.get("gt", 0))
    if key.type == "integer":
        numbers: list[float] = [int(least) + more for more in (0, 1, 2, 3, 7, 30)]
    elif key.type == "number":
        numbers = [0.0, 0.1, 0.3, 0.5, 1.0, 1.5]
    else:
        return []
    open_, most = key.bounds.get("gt"), key.bounds.get("le", float("inf"))
    below = key.bounds.get("lt", float("inf"))
    fits = [
        each
        for each in numbers
        if least <= each <= most and each < below and (open_ is None or each > open_)
    ]
    return fits + none


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[name] = value


def _adapters(rng: random.Random, tree: dict[str, Any]) -> dict[str, Any]:
    mtp = {"mtp": tree["training"].get("mtp", {})}
    try:
        config = Config.model_validate({"model": tree["model"], "training": mtp})
    except ValidationError:
        return {}
    names = sorted(
        {
            each.name
            for group in groups_of(config.model, config.training.mtp)
            for each in group.linears
            if each.name.rpartition(".")[2] not in NEVER_ADAPTED and group.places
        }
    )
    last = sorted({each.rpartition(".")[2] for each in names})
    targets = rng.choice([["all-linear"], rng.sample(last, rng.randint(1, len(last)))])
    return {"enabled": True, "r": rng.choice([1, 2, 8, 16, 64]), "target_modules": targets}

"""Random configs of everything at once, as somebody draws them who wants to catch the ledger.

A family, any option of it, adapters, heads for later tokens, an optimizer, a number format, what is
computed again, and an engine: whatever the schema accepts and the trainer builds. Sizes are drawn
so that most peaks are above 50 MiB, wide and long rather than deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.estimate import families, shapes
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random

OPTIMIZERS = (
    "adamw", "adamw", "adam", "sgd", "adagrad", "adafactor", "lamb", "lion", "muon", "adamw_8bit",
)  # fmt: skip
NARROW = ("split_weights", "kahan_summation", "stochastic_rounding", None, None)
FAMILIES = ("decoder", "gqa", "mla", "moe", "bert", "t5")


def anything(
    rng: random.Random, strategy: str, family: str | None = None, *, adapted: float = 0.25
) -> Config:
    """A config that trains with a strategy.

    Args:
        rng: What is random.
        strategy: ``single``, ``ddp`` or ``fsdp``.
        family: One of `FAMILIES`; None: any.
        adapted: Share of those with adapters.
    """
    family = family or rng.choice(FAMILIES)
    model = _model(rng, family)
    training = _training(rng, model)
    if strategy == "fsdp":  # which refuses weights in 16 bits
        for each in NARROW:
            training.pop(each or "", None)
    tree = {
        "model": model,
        "training": training,
        "data": _data(rng, model),
        "lora": _adapters(rng, model, training) if rng.random() < adapted else {},
        "parallel": {
            "strategy": strategy,
            "devices_per_node": 1 if strategy == "single" else rng.choice([2, 3, 4, 8]),
        },
        "fsdp": {
            "reshard_after_forward": rng.random() < 0.7,
            "sharding_strategy": rng.choice(["full", "full", "shard_grad_op"]),
        },
    }
    return Config.model_validate(tree)


def _model(rng: random.Random, family: str) -> dict[str, Any]:
    heads = rng.choice([1, 2, 3, 6, 8])
    width = rng.choice([24, 32, 64, 80])
    found: dict[str, Any] = {
        "hidden_size": rng.choice([heads * width, 200, 384, 768]),
        "head_dim": width,
        "num_attention_heads": heads,
        "num_key_value_heads": rng.choice([n for n in range(1, heads + 1) if heads % n == 0]),
        "num_layers": rng.choice([1, 1, 2, 2, 3, 4]),
        "intermediate_size": rng.choice([96, 683, 1000, 2048]),
        "vocab_size": rng.choice([256, 1001, 32003, 50257]),
        "norm_type": rng.choice(["rmsnorm", "layernorm"]),
        "hidden_act": rng.choice(
            ["swiglu", "swiglu", "gelu", "relu", "relu_squared", "geglu", "silu", "gelu_new"]
        ),
        "attention_bias": rng.random() < 0.3,
        "attention_out_bias": rng.choice([None, None, False, True]),
        "mlp_bias": rng.random() < 0.3,
        "lm_head_bias": rng.random() < 0.2,
        "qk_norm": rng.random() < 0.3,
        "position_embedding_type": rng.choice(["rope", "rope", "learned", "alibi", "none"]),
        "tie_word_embeddings": rng.random() < 0.5,
        "residual_type": rng.choice(["sequential", "parallel", "parallel_shared_norm"]),
        "max_position_embeddings": 2048,
        "partial_rotary_factor": rng.choice([1.0, 1.0, 0.5]),
        "rope_interleaved": rng.random() < 0.3,
        "attention_implementation": rng.choice(["auto", "auto", "eager", "sdpa"]),
        "sliding_window": rng.choice([None, None, 1, 40, 5000]),
    }
    if rng.random() < 0.35:
        found |= {
            name: rng.choice([0.0, 0.1])
            for name in ("attention_dropout", "hidden_dropout", "embedding_dropout")
        }
    if family == "decoder":
        found["num_key_value_heads"] = None
    if family == "moe":
        found |= shapes.experts(rng)
    if family in ("moe", "mla") and (family == "mla" or rng.random() < 0.2):
        found["mla"] = shapes.mla(rng)["mla"]
        if rng.random() < 0.2:
            found |= shapes.experts(rng)
    if family == "bert":
        found |= {
            "model_type": "bert",
            "head": rng.choice(["language", "language", "classification", "token_classification"]),
            "num_labels": rng.choice([2, 7]),
        }
    if family == "t5":
        found |= {
            "model_type": "t5",
            "num_key_value_heads": None,
            "num_encoder_layers": rng.choice([None, None, 1, 3]),
        }
    return found


def _training(rng: random.Random, model: dict[str, Any]) -> dict[str, Any]:
    kind = rng.choice(["none", "none", "block", "selective"])
    found: dict[str, Any] = {
        "batch_size": rng.choice([1, 1, 2, 3, 8]),
        "gradient_accumulation_steps": rng.choice([1, 1, 2, 3]),
        "gradient_checkpointing": kind != "none",
        "gradient_checkpointing_kind": "block" if kind == "none" else kind,
        "mixed_precision": rng.choice(["no", "bf16", "bf16", "fp16", "fp8", "auto"]),
        "optimizer": rng.choice(OPTIMIZERS),
        "amsgrad": rng.random() < 0.2,
        "momentum": rng.choice([0.0, 0.9]),
        "nesterov": False,
        "weight_decay": rng.choice([0.0, 0.1]),
        "use_ema": rng.random() < 0.2,
        "max_gradient_norm": rng.choice([1.0, 1.0, 0.0]),
        "clip_grad_value": rng.choice([None, None, 0.5]),
        "gradient_health": {"enabled": rng.random() < 0.2},
        **families.losses(rng),
    }
    narrow = rng.choice(NARROW)
    if narrow is not None:
        found[narrow] = True
    if model.get("model_type", "decoder") == "decoder" and rng.random() < 0.25:
        found["mtp"] = families.mtp(rng) | {
            "head_intermediate_size": rng.choice([None, 200]),
            "head_dropout": rng.choice([0.0, 0.0, 0.1]),
            "primary_loss_weight": rng.choice([1.0, 0.5]),
        }
    return found


def _data(rng: random.Random, model: dict[str, Any]) -> dict[str, Any]:
    length = rng.choice([33, 127, 200, 512, 1000, 1025])
    found: dict[str, Any] = {"max_length": length}
    family = model.get("model_type", "decoder")
    if family == "bert":
        whole = model["head"] == "classification"
        found["format"] = "classification" if whole else "text"
    if family == "t5":
        found["format"] = rng.choice(["text", "text", "instruction"])
        found["packing"] = rng.choice(["stream", "none"])
    else:
        found["packing"] = rng.choice(["stream", "stream", "documents", "none"])
    return found


def _adapters(
    rng: random.Random, model: dict[str, Any], training: dict[str, Any]
) -> dict[str, Any]:
    """Adapters on layers that the network has."""
    from workbench.config.linears import NEVER_ADAPTED, groups_of

    config = Config.model_validate({"model": model, "training": {"mtp": training.get("mtp", {})}})
    names = sorted(
        group.prefix.format(place) + each.name
        for group in groups_of(config.model, config.training.mtp)
        for place in group.places
        for each in group.linears
        if each.name not in NEVER_ADAPTED
    )
    return families.lora(rng, names) | {"dropout": rng.choice([0.0, 0.0, 0.1])}

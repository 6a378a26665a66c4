"""Random shapes of every family that is built, the same ones for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.estimate.configs import decoder
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random


def any_decoder(rng: random.Random) -> dict[str, Any]:
    """A dense decoder with any option that has parameters, or none."""
    return decoder(rng) | {
        "attention_out_bias": rng.choice([None, False, True]),
        "position_embedding_type": rng.choice(["rope", "learned", "alibi", "none"]),
        "partial_rotary_factor": 1.0,
    }


def mla(rng: random.Random) -> dict[str, Any]:
    """A decoder with latent attention."""
    return any_decoder(rng) | {
        "mla": {
            "enabled": True,
            "kv_lora_rank": rng.choice([8, 20]),
            "q_lora_rank": rng.choice([None, 12]),
            "qk_nope_head_dim": rng.choice([8, 16]),
            "qk_rope_head_dim": rng.choice([4, 8]),
            "v_head_dim": rng.choice([8, 12]),
        }
    }


def moe(rng: random.Random) -> dict[str, Any]:
    """A decoder with experts, in all layers or in some."""
    experts = rng.choice([2, 4, 8])
    return rng.choice([any_decoder, mla])(rng) | {
        "num_experts": experts,
        "num_experts_per_token": rng.choice([n for n in (1, 2, 4) if n <= experts]),
        "moe": {
            "expert_intermediate_size": rng.choice([None, 40]),
            "num_shared_experts": rng.choice([0, 1, 2]),
            "shared_intermediate_size": rng.choice([None, 24]),
            "dense_layer_interval": rng.choice([None, 2, 3]),
            "num_dense_layers": rng.choice([0, 1, 2]),
        },
        "moe_balancing": {"method": rng.choice(["aux_loss", "loss_free"])},
    }


def bert(rng: random.Random) -> dict[str, Any]:
    """An encoder with one of its heads."""
    shape = any_decoder(rng)
    return shape | {
        "model_type": "bert",
        "head": rng.choice(["language", "classification", "token_classification"]),
        "num_labels": rng.choice([2, 7]),
    }


def t5(rng: random.Random) -> dict[str, Any]:
    """An encoder and a decoder."""
    shape = any_decoder(rng)
    return shape | {
        "model_type": "t5",
        "num_key_value_heads": None,
        "num_encoder_layers": rng.choice([None, 1, 3]),
    }


def mtp(rng: random.Random) -> dict[str, Any]:
    """Heads for the tokens after the next one."""
    return {
        "enabled": True,
        "num_future_tokens": rng.choice([1, 2, 3]),
        "head_type": rng.choice(["linear", "mlp", "block"]),
        "head_intermediate_size": rng.choice([None, 56]),
    }


def lora(rng: random.Random, names: list[str]) -> dict[str, Any]:
    """Adapters on some of the layers of these names."""
    last = sorted({name.rpartition(".")[2] for name in names})
    patterns = ["*down_proj", "blocks.[02].*", "*.attention.*"]
    targets = rng.choice(
        [["all-linear"], rng.sample(last, rng.randint(1, len(last))), [rng.choice(names)]]
        + [[each] for each in patterns if _finds(each, names)]
    )
    return {
        "enabled": True,
        "r": rng.choice([1, 4, 16]),
        "target_modules": targets,
        "bias": rng.choice(["none", "all", "lora_only"]),
    }


def _finds(pattern: str, names: list[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for name in names)


def dropouts(rng: random.Random) -> dict[str, Any]:
    """Dropout in some places."""
    return {
        name: rng.choice([0.0, 0.1])
        for name in ("attention_dropout", "hidden_dropout", "embedding_dropout")
    }


def options(rng: random.Random) -> dict[str, Any]:
    """A decoder with masks, dropout, and any way to attend."""
    return (
        any_decoder(rng)
        | (dropouts(rng) if rng.random() < 0.5 else {})
        | {
            "attention_implementation": rng.choice(["auto", "auto", "eager", "sdpa"]),
            "sliding_window": rng.choice([None, None, 40]),
        }
    )


def losses(rng: random.Random) -> dict[str, Any]:
    """What is minimised."""
    return {
        "label_smoothing": rng.choice([0.0, 0.1]),
        "losses": rng.choice(
            [
                {},
                {},
                {"focal_loss": True},
                {"initial_temperature": 2.0},
                {"entropy_regularization": 0.01},
            ]
        ),
    }


def trained(rng: random.Random, family: str, strategy: str) -> Config:
    """A config of a family (``bert``, ``t5``, ``options``) that trains with a strategy."""
    model = {"bert": bert, "t5": t5, "options": options}[family](rng)
    data: dict[str, Any] = {"max_length": rng.choice([64, 200, 512])}
    if family == "bert":
        model |= {"attention_implementation": rng.choice(["auto", "eager"])}
        model["head"] = rng.choice(["language", "language", "classification"])
        classes = model["head"] == "classification"
        data["format"] = "classification" if classes else "text"
    if family == "t5":
        model |= {"attention_implementation": rng.choice(["auto", "eager"])}
        data["format"] = rng.choice(["text", "text", "instruction"])
        data["packing"] = rng.choice(["stream", "none"])
    else:
        data["packing"] = rng.choice(["stream", "stream", "documents", "none"])
    if family != "options" and rng.random() < 0.3:
        model |= dropouts(rng)
    model["num_layers"] = rng.choice([1, 2, 3])
    kind = rng.choice(["none", "none", "block", "selective"])
    return Config.model_validate(
        {
            "model": model,
            "training": {
                "batch_size": rng.choice([1, 2, 5]),
                "gradient_accumulation_steps": rng.choice([1, 2]),
                "gradient_checkpointing": kind != "none",
                "gradient_checkpointing_kind": "block" if kind == "none" else kind,
                "mixed_precision": rng.choice(["no", "bf16", "fp16"]),
                **(losses(rng) if family == "options" else {}),
            },
            "data": data,
            "parallel": {
                "strategy": strategy,
                "devices_per_node": 1 if strategy == "single" else rng.choice([2, 4, 8]),
            },
            "fsdp": {"reshard_after_forward": rng.random() < 0.7},
        }
    )

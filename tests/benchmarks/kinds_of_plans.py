"""A plan of every family with every engine, at sizes that people train, for what is timed."""

from __future__ import annotations

from typing import Any

from workbench.config.schema import Config
from workbench.estimate.fit.edits import changed

_DECODER: dict[str, Any] = {
    "hidden_size": 4096,
    "num_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}
_GQA = _DECODER | {
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}
_MLA = {"enabled": True, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128}  # fmt: skip
_EXPERTS = {"num_shared_experts": 2, "num_dense_layers": 1, "expert_intermediate_size": 1408}

FAMILIES: dict[str, dict[str, Any]] = {
    "decoder": {"model": _DECODER},
    "GQA": {"model": _GQA},
    "MLA": {"model": _DECODER | {"mla": _MLA}},
    "MoE": {"model": _GQA | {"num_experts": 64, "num_experts_per_token": 6, "moe": _EXPERTS}},
    "BERT": {
        "model": _DECODER | {"model_type": "bert", "norm_type": "layernorm", "hidden_act": "gelu"},
        "data": {"max_length": 512},
    },
    "T5": {
        "model": _DECODER | {"model_type": "t5", "num_layers": 24},
        "data": {"max_length": 512},
    },
    "LoRA": {
        "model": _GQA,
        "lora": {"enabled": True, "r": 16, "target_modules": ["q_proj", "v_proj"]},
    },
    "MTP": {
        "model": _GQA,
        "training": {"mtp": {"enabled": True, "num_future_tokens": 2, "head_type": "block"}},
    },
}
"""What they are, without what trains them."""

_EIGHT = {"devices_per_node": 8}


def _zero(stage: int, *, optimizer: str = "none", weights: str = "none") -> dict[str, Any]:
    section: dict[str, Any] = {"enabled": True, "zero_stage": stage}
    section["offload_optimizer"] = {"device": optimizer}
    section["offload_param"] = {"device": weights}
    return {"deepspeed": section, "parallel": _EIGHT}


ENGINES: dict[str, dict[str, Any]] = {
    "single": {},
    "DDP": {"parallel": _EIGHT | {"strategy": "ddp"}},
    "FSDP2": {"parallel": _EIGHT | {"strategy": "fsdp"}},
    "FSDP2, host": {"parallel": _EIGHT | {"strategy": "fsdp"}, "fsdp": {"cpu_offload": True}},
    "ZeRO 0": _zero(0),
    "ZeRO 1": _zero(1),
    "ZeRO 2": _zero(2),
    "ZeRO 3": _zero(3),
    "ZeRO 2, host": _zero(2, optimizer="cpu"),
    "ZeRO 3, host": _zero(3, optimizer="cpu", weights="cpu"),
}
"""What trains them: on the host is the optimizer, and where it can be the weights too."""


def plan_of(family: str, engine: str) -> Config:
    """A plan whose step has 5,760 sequences, on one device or eight."""
    tree = _merged(
        {
            "training": {"batch_size": 6, "gradient_accumulation_steps": 120},
            "data": {"max_length": 2048},
        },
        FAMILIES[family],
    )
    tree = _merged(tree, ENGINES[engine])
    return Config.model_validate(tree)


def others_of(plan: Config, number: int) -> list[Config]:
    """The same plan with other widths, as somebody types them: no two have a number in common."""
    return [
        changed(
            plan,
            {
                "model.hidden_size": plan.model.hidden_size + 256 * (each + 1),
                "model.intermediate_size": plan.model.intermediate_size + 256 * (each + 1),
                "model.head_dim": plan.model.hidden_size // plan.model.num_attention_heads,
            },
        )
        for each in range(number)
    ]


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = dict(one)
    for key, value in other.items():
        before = found.get(key)
        found[key] = _merged(before, value) if isinstance(before, dict) else value
    return found

"""Random configs of engines and optimizers over dense decoders, the same ones for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.estimate.configs import config as plain_config
from tests.estimate.everything import anything
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random

OPTIMIZERS = (
    "adamw", "adam", "sgd", "adagrad", "adafactor", "lamb", "lion", "muon", "adamw_8bit",
)  # fmt: skip

NARROW = ("split_weights", "kahan_summation", "stochastic_rounding", None)


def _tree(rng: random.Random, strategy: str) -> dict[str, Any]:
    return plain_config(rng, strategy).model_dump(mode="json")


def optimizers(rng: random.Random, strategy: str) -> Config:
    """Any optimizer and number format; often so few tokens that the update is largest."""
    tree = _tree(rng, strategy)
    training = tree["training"]
    training["optimizer"] = rng.choice(OPTIMIZERS)
    training["amsgrad"] = rng.random() < 0.3
    training["momentum"] = rng.choice([0.0, 0.9])
    training["nesterov"] = training["optimizer"] == "muon" and rng.random() < 0.5
    training["weight_decay"] = rng.choice([0.0, 0.1])
    training["use_ema"] = rng.random() < 0.3
    training["mixed_precision"] = rng.choice(["no", "bf16", "bf16", "fp16", "fp8"])
    narrow = rng.choice(NARROW)
    if training["mixed_precision"] == "bf16" and strategy != "fsdp" and narrow is not None:
        training[narrow] = True
    tree["model"]["hidden_size"] = rng.choice([256, 512, 768])
    tree["model"]["intermediate_size"] = rng.choice([1000, 2048])
    if rng.random() < 0.7:
        training["batch_size"], tree["data"]["max_length"] = 1, 16
    return Config.model_validate(tree)


def zero(rng: random.Random, stage: int, *, offload: bool = False) -> Config:
    """DeepSpeed; fp16 is not among the formats, for DeepSpeed refuses it on most CPUs."""
    tree = _tree(rng, "ddp")
    training = tree["training"]
    training["optimizer"] = rng.choice(["adamw", "adamw", "adam", "sgd", "lion"])
    training["mixed_precision"] = rng.choice(["no", "bf16", "bf16"])
    tree["parallel"] |= {"strategy": "auto", "devices_per_node": rng.choice([1, 2, 4, 8])}
    tree["deepspeed"] |= {
        "enabled": True,
        "zero_stage": stage,
        "zero_allow_untested_optimizer": True,
        "reduce_bucket_size": rng.choice([10**5, 10**6, 5 * 10**6, 5 * 10**7]),
        "overlap_comm": rng.choice([None, None, True, False]),
    }
    if offload:
        training["optimizer"] = "adamw"
        tree["deepspeed"]["offload_optimizer"]["device"] = "cpu"
    if rng.random() < 0.5:
        training["batch_size"], tree["data"]["max_length"] = 1, 16
    return Config.model_validate(tree)


def any_zero(rng: random.Random, stage: int, *, offload: bool = False) -> Config:
    """DeepSpeed over a config of everything at once, with any of its own keys."""
    tree = anything(rng, "single").model_dump(mode="json")
    training = tree["training"]
    training["optimizer"] = rng.choice(["adamw", "adamw", "adam", "sgd", "lion", "adagrad"])
    training["mixed_precision"] = rng.choice(["no", "bf16", "bf16"])
    for name in ("split_weights", "kahan_summation", "stochastic_rounding", "use_ema"):
        training[name] = False
    training["clip_grad_value"] = None
    tree["parallel"] |= {"strategy": "auto", "devices_per_node": rng.choice([1, 2, 3, 4, 8])}
    tree["deepspeed"] |= {
        "enabled": True,
        "zero_stage": stage,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "reduce_bucket_size": rng.choice([10**5, 10**6, 5 * 10**6, 5 * 10**7]),
        "overlap_comm": rng.choice([None, None, True, False]),
    }
    kept = rng.random() < 0.2
    tree["deepspeed"]["activation_checkpointing"]["cpu_checkpointing"] = kept
    if offload:
        tree["deepspeed"]["offload_optimizer"]["device"] = "cpu"
    if offload and stage == 3 and rng.random() < 0.5:
        tree["deepspeed"]["offload_param"]["device"] = "cpu"
    if stage < 3:
        _keys(rng, tree, stage, offload=offload)
    else:
        _windows(rng, tree)
    return Config.model_validate(tree)


def _windows(rng: random.Random, tree: dict[str, Any]) -> None:
    """What decides under stage 3 which weights are whole, and how gradients go."""
    section = tree["deepspeed"]
    choices: dict[str, list[Any]] = {
        "stage3_prefetch_bucket_size": [0, 10**4, 10**5, 10**6, 5 * 10**7],
        "stage3_param_persistence_threshold": [0, 10**3, 10**5, 10**6],
        "stage3_model_persistence_threshold": [None, None, 10**5, 10**6],
        "stage3_max_live_parameters": [0, 10**5, 10**6, 10**7, 10**9],
        "stage3_max_reuse_distance": [0, 10**5, 10**6, 10**7, 10**9],
        "stage3_use_all_reduce_for_fetch_params": [False, False, True],
        "contiguous_gradients": [True, True, False],
        "reduce_scatter": [True, True, False],
        "sub_group_size": [10**5, 10**6, 10**9],
    }
    if rng.random() < 0.8:
        section |= {name: rng.choice(values) for name, values in choices.items()}
    for name in ("communication_data_type", "grad_accum_dtype"):
        if rng.random() < 0.2:
            section[name] = rng.choice(["fp32", "bf16"])
    if not section["reduce_scatter"]:  # else DeepSpeed refuses it
        section["prescale_gradients"] = rng.random() < 0.3
    tree["training"]["no_decay_patterns"] = rng.choice([None, None, ["bias"], ["attention"], []])


def _keys(rng: random.Random, tree: dict[str, Any], stage: int, *, offload: bool) -> None:
    """Whatever else of DeepSpeed's section has to do with memory, as far as it takes it."""
    section, training = tree["deepspeed"], tree["training"]

    def draw(share: float, name: str, *values: object) -> None:
        if rng.random() < share:
            section[name] = rng.choice(values)

    for name in ("contiguous_gradients", "reduce_scatter", "use_multi_rank_bucket_allreduce"):
        draw(0.3, name, False)
    draw(0.3, "round_robin_gradients", True)
    draw(0.3, "allgather_partitions", False)
    draw(0.3, "allgather_bucket_size", 10**4, 10**6)
    draw(0.3, "communication_data_type", "fp32", "bf16", "fp16")
    draw(0.4 if stage else 0, "grad_accum_dtype", "fp32", "fp32", "bf16", "fp16")
    if stage < 2 or not section["reduce_scatter"]:  # stage 2 refuses them with it
        draw(0.2, "prescale_gradients", True)
        draw(0.2, "gradient_predivide_factor", 2.0)
    for name, value in (("check_grad_overflow", False), ("immediate_grad_update", True)):
        if rng.random() < 0.2:
            section["bf16"][name] = value
    if stage > 0 and not offload and rng.random() < 0.15:  # DeepSpeed takes one with the other
        section["bf16"] |= {"master_weights_and_grads": True, "optimizer_states": True}
    section["offload_optimizer"]["pin_memory"] = rng.random() < 0.7
    wide = section["grad_accum_dtype"] == "fp32" and training["mixed_precision"] == "bf16"
    if wide and stage == 1 and not offload:  # the trainer refuses it
        section["grad_accum_dtype"] = None
    training["no_decay_patterns"] = rng.choice(
        [None, None, None, ["bias"], ["bias", "norm"], ["embedding"], ["attention"], ["s.1."], []]
    )


FSDP = ("hybrid", "no_shard", "shard_grad_op", "cpu_offload", "formats")
"""What `fsdp` can vary."""


def fsdp(rng: random.Random, what: str) -> Config:
    """FSDP, one thing at a time."""
    tree = _tree(rng, "fsdp")
    section = tree["fsdp"]
    if what == "cpu_offload":
        section["cpu_offload"] = True
    elif what == "formats":
        section["reduce_dtype"] = rng.choice(["bf16", "fp32"])
        section["param_dtype"] = rng.choice([None, "fp32", "bf16"])
    else:
        section["sharding_strategy"] = what
    if what == "hybrid":
        tree["parallel"]["num_nodes"] = 2
    return Config.model_validate(tree)

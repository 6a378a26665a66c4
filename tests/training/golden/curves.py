"""The first hundred losses of every family, and the command that writes them down again:

    OMP_NUM_THREADS=1 PYTHONPATH=kernels:. python -m tests.training.golden.curves [FAMILY ...]

A curve is recorded again only when the training is meant to be another one; the commit says why.
Everything that a step is made of takes part: model, loss, gradient, clipping, schedule, optimizer.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.config.schema import Config
from workbench.data.batches import IGNORE, MicroBatch
from workbench.machine import cpu_flags
from workbench.models.build import build_model
from workbench.models.huggingface import config_from_hf
from workbench.models.huggingface.configs import model_config
from workbench.models.init import init_weights
from workbench.models.moe_balance import balance_experts
from workbench.training.distributed import World
from workbench.training.engines.choose import make_engine
from workbench.training.objective import Objective
from workbench.training.schedule import learning_rate
from workbench.training.step import compute_gradient

FOLDER = Path(__file__).parent
STEPS = 100
VOCABULARY = 64
_MASK, _COUNTED = 1, 12

WIDTHS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32,
}
GPT: dict[str, Any] = {
    "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": VOCABULARY, "n_positions": 32,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0,
}  # fmt: skip
DEEPSEEK: dict[str, Any] = WIDTHS | {
    "kv_lora_rank": 8, "q_lora_rank": 6, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4,
    "v_head_dim": 4, "num_key_value_heads": 2, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_group": 2, "topk_group": 1, "n_shared_experts": 1, "moe_intermediate_size": 12,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 0, "routed_scaling_factor": 1.0,
    "norm_topk_prob": True,
}  # fmt: skip
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
T5: dict[str, Any] = {
    "d_model": 16, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "d_kv": 8,
    "d_ff": 24, "vocab_size": VOCABULARY, "dropout_rate": 0.0, "pad_token_id": 0,
    "decoder_start_token_id": 0,
}  # fmt: skip

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**WIDTHS, "model_type": "llama", "num_key_value_heads": 1},
    "mistral": {**WIDTHS, "model_type": "mistral", "sliding_window": 8},
    "qwen2": {**WIDTHS, "model_type": "qwen2"},
    "qwen3": {**WIDTHS, "model_type": "qwen3", "head_dim": 8},
    "mixtral": {**WIDTHS, **EXPERTS, "model_type": "mixtral"},
    "deepseek_v3": {**DEEPSEEK, "model_type": "deepseek_v3"},
    "gpt2": {**GPT, "model_type": "gpt2"},
    "gptj": {**GPT, "model_type": "gptj", "rotary_dim": 4},
    "gpt_neox": {**WIDTHS, "model_type": "gpt_neox", "rotary_pct": 0.5},
    "bert": {**WIDTHS, **NO_DROPOUT, "model_type": "bert"},
    "t5": {**T5, "model_type": "t5"},
    "ava_moe": {},
}
"""By name, the config.json of a tiny model; Ava's own has keys of ours instead."""

AVA: dict[str, Any] = {
    "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "vocab_size": VOCABULARY, "max_position_embeddings": 32, "num_experts": 4,
    "num_experts_per_token": 2, "hidden_dropout": 0.1, "router_aux_loss_coef": 0.01,
}  # fmt: skip


def config_of(family: str) -> Config:
    """The config of a tiny run of a family."""
    hf = FAMILIES[family]
    model = model_config(config_from_hf(hf)).model_dump() if hf else AVA
    training = {
        "batch_size": 2,
        "max_steps": STEPS,
        "learning_rate": 5e-3,
        "warmup_steps": 10,
        "mixed_precision": "no",
        "max_gradient_norm": 1.0,
    }
    return Config.model_validate({"model": model, "training": training})


def micro_batch(family: str, step: int) -> MicroBatch:
    """Two sequences with something to learn: counting in steps of one, two or three."""
    rng = np.random.default_rng([step, 7])
    start, stride = rng.integers(_COUNTED, size=(2, 1)), rng.integers(1, 4, size=(2, 1))
    tokens_BT = _MASK + 1 + (start + stride * np.arange(17)) % _COUNTED
    if family == "bert":
        hidden_BT = rng.random((2, 17)) < 0.3
        hidden_BT[:, 0] = True  # a step without a target teaches nothing
        masked_BT = np.where(hidden_BT, _MASK, tokens_BT)
        return MicroBatch(masked_BT, np.where(hidden_BT, tokens_BT, IGNORE))
    if family == "t5":
        shifted_BT = np.concatenate([np.zeros((2, 1), np.int64), tokens_BT[:, 8:-1]], axis=1)
        return MicroBatch(
            shifted_BT, np.ascontiguousarray(tokens_BT[:, 8:]), encoder_tokens_BS=tokens_BT[:, :8]
        )
    return MicroBatch(
        np.ascontiguousarray(tokens_BT[:, :-1]), np.ascontiguousarray(tokens_BT[:, 1:])
    )


def losses(family: str) -> list[float]:
    """The losses of a family's run, on one thread."""
    config = config_of(family)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            model = build_model(config.model)
            init_weights(model, 11)
            objective = Objective(model, config.training)
            engine = make_engine(objective, config, torch.device("cpu"), World())
            found = []
            for step in range(1, STEPS + 1):
                measured = compute_gradient(engine, [micro_batch(family, step)])
                engine.update(
                    learning_rate=learning_rate(config.training, step),
                    gradient_norm=measured.norm,
                    max_norm=config.training.max_gradient_norm,
                )
                balance_experts(model, measured.counts_LE)
                found.append(measured.loss)
            return found
    finally:
        torch.set_num_threads(threads)


def machine() -> dict[str, Any]:
    """What decides on the last bits: torch, and which kernels its libraries choose here."""
    wanted = re.compile(r"avx|amx|fma|sve|bf16|sse4|asimd")
    return {
        "torch": torch.__version__.partition("+")[0],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "architecture": platform.machine(),
        "vendor": _cpuinfo("vendor_id"),
        "model": _cpuinfo("model name"),
        "cache": _cpuinfo("cache size"),
        "flags": sorted(flag for flag in cpu_flags() if wanted.search(flag)),
    }


def path_of(family: str) -> Path:
    """Where the curve of a family is written down."""
    return FOLDER / f"{family}.json"


def record(family: str) -> None:
    """Write the curve of a family down."""
    told = {"machine": machine(), "losses": losses(family)}
    path_of(family).write_text(json.dumps(told, indent=1) + "\n")


def _cpuinfo(name: str) -> str | None:
    try:
        match = re.search(rf"^{name}\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return match[1].strip() if match else None


if __name__ == "__main__":
    for each in sys.argv[1:] or FAMILIES:
        record(each)
        print(f"{each}: {json.loads(path_of(each).read_text())['losses'][-1]:.6f}")

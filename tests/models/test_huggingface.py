"""Every family computes what transformers computes, with weights taken over in both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers

from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.decoder import Decoder
from workbench.models.huggingface import config_from_hf, load_pretrained, save_pretrained
from workbench.models.huggingface.configs import disagreements, model_config
from workbench.models.init import init_weights

LENGTH = 24
WIDTHS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
}
GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64, "n_positions": 32}
NO_DROPOUT: dict[str, Any] = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "beta_fast": 16.0,
}
YARN_DEEPSEEK = YARN | {"mscale": 0.7, "mscale_all_dim": 1.2}
DEEPSEEK: dict[str, Any] = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 12,
    "q_lora_rank": 10,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 2,
    "moe_intermediate_size": 20,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 0,
}
LINEAR = {"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 3.0}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", WIDTHS | {"num_key_value_heads": 2}),
    "llama tied, biases, wide heads": (
        "Llama",
        WIDTHS
        | {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
    ),
    "llama 3.1": ("Llama", WIDTHS | {"num_key_value_heads": 1, "rope_parameters": LLAMA3}),
    "llama yarn": ("Llama", WIDTHS | {"rope_parameters": YARN}),
    "llama linear": ("Llama", WIDTHS | {"rope_parameters": LINEAR}),
    "llama dynamic": (
        "Llama",
        WIDTHS | {"rope_parameters": DYNAMIC, "max_position_embeddings": 16},
    ),
    "llama gelu": ("Llama", WIDTHS | {"hidden_act": "gelu"}),
    "mistral": ("Mistral", WIDTHS | {"num_key_value_heads": 2, "sliding_window": 5}),
    "mixtral": (
        "Mixtral",
        WIDTHS | {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "qwen3-moe": (
        "Qwen3Moe",
        WIDTHS
        | {"head_dim": 8, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 20},
    ),
    "qwen3-moe normalised": (
        "Qwen3Moe",
        WIDTHS
        | {
            "head_dim": 8,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 20,
            "norm_topk_prob": True,
        },
    ),
    "deepseek-v3": ("DeepseekV3", WIDTHS | DEEPSEEK),
    "deepseek-v3 yarn, biases, plain queries, no groups": (
        "DeepseekV3",
        WIDTHS
        | DEEPSEEK
        | {
            "q_lora_rank": None,
            "attention_bias": True,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": False,
            "routed_scaling_factor": 1.5,
            "rope_interleave": False,
            "rope_parameters": YARN_DEEPSEEK,
        },
    ),
    "qwen2": ("Qwen2", WIDTHS | {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2 window": (
        "Qwen2",
        WIDTHS
        | {
            "num_key_value_heads": 4,
            "use_sliding_window": True,
            "sliding_window": 6,
            "max_window_layers": 0,
        },
    ),
    "qwen3": ("Qwen3", WIDTHS | {"num_key_value_heads": 2, "head_dim": 16}),
    "gpt2": ("GPT2", GPT | NO_DROPOUT),
    "gpt2 untied": ("GPT2", GPT | NO_DROPOUT | {"tie_word_embeddings": False, "n_inner": 40}),
    "gptj": ("GPTJ", GPT | NO_DROPOUT | {"rotary_dim": 4}),
    "gpt-neox": ("GPTNeoX", WIDTHS),
    "gpt-neox sequential": (
        "GPTNeoX",
        WIDTHS
        | {
            "use_parallel_residual": False,
            "attention_bias": False,
            "rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 0.5},
        },
    ),
}
HEADS = {"GPT2": "GPT2LMHeadModel"}


def theirs(case: str) -> Any:
    """A tiny transformers model with weights far from their usual start, biases and norms too."""
    kind, options = CASES[case]
    config = getattr(transformers, f"{kind}Config")(
        bos_token_id=None, eos_token_id=None, pad_token_id=None, **options
    )
    config._attn_implementation = "eager"
    model = getattr(transformers, HEADS.get(kind, f"{kind}ForCausalLM"))(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(0.0, 0.15, generator=generator)
            parameter.copy_(noise + (1.0 if parameter.dim() == 1 else 0.0))
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(0.0, 0.3, generator=generator)
    return model.float().train()


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def ours(hf: dict[str, Any]) -> Decoder:
    model = build_model(model_config(config_from_hf(hf)))
    assert isinstance(model, Decoder)
    init_weights(model, 1)
    return model.train()


def tokens() -> torch.Tensor:
    return torch.randint(64, (2, LENGTH), generator=torch.Generator().manual_seed(4))


def loss_of(logits_BTV: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), tokens()[:, 1:].flatten())


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_are_theirs_both_ways(case: str, tmp_path: Path) -> None:
    their_model = theirs(case)
    folder = saved(their_model, tmp_path / "theirs")
    our_model = ours(their_model.config.to_dict())
    load_pretrained(our_model, folder)

    their_logits_BTV = their_model(tokens()).logits
    our_logits_BTV = our_model.logits(our_model(Batch(tokens(), tokens())).hidden_BTD)
    torch.testing.assert_close(our_logits_BTV, their_logits_BTV, rtol=1e-5, atol=1e-5)

    loss_of(their_logits_BTV).backward()
    loss_of(our_logits_BTV).backward()
    # Gradients through the same converter: ours become a model of theirs, compared name by name.
    with torch.no_grad():
        for parameter in our_model.parameters():
            assert parameter.grad is not None
            parameter.copy_(parameter.grad)
    save_pretrained(our_model, tmp_path / "gradients")
    gradients = type(their_model).from_pretrained(tmp_path / "gradients", dtype=torch.float32)
    for (name, found), wanted in zip(
        gradients.named_parameters(), their_model.parameters(), strict=True
    ):
        torch.testing.assert_close(
            found, wanted.grad, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("case", CASES)
def test_what_we_write_is_what_they_wrote(case: str, tmp_path: Path) -> None:
    their_model = theirs(case)
    our_model = ours(their_model.config.to_dict())
    load_pretrained(our_model, saved(their_model, tmp_path / "theirs"))
    save_pretrained(our_model, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", dtype=torch.float32, attn_implementation="eager"
    )
    for (name, one), other in zip(
        again.named_parameters(), their_model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other[1]), name
    with torch.no_grad():
        torch.testing.assert_close(
            again(tokens()).logits, their_model.eval()(tokens()).logits, rtol=1e-6, atol=1e-6
        )
    back = model_config(config_from_hf(again.config.to_dict()))
    assert disagreements(our_model.config, back) == []
    # A fresh network of ours takes back every bit.
    fresh = ours(again.config.to_dict())
    load_pretrained(fresh, tmp_path / "ours")
    for (name, one), other in zip(
        fresh.named_parameters(), our_model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other[1]), name

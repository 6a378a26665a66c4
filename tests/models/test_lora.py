"""LoRA against peft: the same logits from the adapter that we write, merged or not."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.config.schema import LoraConfig, ModelConfig
from workbench.errors import ConfigError
from workbench.models.base import Batch, LanguageModel
from workbench.models.build import build_model
from workbench.models.huggingface import save_adapter, save_pretrained
from workbench.models.init import init_weights
from workbench.models.lora import (
    LoraLinear,
    adapters,
    add_adapters,
    frozen_fingerprint,
    init_adapters,
    merge_adapters,
)

TINY: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
LAYER_NORM: dict[str, Any] = {
    "norm_type": "layernorm",
    "attention_bias": True,
    "mlp_bias": True,
    "hidden_act": "gelu",
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": False},
    "qwen2": {"attention_bias": True, "attention_out_bias": False, "tie_word_embeddings": True},
    "gpt2": {**LAYER_NORM, "position_embedding_type": "learned", "tie_word_embeddings": True},
    "gpt_neox": {**LAYER_NORM, "residual_type": "parallel", "tie_word_embeddings": False},
}


def network(family: str) -> LanguageModel:
    with torch.device("meta"):
        model = build_model(ModelConfig(**(TINY | FAMILIES[family])))
    model.to_empty(device="cpu")
    init_weights(model, 3)
    return model


def adapted(family: str, **keys: Any) -> tuple[LanguageModel, LoraConfig]:
    """A network whose adapters have learned something."""
    model, config = network(family), LoraConfig(**({"enabled": True, "r": 4, "alpha": 6.0} | keys))
    add_adapters(model, config)
    init_adapters(model, 3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model, config


def logits(model: LanguageModel) -> torch.Tensor:
    tokens = torch.arange(24).reshape(2, 12) % 64
    return model.logits(model(Batch(tokens, tokens)).hidden_BTD)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Other people's deprecations are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def with_peft(base: Path, adapter: Path, *, merged: bool) -> torch.Tensor:
    with quiet():
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        model = PeftModel.from_pretrained(model, adapter)
        if merged:
            model = model.merge_and_unload()
        model.eval()
        tokens = torch.arange(24).reshape(2, 12) % 64
        with torch.no_grad():
            result: torch.Tensor = model(tokens).logits
        return result


@pytest.mark.honours("lora.r", "lora.alpha", "lora.bias")
@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("llama", {}),
        ("llama", {"r": 2, "target_modules": ["all-linear"]}),
        ("qwen2", {"bias": "all"}),
        ("qwen2", {"bias": "lora_only", "target_modules": ["q_proj", "o_proj"]}),
        ("gpt2", {"target_modules": ["q_proj", "v_proj", "o_proj", "up_proj"]}),
        ("gpt_neox", {"target_modules": ["k_proj", "v_proj", "down_proj"]}),
    ],
)
def test_peft_computes_the_same(family: str, keys: dict[str, Any], tmp_path: Path) -> None:
    model, config = adapted(family, **keys)
    model.eval()
    with torch.no_grad():
        ours = logits(model)
    save_adapter(model, config, tmp_path / "adapter", base="somewhere")
    plain = network(family)
    with torch.no_grad():
        assert (logits(plain.eval()) - ours).abs().max() > 0.01
    save_pretrained(plain, tmp_path / "base")
    for merged in (False, True):
        theirs = with_peft(tmp_path / "base", tmp_path / "adapter", merged=merged)
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "somewhere"
    save_adapter(model, config, tmp_path / "adapter")  # again, over the old one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base"]


@pytest.mark.honours("lora.enabled", "lora.bias")
@pytest.mark.parametrize("bias", ["none", "all", "lora_only"])
def test_what_is_trained(bias: str) -> None:
    model, _ = adapted("gpt2", bias=bias, target_modules=["o_proj"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    parts = {name.rpartition(".")[2] for name in trained}
    assert {"lora_a_RI", "lora_b_OR"} <= parts
    assert ("bias" in parts) is (bias != "none")
    assert ("norm.bias" in trained) is (bias == "all")
    assert ("blocks.0.attention.o_proj.bias" in trained) is (bias != "none")
    logits(model).sum().backward()  # type: ignore[no-untyped-call]
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trained


def test_it_begins_as_the_network_itself_and_merges_back() -> None:
    plain = network("llama").eval()
    model = network("llama").eval()
    names = [name for name, _ in model.named_parameters()]
    add_adapters(model, LoraConfig(enabled=True))
    init_adapters(model, 5)
    assert torch.equal(logits(model), logits(plain))
    layers = dict(adapters(model))
    assert len(layers) == 8
    assert all(layer.lora_a_RI.any() for layer in layers.values())
    first = layers["blocks.0.attention.q_proj"].lora_a_RI.clone()
    init_adapters(model, 6)
    assert not torch.equal(layers["blocks.0.attention.q_proj"].lora_a_RI, first)
    other, _ = adapted("llama")
    other.eval()
    with torch.no_grad():
        before = logits(other)
        merge_adapters(other)
        torch.testing.assert_close(logits(other), before, rtol=1e-4, atol=1e-5)
    assert [name for name, _ in other.named_parameters()] == names
    assert not any(isinstance(each, LoraLinear) for each in other.modules())


@pytest.mark.honours("lora.dropout")
def test_dropout_acts_on_the_adapters_in_training_only() -> None:
    model, _ = adapted("llama", dropout=0.5)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(logits(model), logits(model))
    model.eval()
    assert torch.equal(logits(model), logits(model))


@pytest.mark.honours("lora.target_modules")
def test_targets() -> None:
    model, _ = adapted("llama", target_modules=["blocks.1.*", "o_proj"])
    found = {name for name, _ in adapters(model)}
    assert "blocks.0.attention.o_proj" in found
    assert "blocks.0.attention.q_proj" not in found
    assert "blocks.1.feed_forward.up_proj" in found
    everything, _ = adapted("llama", target_modules=["all-linear"])
    assert len(list(adapters(everything))) == 14
    for target in ("wq", "lm_head"):
        with pytest.raises(ConfigError, match=target) as caught:
            adapted("llama", target_modules=[target])
        assert "q_proj" in str(caught.value.why)


def test_no_adapter_on_a_matrix_that_the_loss_reads_itself() -> None:
    """It would never be called: nothing would learn, and DDP would wait for its gradient."""
    for head in ("language", "classification"):
        shape = {**TINY, "model_type": "bert", "head": head, "tie_word_embeddings": False}
        with torch.device("meta"):
            model = build_model(ModelConfig.model_validate(shape))
            add_adapters(model, LoraConfig(target_modules=["all-linear"]))
        found = {name for name, _ in adapters(model)}
        assert "output" not in found
        assert any(name.startswith("head.") for name in found)


def test_the_fingerprint_is_of_what_is_frozen() -> None:
    model, _ = adapted("llama")
    before = frozen_fingerprint(model)
    with torch.no_grad():
        next(adapters(model))[1].lora_b_OR.add_(1.0)
        assert frozen_fingerprint(model) == before
        next(adapters(model))[1].weight[0, 0] += 1.0
    assert frozen_fingerprint(model) != before

"""The decoder as a whole: its weights, its devices, its memory, its mistakes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from workbench.config.schema import ModelConfig
from workbench.models.base import Batch, Recompute
from workbench.models.decoder import Decoder
from workbench.models.init import init_weights

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 40,
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"num_key_value_heads": 2, "norm_type": "layernorm", "hidden_act": "gelu"},
    {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False, "head_dim": 16},
    {"num_experts": 4, "num_experts_per_token": 2, "mlp_bias": True},
]


def make(options: dict[str, Any], seed: int = 8, **kwargs: Any) -> Decoder:
    model = Decoder(ModelConfig(**(SHAPE | options)), **kwargs)
    init_weights(model, seed)
    return model


def batch(sequences: int = 2, length: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(9)
    tokens_BT = torch.randint(40, (sequences, length), generator=generator)
    return Batch(tokens_BT, tokens_BT)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_an_untrained_model_knows_nothing(options: dict[str, Any]) -> None:
    model = make(options)
    hidden_BTD = model(batch()).hidden_BTD
    assert hidden_BTD.shape == (2, 12, 32)
    p_BTV = model.logits(hidden_BTD).softmax(-1)
    entropy = -(p_BTV * p_BTV.log()).sum(-1).mean().item()
    assert entropy == pytest.approx(math.log(40), abs=0.05)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_built_on_meta_and_filled_later_is_the_same_model(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = Decoder(ModelConfig(**(SHAPE | options)))
    assert not list(model.buffers())
    model.to_empty(device="cpu")
    init_weights(model, 8)
    twin = make(options)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert torch.equal(model(batch()).hidden_BTD, twin(batch()).hidden_BTD)


def test_init_follows_its_table_and_leaves_the_global_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    model = make({"hidden_size": 128, "intermediate_size": 256, "attention_bias": True})
    assert torch.equal(before, torch.get_rng_state())
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == 1).all(), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            residual = "o_proj" in name or "down_proj" in name
            std = 0.02 / math.sqrt(6) if residual else 0.02
            assert parameter.std().item() == pytest.approx(std, rel=0.05), name
            assert abs(parameter.mean().item()) < 0.1 * std, name


def test_init_depends_on_seed_and_name_alone() -> None:
    deep, shallow = make({"num_layers": 3}), make({"num_layers": 2})
    embedding, other = shallow.embedding, make({}, seed=9).embedding
    assert torch.equal(deep.embedding, embedding)
    assert torch.equal(
        deep.blocks[1].attention.q_proj.weight, shallow.blocks[1].attention.q_proj.weight
    )
    assert not torch.equal(deep.embedding, other)
    assert not torch.equal(
        deep.blocks[0].attention.q_proj.weight, deep.blocks[1].attention.q_proj.weight
    )


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_recomputing_changes_no_bit(options: dict[str, Any]) -> None:
    gradients = []
    kinds: tuple[Recompute, ...] = ("none", "block", "selective")
    for recompute in kinds:
        model = make(
            {"hidden_dropout": 0.1, "router_jitter_noise": 0.1, **options}, recompute=recompute
        )
        torch.manual_seed(10)
        output = model(batch())
        (output.hidden_BTD.square().sum() + sum(each.loss for each in output.routings)).backward()
        gradients.append([each.grad for each in model.parameters()])
    for one, *others in zip(*gradients, strict=True):
        for other in others:
            assert (one is None and other is None) or torch.equal(one, other)


def test_tied_and_untied_output() -> None:
    tied, untied = make({}), make({"tie_word_embeddings": False})
    assert tied.output_weight_VD is tied.embedding
    assert untied.num_parameters() - tied.num_parameters() == 40 * 32


def test_compute_dtype_reaches_the_residual_stream_and_not_the_weights() -> None:
    model = make({"num_experts": 4}, compute_dtype=torch.bfloat16)
    output = model(batch())
    assert output.hidden_BTD.dtype == torch.bfloat16
    assert output.routings[0].loss.dtype == torch.float32
    assert model.logits(output.hidden_BTD).dtype == torch.float32
    output.hidden_BTD.float().sum().backward()
    assert all(each.dtype == torch.float32 for each in model.parameters())
    exact = make({"num_experts": 4})(batch()).hidden_BTD
    error = (output.hidden_BTD.float() - exact).norm() / exact.norm()
    assert error < 0.02


def test_dropout_acts_in_training_only() -> None:
    model = make({"hidden_dropout": 0.5, "attention_dropout": 0.5})
    assert not torch.equal(model(batch()).hidden_BTD, model(batch()).hidden_BTD)
    model.eval()
    assert torch.equal(model(batch()).hidden_BTD, model(batch()).hidden_BTD)


def test_what_is_not_built_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"model.router_type hash is not built"):
        make({"num_experts": 4, "router_type": "hash"})

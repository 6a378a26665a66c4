"""Latent attention: its two ways of computing agree, its cache is short, its keys take effect.

That it is DeepSeek-V3's is shown in test_huggingface.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.config.schema import ModelConfig
from workbench.models.attention import KeyValueCache
from workbench.models.base import Batch
from workbench.models.decoder import Decoder
from workbench.models.init import init_weights
from workbench.models.mla import LatentAttention, dequantise, quantise, score_scale

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 40,
}
MLA: dict[str, Any] = {
    "enabled": True,
    "kv_lora_rank": 12,
    "q_lora_rank": 10,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}


def make(mla: dict[str, Any] | None = None, **options: Any) -> Decoder:
    model = Decoder(ModelConfig.model_validate(SHAPE | {"mla": MLA | (mla or {})} | options))
    init_weights(model, 8)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # far from the usual start, where attention hardly matters
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.3, generator=generator))
    return model


def tokens(length: int = 12) -> torch.Tensor:
    return torch.randint(40, (2, length), generator=torch.Generator().manual_seed(9))


def stepwise(model: Decoder, tokens_BT: torch.Tensor, first: int) -> torch.Tensor:
    """The hidden states, with the first tokens at once and each other on its own."""
    caches = [KeyValueCache() for _ in model.blocks]
    found = [model.hidden(tokens_BT[:, :first], caches).hidden_BTD]
    for place in range(first, tokens_BT.shape[1]):
        one_B1 = tokens_BT[:, place : place + 1]
        found.append(model.hidden(one_B1, caches, start=place).hidden_BTD)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize(
    "options",
    [{}, {"mla": MLA | {"q_lora_rank": None}}, {"sliding_window": 5}, {"rope_scaling": YARN}],
    ids=str,
)
def test_absorbed_is_expanded(options: dict[str, Any]) -> None:
    """One token after another from the latents alone is the whole sequence at once, in fp64."""
    model = Decoder(
        ModelConfig.model_validate(SHAPE | {"mla": MLA} | options), compute_dtype=torch.float64
    ).double()
    init_weights(model, 8)
    with torch.no_grad():
        whole_BTD = model(Batch(tokens(), tokens())).hidden_BTD
        found_BTD = stepwise(model, tokens(), first=4)
    # Norms and rotations are fp32 whatever the stream is.
    torch.testing.assert_close(found_BTD, whole_BTD, rtol=1e-5, atol=1e-6)


def test_absorbed_alone_to_the_last_digits() -> None:
    config = ModelConfig.model_validate(SHAPE | {"mla": MLA})
    attention = LatentAttention(config).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(0, 0.5, generator=generator)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    from workbench.models.attention import Where
    from workbench.models.sight import EVERYTHING

    given = (random(2, 1, 4, 8), random(2, 1, 4, 4), random(2, 9, 12), random(2, 9, 1, 4))
    where = Where(sight=EVERYTHING)
    with torch.no_grad():
        one = attention._absorbed(*given, where)
        other = attention._expanded(*given, where)
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)  # the softmax is fp32


@pytest.mark.honours("model.mla.kv_lora_rank", "model.mla.qk_rope_head_dim", "model.mla.enabled")
def test_the_cache_holds_latents() -> None:
    model = make()
    caches = [KeyValueCache() for _ in model.blocks]
    with torch.no_grad():
        model.hidden(tokens(), caches)
    for cache in caches:
        assert cache.k_BSGK is not None
        assert cache.v_BSGK is not None
        assert cache.k_BSGK.shape == (2, 12, 1, 12)
        assert cache.v_BSGK.shape == (2, 12, 1, 4)
    ordinary = make({"enabled": False})
    assert not isinstance(ordinary.blocks[0].attention, LatentAttention)


@pytest.mark.honours("model.mla.q_lora_rank", "model.mla.qk_nope_head_dim", "model.mla.v_head_dim")
def test_widths_are_those_of_the_config() -> None:
    attention = make().blocks[0].attention
    shapes = {name: tuple(each.shape) for name, each in attention.named_parameters()}
    assert shapes == {
        "q_a_proj.weight": (10, 32),
        "q_a_norm.weight": (10,),
        "q_b_proj.weight": (4 * (8 + 4), 10),
        "kv_a_proj.weight": (12 + 4, 32),
        "kv_a_norm.weight": (12,),
        "kv_b_proj.weight": (4 * (8 + 6), 12),
        "o_proj.weight": (32, 4 * 6),
    }
    assert make({"q_lora_rank": None}).blocks[0].attention.q_proj.weight.shape == (48, 32)


@pytest.mark.honours("model.mla.use_fp8_kv")
def test_eight_bit_cache() -> None:
    exact, short = make(), make({"use_fp8_kv": True})
    with torch.no_grad():
        caches = [KeyValueCache() for _ in short.blocks]
        short.hidden(tokens(), caches)
        assert caches[0].k_BSGK is not None
        assert caches[0].k_BSGK.element_size() == 1
        error = (stepwise(short, tokens(), 4) - stepwise(exact, tokens(), 4)).norm()
        assert 0 < error / stepwise(exact, tokens(), 4).norm() < 0.1
        # Training does not use the cache, so it stays as it was.
        batch = Batch(tokens(), tokens())
        assert torch.equal(short(batch).hidden_BTD, exact(batch).hidden_BTD)


@pytest.mark.parametrize("width", [512, 130, 7])
def test_codes_are_close_and_scaled_apart(width: int) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, width, generator=generator) * torch.logspace(-4, 4, 6)[:, None]
    codes, scales = quantise(x)
    assert scales.shape == (6, -(-width // 128))
    error = (dequantise(codes, scales) - x).norm(dim=1) / x.norm(dim=1)
    assert error.max() < 0.04  # measured 0.026; without a scale per row it is 0.16
    zeros = dequantise(*quantise(torch.zeros(2, width)))
    assert not zeros.any()


def test_stretched_positions_sharpen_all_scores() -> None:
    def scale(**numbers: float) -> float:
        return score_scale(
            ModelConfig.model_validate(SHAPE | {"mla": MLA, "rope_scaling": YARN | numbers})
        )

    assert scale() == pytest.approx(12**-0.5)
    assert scale(mscale=0.8) == pytest.approx(12**-0.5)
    assert scale(mscale=0.8, mscale_all_dim=0.8) == pytest.approx(
        12**-0.5 * (0.1 * 0.8 * 1.3862943611 + 1) ** 2
    )


def test_documents_stay_apart_and_recomputing_changes_no_bit() -> None:
    gradients = []
    documents_BT = torch.tensor([[0] * 5 + [1] * 7, [0] * 12])
    for recompute in ("none", "block", "selective"):
        model = make()
        model.recompute = recompute
        output = model(Batch(tokens(), tokens(), documents_BT))
        output.hidden_BTD.square().sum().backward()
        gradients.append([each.grad for each in model.parameters()])
    for one, *others in zip(*gradients, strict=True):
        assert one is not None
        assert all(torch.equal(one, other) for other in others)
    second_BTD = output.hidden_BTD[:1, 5:].detach()
    # Rotary positions tell distances only, so a document in the middle is what it is alone.
    alone_BTD = model(Batch(tokens()[:1, 5:], tokens()[:1, 5:])).hidden_BTD
    torch.testing.assert_close(second_BTD, alone_BTD, rtol=1e-4, atol=1e-5)


@pytest.mark.honours("model.mla.backend")
def test_auto_is_dense() -> None:
    batch = Batch(tokens(), tokens())
    hidden = [make({"backend": kind})(batch).hidden_BTD for kind in ("auto", "dense")]
    assert torch.equal(*hidden)


def test_odd_rotary_width_is_refused() -> None:
    with pytest.raises(ValueError, match="qk_rope_head_dim 5 must be even"):
        make({"qk_rope_head_dim": 5})

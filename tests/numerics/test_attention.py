"""Rotary positions, grouped queries and the cache against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from workbench.config.schema import ModelConfig
from workbench.models.attention import Attention, KeyValueCache, Where
from workbench.models.decoder import Decoder
from workbench.models.norm import LayerNorm, RMSNorm
from workbench.models.rope import rotary_table, rotate
from workbench.models.sight import EVERYTHING


def attention(dtype: torch.dtype = torch.float32, **options: object) -> Attention:
    config = ModelConfig(hidden_size=32, num_attention_heads=4, **options)  # type: ignore[arg-type]
    module = Attention(config)
    generator = torch.Generator().manual_seed(4)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return module.to(dtype)


def test_rope_turns_pairs_by_the_angle_of_the_paper() -> None:
    x_BTHK = torch.randn(2, 9, 3, 8)
    y_BTHK = rotate(x_BTHK, rotary_table(9, 8, 100.0, start=5))
    for t in range(9):
        for i in range(4):
            angle = (t + 5) * 100.0 ** (-2 * i / 8)
            turned = torch.complex(x_BTHK[:, t, :, i], x_BTHK[:, t, :, i + 4]) * complex(
                math.cos(angle), math.sin(angle)
            )
            torch.testing.assert_close(y_BTHK[:, t, :, i], turned.real, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(y_BTHK[:, t, :, i + 4], turned.imag, rtol=1e-5, atol=1e-6)


def test_rope_scores_depend_on_the_distance_only() -> None:
    q_K, k_K = torch.randn(16).double(), torch.randn(16).double()

    def score(query_at: int, key_at: int) -> float:
        q, k = (
            rotate(each.view(1, 1, 1, 16), rotary_table(1, 16, 10000.0, start=place)).double()
            for each, place in ((q_K, query_at), (k_K, key_at))
        )
        return float((q * k).sum())

    assert score(7, 3) == pytest.approx(score(104, 100), abs=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_grouped_queries_equal_the_definition(groups: int, *, bias: bool) -> None:
    module = attention(num_key_value_heads=groups, attention_bias=bias)
    x_BTD = torch.randn(2, 7, 32)
    table = rotary_table(7, 8, 10000.0)
    q = rotate(module.q_proj(x_BTD).view(2, 7, 4, 8), table).double()
    k = rotate(module.k_proj(x_BTD).view(2, 7, groups, 8), table).double()
    v = module.v_proj(x_BTD).view(2, 7, groups, 8).double()
    heads = []
    for head in range(4):
        group = head // (4 // groups)
        score_BTT = q[:, :, head] @ k[:, :, group].transpose(1, 2) / math.sqrt(8)
        score_BTT = score_BTT.masked_fill(torch.ones(7, 7).triu(1).bool(), -math.inf)
        heads.append(score_BTT.softmax(-1) @ v[:, :, group])
    expected_BTD = module.o_proj.double()(torch.cat(heads, dim=-1))
    module.float()
    torch.testing.assert_close(
        module(x_BTD, Where(table)).double(), expected_BTD, rtol=1e-4, atol=1e-5
    )


def test_no_position_sees_a_later_one() -> None:
    module = attention()
    x_BTD = torch.randn(1, 9, 32)
    table = rotary_table(9, 8, 10000.0)
    before = module(x_BTD, Where(table))
    x_BTD[:, 5:] += 1.0
    after = module(x_BTD, Where(table))
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


def test_the_cache_gives_the_same_as_all_at_once() -> None:
    module = attention(num_key_value_heads=2)
    x_BTD = torch.randn(1, 10, 32)
    whole = module(x_BTD, Where(rotary_table(10, 8, 10000.0)))
    cache = KeyValueCache()
    parts = [module(x_BTD[:, :6], Where(rotary_table(6, 8, 10000.0)), cache)]
    parts += [
        module(
            x_BTD[:, t : t + 1],
            Where(rotary_table(1, 8, 10000.0, start=t), EVERYTHING),
            cache,
        )
        for t in range(6, 10)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 30, "num_attention_heads": 4}, "must be a multiple"),
        ({"hidden_size": 12, "num_attention_heads": 4}, "must be even"),
        ({"num_attention_heads": 4, "num_key_value_heads": 3}, "must be a multiple of"),
    ],
)
def test_heads_that_do_not_fit_are_named(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Decoder(ModelConfig(**options))


def test_norms_equal_their_definitions_in_fp32() -> None:
    x_D = 3 * torch.randn(5, 16) + 1
    rms, layer = RMSNorm(16, 1e-5), LayerNorm(16, 1e-5)
    for parameter in (*rms.parameters(), *layer.parameters()):
        nn.init.normal_(parameter)
    x64_D = x_D.double()
    expected = x64_D / (x64_D.square().mean(-1, keepdim=True) + 1e-5).sqrt() * rms.weight.double()
    torch.testing.assert_close(rms(x_D).double(), expected, rtol=1e-5, atol=1e-6)
    centred = x64_D - x64_D.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = expected * layer.weight.double() + layer.bias.double()
    torch.testing.assert_close(layer(x_D).double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(rms(x_D.bfloat16()), rms(x_D.bfloat16().float()).bfloat16())

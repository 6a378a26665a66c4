"""Generation: the cache changes nothing, and the training's random numbers do not move."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.config.schema import ModelConfig
from workbench.models.decoder import Decoder
from workbench.models.generate import generate
from workbench.models.init import init_weights
from workbench.models.sampling import Sampling


def make(**options: Any) -> Decoder:
    config = ModelConfig(
        hidden_size=32, num_layers=2, num_attention_heads=4, intermediate_size=48,
        initializer_range=0.3, **options,
    )  # fmt: skip
    model = Decoder(config)
    init_weights(model, 11)
    return model


def run(model: Decoder, prompt: list[int], **options: Any) -> list[int]:
    defaults = {"max_new_tokens": 20, "context": 64}
    generator = torch.Generator().manual_seed(options.pop("seed", 0))
    words = {name: options.pop(name) for name in ("temperature", "top_k") if name in options}
    sampling = Sampling(**({"temperature": 0.0} | words))
    return generate(model, prompt, generator=generator, sampling=sampling, **(defaults | options))


@pytest.mark.parametrize("experts", [1, 4])
def test_greedy_text_is_the_likeliest_token_each_time(experts: int) -> None:
    model = make(num_experts=experts, num_experts_per_token=min(2, experts))
    prompt = [5, 17, 200]
    new = run(model, prompt)
    model.eval()
    for place in range(len(new)):
        seen = torch.tensor([prompt + new[:place]])
        logits_V = model.logits(model.hidden(seen).hidden_BTD[0, -1])
        assert new[place] == int(logits_V.argmax())


def test_it_goes_on_beyond_the_context() -> None:
    model = make()
    assert len(run(model, [1, 2, 3], max_new_tokens=50, context=8, temperature=1.0)) == 50
    assert len(run(model, list(range(30)), max_new_tokens=5, context=8)) == 5
    assert len(run(model, [1], max_new_tokens=5, context=1)) == 5


def test_draws_are_their_own() -> None:
    model = make(hidden_dropout=0.5)
    model.train()
    before = torch.get_rng_state()
    first, again = (run(model, [7], temperature=1.0, seed=3) for _ in range(2))
    other = run(model, [7], temperature=1.0, seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert first == again != other


def test_top_k_and_temperature() -> None:
    model = make()
    greedy = run(model, [7])
    assert run(model, [7], temperature=1.0, top_k=1) == greedy
    assert run(model, [7], temperature=1e-300) == greedy


def test_stop_token_ends_the_text() -> None:
    model = make()
    greedy = run(model, [7])
    stop = greedy[4]
    assert run(model, [7], stop_token=stop) == greedy[: greedy.index(stop)]
    assert run(model, [7], max_new_tokens=0) == []

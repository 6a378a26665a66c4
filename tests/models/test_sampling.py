"""The next token, against transformers' own processors."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from workbench.config.schema import Config
from workbench.models.sampling import Sampling
from workbench.training.sample import draw_sample

V = 40
STOP = 7


def logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(V, generator=torch.Generator().manual_seed(seed))


def texts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(6, (length,), generator=generator).tolist() for length in (1, 3, 9, 30)]


def theirs(
    sampling: Sampling, scores: torch.Tensor, text: list[int], new: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Transformers' scores before and after the warpers, in the order of its generate()."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.generation import logits_process as hf
    ids, scores = torch.tensor([text]), scores[None].clone()
    first: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        first.append(hf.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.no_repeat_ngram_size:
        first.append(hf.NoRepeatNGramLogitsProcessor(sampling.no_repeat_ngram_size))
    if sampling.min_new_tokens:
        prompt = len(text) - new
        first.append(hf.MinNewTokensLengthLogitsProcessor(prompt, sampling.min_new_tokens, STOP))
    for processor in first:
        scores = processor(ids, scores)
    before = scores[0]
    second: list[Any] = [hf.TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        second.append(hf.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        second.append(hf.TopPLogitsWarper(sampling.top_p))
    scores = scores.double()
    for processor in second:
        scores = processor(ids, scores)
    return before, scores[0]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"temperature": 0.3},
        {"top_k": 5},
        {"top_p": 0.8},
        {"top_p": 0.01},
        {"top_k": 12, "top_p": 0.6, "temperature": 1.7},
        {"repetition_penalty": 1.4},
        {"repetition_penalty": 0.7},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "top_p": 0.9},
        {"min_new_tokens": 2},
    ],
    ids=str,
)
def test_scores_are_those_of_transformers(keys: dict[str, Any]) -> None:
    sampling = Sampling(**keys)
    for seed, text in enumerate(texts()):
        new = min(seed, len(text) - 1)
        before, after = theirs(sampling, logits(seed), text, new)
        ours = sampling.adjusted(logits(seed), text, new=new, stop_token=STOP)
        torch.testing.assert_close(ours, before, rtol=1e-6, atol=1e-6)
        narrowed = sampling.narrowed(ours)
        assert torch.equal(narrowed.isinf(), after.isinf())
        torch.testing.assert_close(narrowed.softmax(0), after.softmax(0), rtol=1e-6, atol=1e-9)
        draw = torch.Generator().manual_seed(5)
        expected = torch.multinomial(narrowed.softmax(0), 1, generator=draw)
        token = sampling.next_token(
            logits(seed),
            text,
            new=new,
            stop_token=STOP,
            generator=torch.Generator().manual_seed(5),
        )
        assert token == int(expected)


def test_the_token_that_crosses_the_share_is_kept() -> None:
    p_V = torch.tensor([0.5, 0.3, 0.2])
    assert Sampling(top_p=0.6).narrowed(p_V.log()).isfinite().tolist() == [True, True, False]


def draw(sampling: Sampling, scores: torch.Tensor) -> set[int]:
    generator = torch.Generator().manual_seed(0)
    return {
        sampling.next_token(scores, [1], new=0, stop_token=STOP, generator=generator)
        for _ in range(50)
    }


def test_without_a_draw_it_is_the_likeliest() -> None:
    best = int(logits(0).argmax())
    assert draw(Sampling(do_sample=False), logits(0)) == {best}
    assert draw(Sampling(temperature=0.0, top_k=3, top_p=0.5), logits(0)) == {best}
    assert len(draw(Sampling(temperature=5.0), logits(0))) > 5


def test_the_penalty_of_the_end() -> None:
    scores = torch.zeros(V)
    scores[STOP] = 3.0
    assert draw(Sampling(do_sample=False), scores) == {STOP}
    assert draw(Sampling(do_sample=False, eos_penalty=4.0), scores) != {STOP}


class _Words:
    """Just enough of a tokenizer."""

    separator = STOP

    def encode(self, text: str) -> list[int]:
        return [3, 4, 3, 4, 3] if text else []

    def decode(self, tokens: list[int]) -> str:
        return " ".join(map(str, tokens))


@pytest.mark.honours(
    "evaluation.temperature",
    "evaluation.top_k",
    "evaluation.top_p",
    "evaluation.do_sample",
    "evaluation.repetition_penalty",
    "evaluation.no_repeat_ngram_size",
    "evaluation.min_new_tokens",
    "evaluation.eos_penalty",
    "evaluation.max_new_tokens",
)
@pytest.mark.parametrize(
    "keys",
    [
        {"temperature": 3.0},
        {"top_k": 1},
        {"top_p": 0.05},
        {"do_sample": False},
        {"repetition_penalty": 50.0},
        {"no_repeat_ngram_size": 1},
        {"min_new_tokens": 24},
        {"eos_penalty": 50.0},
        {"max_new_tokens": 7},
    ],
    ids=str,
)
def test_each_key_changes_the_sample(keys: dict[str, Any]) -> None:
    from workbench.config.schema import ModelConfig
    from workbench.models.decoder import Decoder
    from workbench.models.init import init_weights

    shape: dict[str, Any] = {"num_attention_heads": 2, "num_layers": 1, "hidden_size": 16}
    model = Decoder(
        ModelConfig(vocab_size=10, intermediate_size=16, initializer_range=0.5, **shape)
    )
    init_weights(model, 2)

    def sample(told: dict[str, Any]) -> str | None:
        section = {"max_new_tokens": 24, "temperature": 1.0, "top_k": 0} | told
        tree = {"evaluation": section, "data": {"max_length": 64}}
        return draw_sample(model, _Words(), Config.model_validate(tree), step=1)

    assert sample(keys) != sample({})

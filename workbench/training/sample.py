"""A text from the model, to see what it has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from workbench.data.objective import first_sentinel
from workbench.models.decoder import Decoder
from workbench.models.generate import answer, generate
from workbench.models.sampling import Sampling
from workbench.models.t5 import T5

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.data.tokens import Tokenizer
    from workbench.models.base import LanguageModel


def writes(model: LanguageModel) -> bool:
    """Whether the model can write at all: a BERT fills in, it does not go on."""
    return isinstance(model, Decoder | T5)


def draw_sample(
    model: LanguageModel, tokenizer: Tokenizer, config: Config, *, step: int
) -> str | None:
    """The prompt and what the model adds to it; None from one that does not write.

    The draws depend on the seed and the step alone and come from a generator of their own: a run
    with samples trains exactly as one without.
    """
    section = config.evaluation
    prompt = tokenizer.encode(section.prompt)
    how: dict[str, Any] = {
        "max_new_tokens": section.max_new_tokens,
        "sampling": Sampling(
            do_sample=section.do_sample,
            temperature=section.temperature,
            top_k=section.top_k,
            top_p=section.top_p,
            repetition_penalty=section.repetition_penalty,
            no_repeat_ngram_size=section.no_repeat_ngram_size,
            min_new_tokens=section.min_new_tokens,
            eos_penalty=section.eos_penalty,
        ),
        "generator": torch.Generator().manual_seed((config.run.seed * 1_000_003 + step) % 2**63),
        "stop_token": tokenizer.separator,
    }
    if isinstance(model, Decoder):
        new = generate(
            model, prompt or [tokenizer.separator], context=config.data.max_length, **how
        )
        return tokenizer.decode(prompt + new)
    if isinstance(model, T5):
        return _of_t5(model, tokenizer, config, prompt, how)
    return None


def _of_t5(
    model: T5, tokenizer: Tokenizer, config: Config, prompt: list[int], how: dict[str, Any]
) -> str:
    """What a T5 writes in place of the mark behind the prompt, or as the answer to it."""
    length = config.data.max_length
    if config.data.format != "text":
        read = [*prompt[: length - 1], tokenizer.separator]
        new = answer(model, read, start=tokenizer.padding, **how)
        return f"{tokenizer.decode(prompt)}\n{tokenizer.decode(new)}"
    mark = first_sentinel(config, tokenizer)
    read = [*prompt[: length - 2], mark, tokenizer.separator]
    new = answer(model, read, start=tokenizer.padding, **how)
    # It writes the mark, then what the mark stands for; another mark would begin the next gap.
    filled = new[1:] if new[:1] == [mark] else new
    return tokenizer.decode(prompt + [token for token in filled if token < tokenizer.vocab_size])

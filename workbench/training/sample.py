"""A text from the model, to see what it has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.models.generate import generate
from workbench.models.sampling import Sampling

if TYPE_CHECKING:
    from workbench.config.schema import EvaluationConfig
    from workbench.data.tokens import Tokenizer
    from workbench.models.decoder import Decoder


def draw_sample(
    model: Decoder,
    tokenizer: Tokenizer,
    config: EvaluationConfig,
    *,
    context: int,
    seed: int,
    step: int,
) -> str:
    """The prompt and what the model adds to it.

    The draws depend on the seed and the step alone and come from a generator of their own: a run
    with samples trains exactly as one without.
    """
    prompt = tokenizer.encode(config.prompt)
    new = generate(
        model,
        prompt or [tokenizer.separator],
        max_new_tokens=config.max_new_tokens,
        context=context,
        sampling=Sampling(
            do_sample=config.do_sample,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            repetition_penalty=config.repetition_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            min_new_tokens=config.min_new_tokens,
            eos_penalty=config.eos_penalty,
        ),
        generator=torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63),
        stop_token=tokenizer.separator,
    )
    return tokenizer.decode(prompt + new)

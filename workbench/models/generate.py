"""Text from a model, one token at a time.

Shapes: T positions of the prompt, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from workbench.models.attention import KeyValueCache
    from workbench.models.decoder import Decoder
    from workbench.models.sampling import Sampling
    from workbench.models.t5 import T5


@torch.no_grad()
def answer(
    model: T5,
    read: list[int],
    *,
    start: int,
    max_new_tokens: int,
    sampling: Sampling,
    generator: torch.Generator,
    stop_token: int | None = None,
) -> list[int]:
    """Have an encoder read a text and a decoder write another.

    The text is encoded once. The decoder goes over all that it has written for every token: T5
    keeps no keys and values.

    Args:
        model: The model.
        read: What the encoder reads, its end included.
        start: The token that the decoder begins with.
        max_new_tokens: How many tokens to write at most.
        sampling: How each token is chosen.
        generator: The source of the draws, on the CPU.
        stop_token: Ends the text when drawn; it is not returned.

    Returns:
        What was written, without ``start``.
    """
    was_training = model.training
    model.eval()
    try:
        device = model.embedding.device
        memory_1SD = model.encode(torch.tensor([read], device=device))
        text = [start]
        while len(text) <= max_new_tokens:
            hidden_1TD = model.decode(torch.tensor([text], device=device), memory_1SD).hidden_BTD
            token = sampling.next_token(
                model.logits(hidden_1TD[0, -1]).cpu(),
                text,
                new=len(text) - 1,
                stop_token=stop_token,
                generator=generator,
            )
            if token == stop_token:
                break
            text.append(token)
        return text[1:]
    finally:
        model.train(was_training)


@torch.no_grad()
def generate(
    model: Decoder,
    prompt: list[int],
    *,
    max_new_tokens: int,
    context: int,
    sampling: Sampling,
    generator: torch.Generator,
    stop_token: int | None = None,
) -> list[int]:
    """Continue a prompt.

    Draws come from ``generator`` alone, so the training's random numbers do not move, and the model
    is back in the mode it came in.

    Args:
        model: The model.
        prompt: At least one token id.
        max_new_tokens: How many tokens to add.
        context: Positions the model may look back on. When they are used up it goes on from the
            last half of them.
        sampling: How each token is chosen.
        generator: The source of the draws, on the CPU.
        stop_token: Ends the text when drawn; it is not returned.

    Returns:
        The new tokens only.
    """
    was_training = model.training
    model.eval()
    try:
        tokens = prompt[-context:]
        text = list(prompt)
        new: list[int] = []
        caches: list[KeyValueCache] = []
        seen = 0
        while len(new) < max_new_tokens:
            if not caches or seen == context:
                tokens = tokens[-max(1, context // 2) :] if caches else tokens
                caches, seen = model.new_caches(), 0
            feed_1T = torch.tensor([tokens[seen:]], device=model.embedding.device)
            hidden_1TD = model.hidden(feed_1T, caches, start=seen).hidden_BTD
            seen = len(tokens)
            token = sampling.next_token(
                model.logits(hidden_1TD[0, -1]).cpu(),
                text,
                new=len(new),
                stop_token=stop_token,
                generator=generator,
            )
            if token == stop_token:
                break
            new.append(token)
            text.append(token)
            tokens = [*tokens, token]
        return new
    finally:
        model.train(was_training)

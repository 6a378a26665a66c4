"""Text from a model, one token at a time.

Shapes: T positions of the prompt, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.models.attention import KeyValueCache

if TYPE_CHECKING:
    from workbench.models.decoder import Decoder


@torch.no_grad()
def generate(
    model: Decoder,
    prompt: list[int],
    *,
    max_new_tokens: int,
    context: int,
    temperature: float,
    top_k: int,
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
        temperature: Divides the logits; 0 takes the likeliest token.
        top_k: Draw from the k likeliest tokens; 0 from all.
        generator: The source of the draws, on the CPU.
        stop_token: Ends the text when drawn; it is not returned.

    Returns:
        The new tokens only.
    """
    was_training = model.training
    model.eval()
    try:
        tokens = prompt[-context:]
        new: list[int] = []
        caches: list[KeyValueCache] = []
        seen = 0
        while len(new) < max_new_tokens:
            if not caches or seen == context:
                tokens = tokens[-max(1, context // 2) :] if caches else tokens
                caches, seen = [KeyValueCache() for _ in model.blocks], 0
            feed_1T = torch.tensor([tokens[seen:]], device=model.embedding.device)
            hidden_1TD = model.hidden(feed_1T, caches, start=seen).hidden_BTD
            seen = len(tokens)
            token = _draw(model.logits(hidden_1TD[0, -1]).cpu(), temperature, top_k, generator)
            if token == stop_token:
                break
            new.append(token)
            tokens = [*tokens, token]
        return new
    finally:
        model.train(was_training)


def _draw(
    logits_V: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator
) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    if 0 < top_k < len(logits_V):
        smallest_kept = logits_V.topk(top_k).values[-1]
        logits_V = logits_V.masked_fill(logits_V < smallest_kept, float("-inf"))
    # In fp64, and from the largest down: a tiny temperature must not overflow.
    p_V = ((logits_V.double() - logits_V.max()) / temperature).softmax(dim=-1)
    return int(torch.multinomial(p_V, 1, generator=generator))

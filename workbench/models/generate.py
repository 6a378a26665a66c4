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

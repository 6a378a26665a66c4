"""Which token comes next: from logits to one id.

The order is that of transformers' processors: first what changes scores (repetition, n-grams, the
end of the text), then temperature, the k likeliest, the likeliest that hold the share p, the draw.

Shapes: V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEVER = float("-inf")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        do_sample: Draw; else the likeliest token is taken.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_k: Draw from the k likeliest tokens; 0 from all.
        top_p: Draw from the fewest likeliest tokens that together have this probability.
        repetition_penalty: Scores of tokens that are in the text are divided by it, or multiplied
            where they are negative (arXiv 1909.05858, section 4.1).
        no_repeat_ngram_size: No sequence of this many tokens comes twice; 0 allows it.
        min_new_tokens: The text does not end before so many tokens.
        eos_penalty: Subtracted from the score of the end.
    """

    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    eos_penalty: float = 0.0

    def next_token(
        self,
        logits_V: torch.Tensor,
        text: Sequence[int],
        *,
        new: int,
        stop_token: int | None,
        generator: torch.Generator,
    ) -> int:
        """Choose a token.

        Args:
            logits_V: Scores on the CPU; they are not changed.
            text: The tokens before it, prompt included.
            new: How many of them are not of the prompt.
            stop_token: What ends the text, if anything does.
            generator: The source of the draw, on the CPU.
        """
        scores_V = self.adjusted(logits_V, text, new=new, stop_token=stop_token)
        if not self.do_sample or self.temperature == 0:
            return int(scores_V.argmax())
        p_V = self.narrowed(scores_V).softmax(dim=-1)
        return int(torch.multinomial(p_V, 1, generator=generator))

    def adjusted(
        self, logits_V: torch.Tensor, text: Sequence[int], *, new: int, stop_token: int | None
    ) -> torch.Tensor:
        """The scores after penalties and bans."""
        scores_V = logits_V.clone()
        if self.repetition_penalty != 1.0 and text:
            seen = torch.tensor(sorted(set(text)))
            score = scores_V[seen]
            penalty = self.repetition_penalty
            scores_V[seen] = torch.where(score < 0, score * penalty, score / penalty)
        if self.no_repeat_ngram_size:
            scores_V[self._repeating(text)] = _NEVER
        if stop_token is not None:
            scores_V[stop_token] -= self.eos_penalty
            if new < self.min_new_tokens:
                scores_V[stop_token] = _NEVER
        return scores_V

    def narrowed(self, scores_V: torch.Tensor) -> torch.Tensor:
        """The scores to draw from, in fp64: what is out of the question is minus infinity."""
        # From the largest down: a tiny temperature must not overflow.
        scores_V = (scores_V.double() - scores_V.max()) / self.temperature
        if 0 < self.top_k < len(scores_V):
            smallest_kept = scores_V.topk(self.top_k).values[-1]
            scores_V = scores_V.masked_fill(scores_V < smallest_kept, _NEVER)
        if self.top_p < 1.0:
            sorted_V, place_V = scores_V.sort()  # the least likely first
            unlikely_V = sorted_V.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.top_p
            unlikely_V[-1] = False
            scores_V = scores_V.masked_fill(unlikely_V[place_V.argsort()], _NEVER)
        return scores_V

    def _repeating(self, text: Sequence[int]) -> list[int]:
        """The tokens that would complete an n-gram that the text has."""
        size = self.no_repeat_ngram_size
        if len(text) + 1 < size:
            return []
        begun = tuple(text[len(text) - size + 1 :])
        return [
            text[end]
            for end in range(size - 1, len(text))
            if tuple(text[end - size + 1 : end]) == begun
        ]

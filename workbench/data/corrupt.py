"""Text with holes: what BERT and T5 learn from.

The holes are a pure function of the seed and the number of the sequence: a resumed run and every
process make the same ones, and each pass over the text makes others.

Shapes: T tokens of a sequence, S positions of an encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.data.batches import IGNORE
from workbench.data.examples import PADDING_DOCUMENT, Example
from workbench.data.order import raw_draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.examples import Sequences

# Keeps the draws apart from those of orders and mixtures.
_HOLES = 1 << 42

_HIDDEN, _REPLACED = 0.8, 0.9
"""Of the chosen tokens 80 % become the mask, 10 % another token, 10 % stay (arXiv 1810.04805,
section 3.1)."""


class Masking(NamedTuple):
    """Masked language modelling."""

    probability: float
    mask: int
    vocab_size: int
    special: tuple[int, ...]
    """Tokens that are never chosen: separators and padding."""
    seed: int


class Masked:
    """Sequences in which some tokens are hidden, to be predicted where they stood.

    Args:
        sequences: The text.
        how: What is hidden, and how often.
    """

    def __init__(self, sequences: Sequences, how: Masking) -> None:
        self.sequences = sequences
        self.how = how
        self.sequential = sequences.sequential

    def at(self, n: int) -> Example:
        """The n-th sequence of the run."""
        return mask(self.sequences.at(n), n, self.how)

    def state(self, n: int) -> dict[str, Any]:
        """The state of the text."""
        return self.sequences.state(n)

    def load_state(self, state: dict[str, Any]) -> None:
        """Hand it on."""
        self.sequences.load_state(state)


def mask(example: Example, n: int, how: Masking) -> Example:
    """Hide tokens of a sequence; at least one, wherever one may be hidden."""
    import numpy as np

    tokens_T = example.tokens_T
    length = len(tokens_T)
    draws = uniform(how.seed, n, 2 * length)
    allowed = ~np.isin(tokens_T, how.special)
    if example.documents_T is not None:
        allowed &= example.documents_T != PADDING_DOCUMENT
    chosen = allowed & (draws[:length] < how.probability)
    if not chosen.any() and allowed.any():
        chosen[np.where(allowed, draws[:length], 2.0).argmin()] = True
    fate = draws[length:]
    others = (raw_draws(how.seed, _HOLES + n, 3 * length)[2 * length :] >> np.uint64(1)).astype(
        np.int64
    ) % how.vocab_size
    shown = np.where(chosen & (fate < _HIDDEN), how.mask, tokens_T)
    shown = np.where(chosen & (fate >= _HIDDEN) & (fate < _REPLACED), others, shown)
    return example._replace(tokens_T=shown, targets_T=np.where(chosen, tokens_T, IGNORE))


class Spans(NamedTuple):
    """T5's span corruption (arXiv 1910.10683, section 3.1.4)."""

    density: float
    """Share of the tokens that is left out."""
    mean_length: float
    """Tokens of a left out span, on average."""
    sentinels: Sequence[int]
    end: int
    """The token that ends both texts."""
    start: int
    """The token that the decoder begins with."""
    seed: int


class Corrupted:
    """Sequences with spans left out: the encoder reads the rest, the decoder writes the spans.

    Args:
        sequences: The text, in sequences of `raw_length`.
        how: How much is left out.
    """

    def __init__(self, sequences: Sequences, how: Spans) -> None:
        self.sequences = sequences
        self.how = how
        self.sequential = sequences.sequential

    def at(self, n: int) -> Example:
        """The n-th sequence of the run."""
        return leave_out(self.sequences.at(n), n, self.how)

    def state(self, n: int) -> dict[str, Any]:
        """The state of the text."""
        return self.sequences.state(n)

    def load_state(self, state: dict[str, Any]) -> None:
        """Hand it on."""
        self.sequences.load_state(state)


def leave_out(example: Example, n: int, how: Spans) -> Example:
    """Replace spans of a sequence by sentinels, and make the left out ones the target."""
    import numpy as np

    tokens_T = example.tokens_T
    if len(tokens_T) == 1:  # one token cannot be half left out
        tokens_T = np.append(tokens_T, how.end)
    draws = uniform(how.seed, n, 2 * len(tokens_T))
    noise_T = noise_mask(len(tokens_T), how.density, how.mean_length, draws)
    read = np.append(with_sentinels(tokens_T, noise_T, how.sentinels), how.end)
    written = np.append(with_sentinels(tokens_T, ~noise_T, how.sentinels), how.end)
    return Example(
        np.concatenate([[how.start], written[:-1]]), written, None, read, None, example.id
    )


def with_sentinels(
    tokens_T: NDArray[np.int64], gone_T: NDArray[np.bool_], sentinels: Sequence[int]
) -> NDArray[np.int64]:
    """The tokens that stay, and one sentinel in place of each run that is gone."""
    import numpy as np

    first_T = gone_T & ~np.concatenate([[False], gone_T[:-1]])
    marks = np.asarray(sentinels, dtype=np.int64)[: int(first_T.sum())]
    shown = tokens_T.copy()
    shown[first_T] = marks
    left: NDArray[np.int64] = shown[first_T | ~gone_T]
    return left


def noise_counts(length: int, density: float, mean_length: float) -> tuple[int, int]:
    """How many tokens of a sequence are left out, and in how many spans."""
    noise = min(max(round(length * density), 1), length - 1)
    return noise, min(max(round(noise / mean_length), 1), noise, length - noise)


def noise_mask(
    length: int, density: float, mean_length: float, draws: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which tokens are left out: spans of random lengths between kept ones of random lengths.

    The sequence begins with a kept token and ends in a span, as T5's own preprocessing makes it.

    Args:
        length: Tokens of the sequence, two at least.
        density: Share that is left out.
        mean_length: Tokens of a span, on average.
        draws: ``2 * length`` random numbers.
    """
    import numpy as np

    noise, spans = noise_counts(length, density, mean_length)
    left_out = _segments(noise, spans, draws[:length])
    kept = _segments(length - noise, spans, draws[length:])
    lengths = np.stack([kept, left_out], axis=1).ravel()
    return np.repeat(np.tile([False, True], spans), lengths)


def _segments(items: int, parts: int, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """``items`` cut into ``parts`` pieces of at least one, every way equally likely."""
    import numpy as np

    cuts = np.sort(draws[: items - 1].argsort(kind="stable")[: parts - 1]) + 1
    return np.diff(cuts, prepend=0, append=items)


def raw_length(length: int, density: float, mean_length: float) -> int:
    """The longest text that an encoder of ``length`` positions reads once it has holes."""
    raw = length
    while _read_length(raw + 1, density, mean_length) <= length:
        raw += 1
    while raw > 2 and _read_length(raw, density, mean_length) > length:
        raw -= 1
    return raw


def _read_length(raw: int, density: float, mean_length: float) -> int:
    noise, spans = noise_counts(raw, density, mean_length)
    return raw - noise + spans + 1


def uniform(seed: int, n: int, count: int) -> NDArray[np.float64]:
    """Random numbers from 0 to 1 that belong to the n-th sequence."""
    import numpy as np

    numbers = (raw_draws(seed, _HOLES + n, count) >> np.uint64(11)).astype(np.float64)
    return numbers * 2.0**-53

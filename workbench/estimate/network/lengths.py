"""How long the sequences of a micro-batch are at most, and whether they come with documents.

As `workbench.data` makes them; the tracer, which may ask it, makes its batch of the same shape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.config.schema import Config


class Lengths(NamedTuple):
    """The shape of a micro-batch.

    Attributes:
        written: Tokens of a sequence; of a t5, of what its decoder writes.
        read: Tokens that an encoder reads; of a network with one stack the same.
        documents: Whether the document of each position is told: texts are kept apart, or
            sequences of several lengths are filled up to the longest.
        outputs: Numbers that the head gives a token.
        inputs: Tensors of ids that a micro-batch has, for each of the two lengths.
    """

    written: int
    read: int
    documents: bool
    outputs: int
    inputs: tuple[int, int]


def lengths_of(config: Config) -> Lengths:
    """The shape of the largest micro-batch."""
    model, data = config.model, config.data
    longest = data.max_length
    t5 = model.model_type == "t5"
    answers = t5 and data.format != "text"
    alone = data.packing == "none" or answers or data.format.endswith("classification")
    padded = alone and config.training.batch_size > 1
    documents = padded or (data.packing == "documents" and not alone and not t5)
    classes = model.model_type == "bert" and model.head != "language"
    outputs = model.num_labels if classes else model.vocab_size
    if not t5:
        return Lengths(longest, longest, documents, outputs, (3 if documents else 2, 0))
    written = read = longest
    if not answers:
        read, written = corrupted(longest, data.noise_density, data.mean_noise_span_length)
    return Lengths(written, read, documents, outputs, (3, 2) if documents else (2, 1))


@lru_cache(maxsize=1024)
def corrupted(longest: int, density: float, mean_length: float) -> tuple[int, int]:
    """What is read and written of the longest text with left out spans that an encoder takes.

    Each span is one mark where it is left out, and is written behind that mark; both texts have an
    end (arXiv 1910.10683, section 3.1.4).
    """

    def both(raw: int) -> tuple[int, int]:
        noise = min(max(round(raw * density), 1), raw - 1)
        spans = min(max(round(noise / mean_length), 1), noise, raw - noise)
        return raw - noise + spans + 1, noise + spans + 1

    raw = longest
    while both(raw + 1)[0] <= longest:
        raw += 1
    while raw > 2 and both(raw)[0] > longest:
        raw -= 1
    return both(raw)

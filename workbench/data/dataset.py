"""Everything between `data:` in the config and the first batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench import units
from workbench.data.corpus import load_corpus
from workbench.data.split import split_documents
from workbench.data.tokenise import tokenise
from workbench.data.tokens import ByteTokenizer
from workbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.config.schema import DataConfig
    from workbench.data.reading import Skipped
    from workbench.data.store import Tokens


@dataclass(frozen=True)
class Dataset:
    """The two token streams of a run.

    Attributes:
        train: The tokens to learn from.
        validation: The held-out tokens.
        tokenizer: Turns text into tokens and back.
        description: Where the text comes from, for people.
        skipped: What was passed over, and why.
        fingerprint: Hash of both streams; a resumed run must find the same.
        train_part: The tokens to learn from, with their documents.
        validation_part: The held-out tokens, with their documents.
    """

    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    tokenizer: ByteTokenizer
    description: str
    skipped: list[Skipped]
    fingerprint: str
    train_part: Tokens
    validation_part: Tokens


def load_dataset(config: DataConfig) -> Dataset:
    """Read, split and tokenise the text.

    Raises:
        DataError: There is no usable text, or too little of it.
    """
    corpus = load_corpus(config)
    tokenizer = ByteTokenizer()
    needed = config.max_length + 1  # every token of a sequence has a next one
    train_texts, held_texts = split_documents(
        corpus.documents, config.validation_fraction, smallest=needed
    )
    train_part = tokenise(train_texts, tokenizer)
    validation_part = tokenise(held_texts, tokenizer)
    train, validation = train_part.ids, validation_part.ids
    if len(train) < needed or len(validation) < needed:
        raise too_short(config, len(train) + len(validation))
    return Dataset(
        train,
        validation,
        tokenizer,
        corpus.description,
        corpus.skipped,
        fingerprint(tokenizer.name, train, validation),
        train_part,
        validation_part,
    )


def too_short(config: DataConfig, have: int) -> DataError:
    """There is not one sequence to train on and one to evaluate in ``have`` tokens."""
    longest = have // 2 - 2
    return DataError(
        f"the text is too short: {have:,} tokens",
        where=None if config.path is None else f"data.path {config.path}",
        why="one sequence to train on and one to evaluate take 2 x "
        f"{config.max_length + 1:,} tokens "
        f"(data.max_length {config.max_length:,} and the token after it)",
        fix="give more text"
        + (f", or a smaller --data.max_length (up to {longest})" if longest >= 2 else ""),
    )


def fingerprint(
    tokenizer_name: str, train: NDArray[np.uint8], validation: NDArray[np.uint8]
) -> str:
    """A hash that changes when a single token does."""
    import xxhash

    digest = xxhash.xxh3_128(f"{tokenizer_name} {len(train)} {len(validation)}\n".encode())
    digest.update(train.data)
    digest.update(validation.data)
    return f"xxh3_128:{digest.hexdigest()}"


def check_unchanged(dataset: Dataset, recorded: str, path: str | None) -> None:
    """Refuse to go on with another text than the run began with.

    Args:
        dataset: The text now.
        recorded: Its fingerprint at the first attempt.
        path: ``data.path`` of the run.

    Raises:
        DataError: The fingerprints differ.
    """
    if dataset.fingerprint != recorded:
        raise DataError(
            "the text has changed since this run began",
            where=dataset.description,
            why=f"its fingerprint was {recorded} and is now {dataset.fingerprint}; "
            f"now {units.count(len(dataset.train))} training tokens",
            fix=("bring the text back as it was" if path else "use the Python that it began with")
            + ", or start a new run on the text of today",
        )

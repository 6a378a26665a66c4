"""From the config to the first batch: what the trainer calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.data.dataset import load_dataset
from workbench.data.held_out import HeldOut
from workbench.data.order import Shuffle, spread
from workbench.data.source import BatchSource
from workbench.data.windows import Windows

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.data.reading import Skipped
    from workbench.data.tokens import Tokenizer


@dataclass(frozen=True)
class Opened:
    """The data of a run, ready to train on.

    Attributes:
        source: The micro-batches to learn from.
        held_out: The micro-batches to evaluate.
        tokenizer: Turns text into tokens and back.
        description: Where the text comes from, for people.
        skipped: What was passed over, and why.
        fingerprint: Hash of the text; a resumed run must find the same.
        train_tokens: Tokens to learn from in one pass; None for a stream, whose end nobody knows.
        held_out_tokens: Tokens held out.
        notes: What else is worth a line at the start: the parts of a mixture, filters.
    """

    source: BatchSource
    held_out: HeldOut
    tokenizer: Tokenizer
    description: str
    skipped: list[Skipped]
    fingerprint: str
    train_tokens: int | None
    held_out_tokens: int
    notes: list[str] = field(default_factory=list)


def open_source(config: Config, *, data_parallel: int = 1) -> Opened:
    """Open the text that the config names.

    Args:
        config: The whole plan; the text follows from ``data``, what is predicted from ``model``.
        data_parallel: Over how many devices the sequences of a step are shared.

    Raises:
        DataError: There is no usable text, or too little of it.
        ConfigError: The text and the model do not fit together.
    """
    data, training = config.data, config.training
    dataset = load_dataset(data)
    how = Shuffle(data.shuffle_seed, data.shuffle, data.reshuffle_each_epoch)
    train = Windows(dataset.train_part, length=data.max_length, how=how)
    held = Windows(dataset.validation_part, length=data.max_length, how=how)
    starts = spread((len(dataset.validation) - 1) // data.max_length, data.max_eval_examples)
    source = BatchSource(
        train,
        batch_size=training.batch_size,
        micro_batches=training.gradient_accumulation_steps * data_parallel,
        padding=dataset.tokenizer.separator,
        workers=data.dataloader_num_workers,
        ahead=data.dataloader_prefetch_factor,
        stride=data_parallel,
    )
    held_out = HeldOut(
        len(starts),
        lambda i: held.cut(starts[i] * data.max_length),
        batch_size=data.eval_batch_size or training.batch_size,
        padding=dataset.tokenizer.separator,
    )
    return Opened(
        source,
        held_out,
        dataset.tokenizer,
        dataset.description,
        dataset.skipped,
        dataset.fingerprint,
        len(dataset.train),
        len(dataset.validation),
    )



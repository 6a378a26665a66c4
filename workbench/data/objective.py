"""What is predicted: the next token, hidden tokens, left out spans, or the answer to a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workbench.data.buckets import default_bounds
from workbench.data.corrupt import (
    Corrupted,
    Masked,
    Masking,
    Spans,
    leave_out,
    mask,
    noise_counts,
    raw_length,
)
from workbench.data.labelled import Labelled, Tagged
from workbench.data.prompts import PromptAnswer
from workbench.data.reading import CLASSIFIED
from workbench.data.single import Single
from workbench.data.windows import Windows
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.data.examples import Example, Sequences
    from workbench.data.order import Shuffle
    from workbench.data.store import Tokens
    from workbench.data.tokens import Tokenizer

# Held-out sequences get holes that no sequence of the training has.
_HELD = 1 << 39


class Cut(Protocol):
    """A text that any of its sequences can be cut from."""

    def cut(self, start: int, remark: str = "") -> Example:
        """One sequence."""


class Finite(Protocol):
    """Sequences of a text whose end is known."""

    sequential: bool
    items: int

    def at(self, n: int) -> Example:
        """See `Sequences`."""

    def state(self, n: int) -> dict[str, object]:
        """See `Sequences`."""

    def load_state(self, state: dict[str, object]) -> None:
        """See `Sequences`."""

    def cut(self, start: int, remark: str = "") -> Example:
        """See `Cut`."""


@dataclass(frozen=True)
class Task:
    """How tokens become sequences, and sequences examples.

    Attributes:
        config: The plan.
        how: How orders are drawn.
        length: Tokens to cut for one sequence; of a T5 more than its encoder reads.
        group: Sequences of a step.
        masking: For a BERT.
        spans: For a T5 that learns from plain text.
        start: For a T5: the token that its decoder begins with.
        classes: For a BERT that tells classes apart: how many there are.
    """

    config: Config
    how: Shuffle
    length: int
    group: int
    masking: Masking | None = None
    spans: Spans | None = None
    start: int | None = None
    classes: int | None = None

    @property
    def single(self) -> bool:
        """Whether every record is a sequence of its own."""
        return self.classes is not None or self.answers or self.config.data.packing == "none"

    @property
    def answers(self) -> bool:
        """Whether an encoder reads prompts and a decoder writes answers."""
        return self.start is not None and self.spans is None

    def sequences(self, tokens: Tokens, *, bucketed: bool = True) -> Finite:
        """The sequences of a text."""
        data = self.config.data
        limit = data.max_train_examples
        limit = None if limit is None or limit < 0 else limit
        if self.classes is not None:
            kind = Tagged if data.format == "token_classification" else Labelled
            return kind(tokens, length=self.length, how=self.how, classes=self.classes, limit=limit)
        if self.answers:
            assert self.start is not None
            return PromptAnswer(
                tokens, length=self.length, how=self.how, start=self.start, limit=limit
            )
        if data.packing == "none":
            bounds = data.bucket_boundaries or default_bounds(self.length)
            return Single(
                tokens,
                length=self.length,
                how=self.how,
                truncation=data.truncation,
                limit=limit,
                bounds=bounds if data.enable_bucketing and bucketed else None,
                group=data.max_bucket_size or self.group,
            )
        apart = data.packing == "documents"
        return Windows(tokens, length=self.length, how=self.how, apart=apart, limit=limit)

    def count(self, held: Tokens) -> int:
        """How many sequences a held-out text has."""
        if self.single:
            return held.documents
        return (len(held) - 1) // self.length

    def corrupted(self, sequences: Sequences) -> Sequences:
        """The sequences of a run, with holes where the model learns from holes."""
        if self.masking is not None:
            return Masked(sequences, self.masking)
        if self.spans is not None:
            return Corrupted(sequences, self.spans)
        return sequences

    def corrupt_held(self, example: Example, i: int) -> Example:
        """The i-th held-out sequence, with the same holes at each evaluation."""
        if self.masking is not None:
            return mask(example, _HELD + i, self.masking)
        if self.spans is not None:
            return leave_out(example, _HELD + i, self.spans)
        return example


def task_of(config: Config, tokenizer: Tokenizer, how: Shuffle, *, group: int) -> Task:
    """What a model of this family learns from this kind of record.

    Raises:
        ConfigError: The vocabulary lacks what it takes.
    """
    data, family = config.data, config.model.model_type
    length = data.max_length
    _refuse_format(config)
    if family == "bert" and data.format in CLASSIFIED:
        return Task(config, how, length, group, classes=config.model.num_labels)
    if family == "bert" and data.format != "text":
        raise ConfigError(
            f"a BERT cannot learn to answer: data.format is {data.format}",
            where="data.format",
            why="it fills in hidden tokens, and writes no text",
            fix="--data.format text, or another model.model_type",
        )
    if family == "t5" and data.packing == "documents":
        raise ConfigError(
            "a T5 cannot keep texts apart that share a sequence",
            where="data.packing",
            why="its left out spans do not say which text they belong to",
            fix="--data.packing none gives each text its own sequence",
        )
    if family == "bert":
        if tokenizer.mask is None:
            raise ConfigError(
                f"the tokenizer {tokenizer.name} has no token that hides another",
                where="data.tokenizer_name",
                why="a BERT learns by filling in hidden tokens; [MASK] and <mask> are known",
                fix="use a tokenizer made for BERT, or --data.tokenizer_name bytes",
            )
        special = (tokenizer.separator, tokenizer.padding, tokenizer.mask)
        masking = Masking(
            data.mlm_probability, tokenizer.mask, tokenizer.vocab_size, special, how.seed
        )
        return Task(config, how, length, group, masking=masking)
    if family == "t5" and data.format == "text":
        raw = raw_length(length, data.noise_density, data.mean_noise_span_length)
        _, needed = noise_counts(raw, data.noise_density, data.mean_noise_span_length)
        spans = Spans(
            data.noise_density,
            data.mean_noise_span_length,
            _sentinels(config, tokenizer, needed),
            tokenizer.separator,
            tokenizer.padding,
            how.seed,
        )
        return Task(config, how, raw, group, spans=spans, start=tokenizer.padding)
    if family == "t5":
        return Task(config, how, length, group, start=tokenizer.padding)
    return Task(config, how, length, group)


def _refuse_format(config: Config) -> None:
    """Classes need a model that tells them apart, and such a model needs classes.

    Raises:
        ConfigError: One of the two is there without the other.
    """
    data, model = config.data, config.model
    head = model.head if model.model_type == "bert" else "language"
    if head in CLASSIFIED and data.format not in CLASSIFIED:
        raise ConfigError(
            "the model tells classes apart, and the records have none",
            where="data.format",
            why=f"model.head is {head}, data.format is {data.format}",
            fix=f"--data.format {head}, or --model.head language",
        )
    if head in CLASSIFIED and data.format != head:
        mine, theirs = ("texts", "words") if head == "classification" else ("words", "texts")
        raise ConfigError(
            f"the model tells classes of {mine} apart, and the records have classes of {theirs}",
            where="model.head",
            why=f"model.head is {head}, data.format is {data.format}",
            fix=f"--model.head {data.format}, or --data.format {head}",
        )
    if data.format in CLASSIFIED and head != data.format:
        raise ConfigError(
            "the records have classes, and the model cannot tell them apart",
            where="model.head",
            why=f"data.format is {data.format}, model.model_type {model.model_type}",
            fix=f"--model.model_type bert --model.head {data.format}",
        )
    answers = model.model_type == "t5" and data.format != "text"
    if data.streaming and (answers or data.format in CLASSIFIED):
        raise ConfigError(
            "records that are read by an encoder are not streamed, unless they are plain text",
            where="data.streaming",
            why=f"data.format is {data.format}, model.model_type {model.model_type}",
            fix="--data.streaming false, or prepare them: ava data prepare",
        )


def first_sentinel(config: Config, tokenizer: Tokenizer) -> int:
    """The token that stands for the first span that is left out.

    Raises:
        ConfigError: The vocabulary has no room for one.
    """
    return _sentinels(config, tokenizer, 1)[0]


def _sentinels(config: Config, tokenizer: Tokenizer, needed: int) -> tuple[int, ...]:
    """The tokens that stand for left out spans: the tokenizer's own, or the vocabulary's last."""
    if len(tokenizer.sentinels) >= needed:
        return tokenizer.sentinels
    size = config.model.vocab_size
    if size < tokenizer.vocab_size + needed:
        wanted = -(-(tokenizer.vocab_size + needed) // 64) * 64
        raise ConfigError(
            f"model.vocab_size {size} has no room for the marks of left out spans",
            where="model.vocab_size",
            why=f"the {tokenizer.name} tokenizer has {tokenizer.vocab_size:,} tokens, and a "
            f"sequence of {config.data.max_length:,} tokens needs {needed:,} marks",
            fix=f"use --model.vocab_size {wanted}",
        )
    return tuple(size - 1 - number for number in range(needed))

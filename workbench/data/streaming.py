"""A text that is read while training: its stream, and the part of it that is held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.data.dataset import Dataset, evaluation_hashes, evaluation_tokens
from workbench.data.filters import Filters
from workbench.data.flow import every_document, open_flow
from workbench.data.reading import content_hash
from workbench.data.stream import Stream, held_by_hash
from workbench.data.tokenise import join, token_type, tokenise, tokenise_each
from workbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from workbench.config.schema import DataConfig
    from workbench.data.flow import Flow
    from workbench.data.order import Shuffle
    from workbench.data.reading import Document
    from workbench.data.store import Tokens
    from workbench.data.tokens import Tokenizer


def open_stream(
    data: DataConfig, path: str | None, length: int, tokenizer: Tokenizer, how: Shuffle
) -> tuple[Stream, Dataset, float]:
    """The stream of a text, what is known of it, and its size in bytes.

    Raises:
        ConfigError: What was asked for needs all of the text at once.
        DataError: There is no text, or none of it can be held out.
    """
    if data.enable_bucketing:
        raise ConfigError(
            "a stream cannot be sorted into buckets: its records are not known before",
            where="data.enable_bucketing",
            fix="--data.enable_bucketing false, or --data.streaming false",
        )
    flow, name, skipped = open_flow(data, path)
    filters = Filters(data)
    if data.eval_path is not None:
        hashes = evaluation_hashes(data)
        validation = evaluation_tokens(data, tokenizer)

        def trains(document: Document) -> bool:
            return content_hash(document.text) not in hashes

    else:
        validation = _held_out(flow, data, tokenizer, length, name)

        def trains(document: Document) -> bool:
            return not held_by_hash(document.text, data.validation_fraction)

    limit = data.max_train_examples
    stream = Stream(
        flow,
        tokenizer,
        length=length,
        how=how,
        packing=data.packing,
        buffer=data.buffer_size,
        trains=trains,
        filters=filters,
        truncation=data.truncation,
        limit=None if limit is None or limit < 0 else limit,
    )
    nothing = join([], [], token_type(tokenizer.vocab_size), names=[], name=name)
    dataset = Dataset(
        nothing,
        validation,
        tokenizer,
        f"a stream of {name}",
        skipped + flow.skipped,
        flow.fingerprint(),
        name,
    )
    return stream, dataset, float(sum(lazy.size for lazy in flow.tables))


def _held_out(flow: Flow, data: DataConfig, tokenizer: Tokenizer, length: int, name: str) -> Tokens:
    """The first held-out records of the stream, enough for one evaluation.

    Raises:
        DataError: There are too few.
    """
    single = data.packing == "none"
    wanted = data.max_eval_examples if single else data.max_eval_examples * length + 1
    found: dict[bytes, Document] = {}
    size = 0
    for documents, _ in every_document(flow):
        new = {
            content_hash(each.text): each
            for each in documents
            if held_by_hash(each.text, data.validation_fraction)
        }
        more = [each for digest, each in new.items() if digest not in found]
        size += len(more) if single else _size(more, tokenizer)
        found |= new
        if size >= wanted:
            break
    held = list(found.values())
    if size < (1 if single else length + 1):
        raise DataError(
            f"of the stream {name} only {len(held):,} records are held out: too few to evaluate on",
            where="data.validation_fraction",
            why="a stream holds out whole records, chosen by their content; "
            f"data.validation_fraction is {data.validation_fraction:g}",
            fix="name a text to evaluate on: --data.eval_path FILE\n"
            "or raise --data.validation_fraction, or read all of it: --data.streaming false",
        )
    return tokenise(held, tokenizer, name)


def _size(documents: list[Document], tokenizer: Tokenizer) -> int:
    return sum(len(row) for row, _ in tokenise_each(documents, tokenizer))

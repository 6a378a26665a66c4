"""A text that fits into memory, or a prepared one: read, split and tokenised."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.data.corpus import Corpus, find_text, load_corpus
from workbench.data.filters import Filters
from workbench.data.library_tokenizer import open_tokenizer
from workbench.data.reading import CLASSIFIED, Skipped, content_hash, display
from workbench.data.shards import is_prepared, open_shards
from workbench.data.split import split_documents
from workbench.data.tokenise import join, token_type, tokenise, tokenise_each
from workbench.data.tokens import ByteTokenizer
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.config.schema import DataConfig
    from workbench.data.reading import Document
    from workbench.data.store import Tokens
    from workbench.data.tokens import Tokenizer


@dataclass(frozen=True)
class Dataset:
    """The two token streams of a text.

    Attributes:
        train: The tokens to learn from.
        validation: The held-out tokens.
        tokenizer: Turns text into tokens and back.
        description: Where the text comes from, for people.
        skipped: What was passed over, and why.
        fingerprint: Hash of both streams; a resumed run must find the same.
        name: What the text is called, in few words.
    """

    train: Tokens
    validation: Tokens
    tokenizer: Tokenizer
    description: str
    skipped: list[Skipped]
    fingerprint: str
    name: str = ""


def load_dataset(
    config: DataConfig,
    path: str | None = None,
    tokenizer: Tokenizer | None = None,
    seen: set[bytes] | None = None,
) -> Dataset:
    """Read, split and tokenise a text, or map a prepared one.

    Args:
        config: What to take, and how.
        path: Another file or folder than ``data.path``.
        tokenizer: Where it is open already.
        seen: What the texts before this one held: what occurs again is left out, and so never held
            out here and trained on there.

    Raises:
        DataError: There is no usable text, or too little of it.
    """
    prepared = prepared_path(config, path)
    if prepared is not None:
        dataset = _prepared(prepared, config)
    else:
        tokenizer = tokenizer or open_tokenizer(config)
        dataset = _read(config, load_corpus(config, path), tokenizer, path, seen)
    if config.eval_path is not None:
        held = evaluation_tokens(config, dataset.tokenizer)
        dataset = dataclasses.replace(
            dataset,
            validation=held,
            fingerprint=fingerprint(_name(dataset.tokenizer), dataset.train, held)
            if prepared is None
            else _both(dataset.fingerprint, held),
        )
    _refuse_too_short(config, dataset, path)
    return dataset


def prepared_path(config: DataConfig, path: str | None = None) -> Path | None:
    """The folder of prepared text that the config names, if it does."""
    if path is None and (config.path is None or config.dataset_name is not None):
        return None
    found = find_text(config, path)
    return found if found is not None and is_prepared(found) else None


def _prepared(path: Path, config: DataConfig) -> Dataset:
    shards = open_shards(path)
    told, records = shards.index["tokenizer"], shards.index["records"]
    if records != config.format and {records, config.format} & {*CLASSIFIED}:
        raise DataError(
            f"{display(path)} was prepared as {records}, and data.format is {config.format}",
            where="data.format",
            fix=f"--data.format {records}, or prepare the text again",
        )
    tokenizer: Tokenizer = ByteTokenizer()
    if told["name"] != "bytes":
        own = config.model_copy(
            update={"tokenizer_name": str(path), "eos_token_id": told["separator"]}
        )
        tokenizer = open_tokenizer(own)
    if config.tokenizer_name != "bytes" and not _same(open_tokenizer(config), tokenizer):
        raise DataError(
            f"{display(path)} was prepared with another tokenizer than {config.tokenizer_name}",
            where="data.tokenizer_name",
            why=f"it was {told['name']}, {told['vocab_size']:,} tokens",
            fix=f"--data.tokenizer_name {display(path)}\nor prepare the text again",
        )
    return Dataset(
        shards.train,
        shards.validation,
        tokenizer,
        f"{shards.index['text']}, prepared in {display(path)}",
        [Skipped(each["path"], each["why"]) for each in shards.index["skipped"]],
        shards.fingerprint,
        display(path),
    )


def _same(one: Tokenizer, other: Tokenizer) -> bool:
    probe = "".join(map(chr, range(32, 0x250))) + " the quick brown fox\n\tjumps 0123456789 été"
    return (
        one.vocab_size == other.vocab_size
        and one.separator == other.separator
        and list(one.encode(probe)) == list(other.encode(probe))
    )


def _read(
    config: DataConfig,
    corpus: Corpus,
    tokenizer: Tokenizer,
    path: str | None,
    seen: set[bytes] | None,
) -> Dataset:
    name = display(Path(path)) if path is not None else corpus.description
    skipped = list(corpus.skipped)
    documents = corpus.documents
    if seen is not None:
        digests = [content_hash(each.text) for each in documents]
        pairs = list(zip(documents, digests, strict=True))
        skipped += [Skipped(d.name, "is in another text, too") for d, h in pairs if h in seen]
        documents = [document for document, digest in pairs if digest not in seen]
        seen.update(digests)
    if config.eval_path is not None:
        held_hashes = evaluation_hashes(config)
        train_documents = []
        for each in documents:
            if content_hash(each.text) in held_hashes:
                skipped.append(Skipped(each.name, f"is a text of {config.eval_path}"))
            else:
                train_documents.append(each)
        held_documents: list[Document] = []
    else:
        train_documents, held_documents = split_documents(
            documents,
            config.validation_fraction,
            smallest=1 if config.packing == "none" else config.max_length + 1,
        )
    filters = Filters(config)
    train = _tokens(train_documents, tokenizer, filters, name)
    held = _tokens(held_documents, tokenizer, filters, name)
    return Dataset(
        train,
        held,
        tokenizer,
        corpus.description,
        skipped + filters.skipped,
        fingerprint(_name(tokenizer), train, held),
        name,
    )


def _tokens(
    documents: Sequence[Document], tokenizer: Tokenizer, filters: Filters, name: str
) -> Tokens:
    if not filters.active:
        return tokenise(documents, tokenizer, name)
    rows, masks, names = [], [], []
    for document, (row, learn) in zip(documents, tokenise_each(documents, tokenizer), strict=True):
        if filters.keeps(row[:-1], document.name):
            rows.append(row)
            masks.append(learn)
            names.append(document.name)
    return join(rows, masks, token_type(tokenizer.vocab_size), names=names, name=name)


def evaluation_tokens(config: DataConfig, tokenizer: Tokenizer) -> Tokens:
    """All of ``data.eval_path``, tokenised.

    Raises:
        DataError: There is no usable text.
    """
    assert config.eval_path is not None
    prepared = prepared_path(config, config.eval_path)
    if prepared is not None:
        alone = config.model_copy(update={"eval_path": None, "tokenizer_name": "bytes"})
        dataset = _prepared(prepared, alone)
        if not _same(dataset.tokenizer, tokenizer):
            raise DataError(
                f"{display(prepared)} was prepared with another tokenizer than the training text",
                where="data.eval_path",
                fix="prepare both with the same one: ava data prepare … --tokenizer DIR",
            )
        return dataset.train
    corpus = load_corpus(config, config.eval_path)
    return tokenise(corpus.documents, tokenizer, config.eval_path)


def evaluation_hashes(config: DataConfig) -> set[bytes]:
    """What the texts of ``data.eval_path`` are: none of them is trained on."""
    assert config.eval_path is not None
    if prepared_path(config, config.eval_path) is not None:
        return set()
    return {content_hash(each.text) for each in load_corpus(config, config.eval_path).documents}


def _refuse_too_short(config: DataConfig, dataset: Dataset, path: str | None) -> None:
    have = len(dataset.train) + len(dataset.validation)
    if config.packing == "none":
        for side in (dataset.train, dataset.validation):
            if not side.documents:
                raise DataError(
                    f"there are too few records: {dataset.train.documents} to train on, "
                    f"{dataset.validation.documents} held out",
                    where=dataset.description,
                    fix="give more text, or text to evaluate on: --data.eval_path FILE",
                )
        return
    needed = config.max_length + 1  # every token of a sequence has a next one
    if len(dataset.train) < needed or len(dataset.validation) < needed:
        raise too_short(config, have, path)


def too_short(config: DataConfig, have: int, path: str | None = None) -> DataError:
    """There is not one sequence to train on and one to evaluate in ``have`` tokens."""
    longest = have // 2 - 2
    given = path or config.path
    return DataError(
        f"the text is too short: {have:,} tokens",
        where=None if given is None else f"data.path {given}",
        why="one sequence to train on and one to evaluate take 2 x "
        f"{config.max_length + 1:,} tokens "
        f"(data.max_length {config.max_length:,} and the token after it)",
        fix="give more text"
        + (f", or a smaller --data.max_length (up to {longest})" if longest >= 2 else ""),
    )


def _name(tokenizer: Tokenizer) -> str:
    """What the fingerprint says of the tokenizer: not where it lies."""
    if tokenizer.name == "bytes":
        return "bytes"
    return f"{tokenizer.vocab_size} tokens, {tokenizer.separator} separates"


def _both(of_train: str, held: Tokens) -> str:
    import xxhash

    return f"{of_train}+{xxhash.xxh3_64(_buffer(held.ids)).hexdigest()}"


def fingerprint(tokenizer_name: str, train: Tokens, validation: Tokens) -> str:
    """A hash that changes when a single token does."""
    import xxhash

    digest = xxhash.xxh3_128(f"{tokenizer_name} {len(train)} {len(validation)}\n".encode())
    digest.update(_buffer(train.ids))
    digest.update(_buffer(validation.ids))
    for side in (train, validation):
        if side.learn is not None:
            digest.update(_buffer(side.learn))
    return f"xxh3_128:{digest.hexdigest()}"


def _buffer(array: Any) -> memoryview:
    return memoryview(array).cast("B") if len(array) else memoryview(b"")

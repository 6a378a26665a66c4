"""Tokenise a text once, into files that a training maps into memory.

The text is read record after record and never held whole. A preparation that is interrupted leaves
nothing but a folder called ``….partial-…``, which the next one removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from workbench.data.corpus import without_repeats
from workbench.data.flow import Flow, every_document, open_flow
from workbench.data.library_tokenizer import LibraryTokenizer, open_tokenizer, train_tokenizer
from workbench.data.reading import Document, Skipped, content_hash, display
from workbench.data.shards import FORMAT, INDEX, SIDES, VERSION, describe_file, is_prepared
from workbench.data.split import split_documents
from workbench.data.stream import held_by_hash
from workbench.data.tokenise import token_type, tokenise_each
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workbench.config.schema import DataConfig
    from workbench.data.tokens import Tokenizer

Progress: TypeAlias = "Callable[[str, float, dict[str, int]], None]"
"""Told what is done now (``learn``, ``tokenise``), how much of it from 0 to 1 or below 0 where
nobody knows, and figures for people."""

_LEARN_FROM = 50_000_000
"""Characters that a vocabulary is learned from: beyond it grows slower than the patience."""

_IN_MEMORY = 32 * 2**20
"""Characters of a text that is split as a small one is: documents chosen, or their ends cut off."""

_REMEMBERED = 4_000_000
"""Records whose content is remembered, so that a copy counts once."""

_AT_ONCE = 256
_NAMED = 20


@dataclass
class Side:
    """The files of one side while they are written."""

    tokens: IO[bytes]
    documents: IO[bytes]
    learn: IO[bytes]
    count: int = 0
    records: int = 0


@dataclass
class Told:
    """What a preparation found out."""

    skipped: list[Skipped] = field(default_factory=list)
    repeats: int = 0
    masked: bool = False


def prepare(
    config: DataConfig,
    out: Path,
    *,
    vocab_size: int | None = None,
    replace: bool = False,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Write the prepared folder ``out``.

    Args:
        config: Names the text, the tokenizer, the filters and the held-out share.
        out: The folder to write.
        vocab_size: Learn a vocabulary of so many tokens from the text, instead of
            ``config.tokenizer_name``.
        replace: Put it in place of a prepared folder of that name.
        progress: Told how far it is.

    Returns:
        The index.

    Raises:
        DataError: There is no text, or the folder is in the way.
    """
    _refuse_in_the_way(out, replace=replace)
    for left in out.parent.glob(f"{out.name}.partial-*"):
        if not _alive(left):
            shutil.rmtree(left, ignore_errors=True)
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        index = _write(config, partial, vocab_size, progress)
        if out.exists():
            old = out.with_name(f"{out.name}.old-{os.getpid()}")
            out.rename(old)
            partial.rename(out)
            shutil.rmtree(old)
        else:
            partial.rename(out)
        _sync(out.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return index


def _refuse_in_the_way(out: Path, *, replace: bool) -> None:
    if not out.exists():
        return
    prepared = is_prepared(out)
    if prepared and replace:
        return
    raise DataError(
        f"{display(out)} is there already",
        where="--out",
        why=None if prepared else "it is no folder of prepared text, so it is not replaced",
        fix="--force to replace it, or another folder" if prepared else "name another folder",
    )


def _alive(partial: Path) -> bool:
    """Whether the process that writes a partial folder still runs."""
    try:
        os.kill(int(partial.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _write(
    config: DataConfig, folder: Path, vocab_size: int | None, progress: Progress
) -> dict[str, Any]:
    began = time.monotonic()
    flow, name, skipped = open_flow(config)
    told = Told(skipped=skipped)
    tokenizer = _tokenizer(config, flow, vocab_size, folder, progress)
    whole = _small(flow)
    with contextlib.ExitStack() as stack:
        sides = {side: _open_side(stack, folder, side) for side in SIDES}
        pairs = (
            _split_small(whole, config, told)
            if whole is not None
            else _split_large(flow, config, progress, told)
        )
        _tokenise(pairs, tokenizer, config, sides, told, progress)
        for side in sides.values():
            for file in (side.tokens, side.documents, side.learn):
                file.flush()
                os.fsync(file.fileno())
    _refuse_empty(sides, config)
    told.skipped += [each for each in flow.skipped if each not in told.skipped]
    files = sorted(each.name for each in folder.iterdir())
    if not told.masked:
        for side_name in SIDES:
            (folder / f"{side_name}.learn.bin").unlink()
        files = [each for each in files if not each.endswith(".learn.bin")]
    index = {
        "format": FORMAT,
        "version": VERSION,
        "text": name,
        "records": config.format,
        "tokenizer": {
            "name": tokenizer.name,
            "vocab_size": tokenizer.vocab_size,
            "separator": tokenizer.separator,
        },
        "dtype": token_type(tokenizer.vocab_size).newbyteorder("<").str,
        "masked": told.masked,
        **{s: {"tokens": sides[s].count, "documents": sides[s].records} for s in SIDES},
        "repeats": told.repeats,
        "skipped": [{"path": s.path, "why": s.why} for s in told.skipped[:_NAMED]],
        "skipped_total": len(told.skipped),
        "seconds": round(time.monotonic() - began, 3),
        "files": {each: describe_file(folder / each) for each in files},
    }
    with (folder / INDEX).open("wb") as written:
        written.write(json.dumps(index, indent=2).encode())
        written.flush()
        os.fsync(written.fileno())
    _sync(folder)
    return index


def _tokenizer(
    config: DataConfig, flow: Flow, vocab_size: int | None, folder: Path, progress: Progress
) -> Tokenizer:
    if vocab_size is None:
        tokenizer = open_tokenizer(config)
    else:
        inner = train_tokenizer(_sample(flow, config, progress), vocab_size)
        tokenizer = LibraryTokenizer(inner, "trained", separator=0)
    if isinstance(tokenizer, LibraryTokenizer):
        tokenizer.inner.save(str(folder / "tokenizer.json"))
        eos = tokenizer.inner.id_to_token(tokenizer.separator)
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos}), "utf-8")
    return tokenizer


def _sample(flow: Flow, config: DataConfig, progress: Progress) -> Iterator[str]:
    """Text to learn a vocabulary from: spread over all of it, and none of it held out."""
    size = sum(lazy.size for lazy in flow.tables)
    share = min(1.0, _LEARN_FROM / max(1, size))
    for documents, fraction in every_document(flow):
        for each in documents:
            # Other bytes of the hash than those that decide what is held out.
            chance = int.from_bytes(content_hash(each.text)[8:], "big") / 2.0**64
            if chance < share and not held_by_hash(each.text, config.validation_fraction):
                yield each.text
        progress("learn", fraction, {})


def _small(flow: Flow) -> list[Document] | None:
    """All documents, when they are few enough to be looked at together."""
    found: list[Document] = []
    size = 0
    for documents, _ in every_document(flow):
        found += documents
        size += sum(len(each.text) for each in documents)
        if size > _IN_MEMORY:
            return None
    return found


def _split_small(
    documents: list[Document], config: DataConfig, told: Told
) -> Iterator[tuple[str, list[Document]]]:
    kept, repeats = without_repeats(documents)
    told.repeats = len(repeats)
    train, held = split_documents(kept, config.validation_fraction, smallest=config.max_length + 1)
    yield "train", train
    yield "validation", held


def _split_large(
    flow: Flow, config: DataConfig, progress: Progress, told: Told
) -> Iterator[tuple[str, list[Document]]]:
    seen: set[bytes] = set()
    for documents, fraction in every_document(flow):
        sides: dict[str, list[Document]] = {side: [] for side in SIDES}
        for each in documents:
            digest = content_hash(each.text)
            if digest in seen:
                told.repeats += 1
                continue
            if len(seen) < _REMEMBERED:
                seen.add(digest)
            held = held_by_hash(each.text, config.validation_fraction)
            sides["validation" if held else "train"].append(each)
        yield from sides.items()
        progress("tokenise", fraction, {})


def _tokenise(
    pairs: Iterator[tuple[str, list[Document]]],
    tokenizer: Tokenizer,
    config: DataConfig,
    sides: dict[str, Side],
    told: Told,
    progress: Progress,
) -> None:
    import numpy as np

    from workbench.data.filters import Filters

    filters = Filters(config)
    for name, documents in pairs:
        side = sides[name]
        for first in range(0, len(documents), _AT_ONCE):
            some = documents[first : first + _AT_ONCE]
            for document, (ids, learn) in zip(some, tokenise_each(some, tokenizer), strict=True):
                if filters.active and not filters.keeps(ids[:-1], document.name):
                    continue
                side.documents.write(np.int64(side.count).astype("<i8").tobytes())
                side.tokens.write(ids.astype(ids.dtype.newbyteorder("<"), copy=False).tobytes())
                flags = np.ones(len(ids), dtype=np.bool_) if learn is None else learn
                side.learn.write(flags.tobytes())
                told.masked |= learn is not None
                side.count += len(ids)
                side.records += 1
            progress(
                "tokenise",
                -1.0,
                {"tokens": sum(s.count for s in sides.values())},
            )
    told.skipped += filters.skipped


def _open_side(stack: contextlib.ExitStack, folder: Path, side: str) -> Side:
    tokens, documents, learn = (
        stack.enter_context((folder / f"{side}{kind}.bin").open("wb", buffering=1 << 20))
        for kind in ("", ".documents", ".learn")
    )
    return Side(tokens, documents, learn)


def _refuse_empty(sides: dict[str, Side], config: DataConfig) -> None:
    for name, side in sides.items():
        if not side.count:
            raise DataError(
                f"the text is too short: nothing is left for {name}",
                where="data.path" if config.path is None else config.path,
                why=f"data.validation_fraction is {config.validation_fraction:g}",
                fix="give more text, or another --validation_fraction",
            )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The records of many files one after the other, read from any place on, never all in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.data.corpus import (
    find_text,
    library_files,
    library_root,
    no_text,
    refused,
    text_files,
)
from workbench.data.huggingface import (
    DatasetRows,
    HubStream,
    is_saved_dataset,
    open_named,
    open_saved,
)
from workbench.data.reading import (
    BAD_PER_RECORD,
    TABLE_SUFFIXES,
    Document,
    Skipped,
    Unusable,
    display,
)
from workbench.data.records import Maker
from workbench.data.tables import open_table
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.config.schema import DataConfig
    from workbench.data.tables import Table

# Before so many records, one bad one is no share to judge a text by.
_ENOUGH = 1000
_SHOWN = 64 * 1024


class Flow:
    """Records in order: file after file, or ``turn`` of each in turn.

    A place is JSON-ready: how far each file was read, whose turn it is, how much of it is used up.

    Args:
        tables: The files; each is opened when its turn comes.
        maker: What a record has to be.
        turn: Records of one file before the next one; None: all.
    """

    def __init__(self, tables: Sequence[Lazy], maker: Maker, turn: int | None = None) -> None:
        self.tables = tables
        self.maker = maker
        self.turn = turn
        self.skipped: list[Skipped] = []
        self.good = 0
        self._seen_bad: set[str] = set()

    @property
    def start(self) -> dict[str, Any]:
        """The place before the first record."""
        return {"at": [0] * len(self.tables), "file": 0, "used": 0}

    def read(
        self, cursor: dict[str, Any], count: int
    ) -> tuple[list[Document], dict[str, Any] | None]:
        """The good ones of the next ``count`` records, and the place after them; None at the end.

        Raises:
            DataError: A file can no longer be read, or too many records are bad.
        """
        at, file, used = list(cursor["at"]), int(cursor["file"]), int(cursor["used"])
        documents: list[Document] = []
        taken = 0
        while taken < count and any(place is not None for place in at):
            if at[file] is None or (self.turn is not None and used >= self.turn):
                file, used = (file + 1) % len(at), 0
                continue
            wanted = count - taken if self.turn is None else min(count - taken, self.turn - used)
            items, at[file] = self._read_one(self.tables[file], at[file], wanted)
            for item in items:
                if isinstance(item, Document):
                    documents.append(item)
                elif item.path not in self._seen_bad:
                    self._seen_bad.add(item.path)
                    self.skipped.append(item)
            self.good += sum(isinstance(item, Document) for item in items)
            taken += max(1, len(items))
            used += max(1, len(items))
        ended = all(place is None for place in at)
        self._judge(ended=ended)
        return documents, None if ended else {"at": at, "file": file, "used": used}

    def _read_one(self, lazy: Lazy, place: Any, count: int) -> tuple[list[Any], Any]:
        try:
            table = lazy.table(self.maker)
            items, following = table.read(table.start if place == 0 else place, count)
        except Unusable as error:
            if not self.maker.skip_malformed or len(self.tables) == 1:
                raise refused(lazy.path, error) from None
            return [Skipped(display(lazy.path), error.why)], None
        else:
            return [*items], following

    def _judge(self, *, ended: bool) -> None:
        bad = len(self.skipped)
        total = bad + self.good
        allowed = BAD_PER_RECORD * total if self.maker.skip_malformed else 0
        # Whole files that hold no text were skipped too, and are no bad records.
        records = [each for each in self.skipped if ":" in each.path]
        if len(records) > allowed and (ended or total >= _ENOUGH or not self.maker.skip_malformed):
            first = records[0]
            raise DataError(
                f"{len(records):,} of {total:,} records are bad; the first {first.why}",
                where=first.path,
                fix=self.maker.fix,
            )

    def fraction(self, cursor: dict[str, Any] | None) -> float:
        """How much of the whole lies before a place, from 0 to 1."""
        if cursor is None:
            return 1.0
        sizes = [max(1, lazy.size) for lazy in self.tables]
        done = sum(
            size * lazy.fraction(place)
            for size, lazy, place in zip(sizes, self.tables, cursor["at"], strict=True)
        )
        return done / sum(sizes)

    def fingerprint(self) -> str:
        """A hash of names, sizes, and the first and last bytes of all files.

        Reading all of a text that is read while training would take as long as training on it: a
        change in the middle that keeps the size goes unnoticed.
        """
        import xxhash

        digest = xxhash.xxh3_128()
        for lazy in self.tables:
            digest.update(lazy.identity())
        return f"xxh3_128:{digest.hexdigest()} (names, sizes, ends of files)"


class Lazy:
    """A file, opened when its turn comes."""

    def __init__(self, path: Path, name: str = "", table: Table | None = None) -> None:
        self.path = path
        self.name = name or display(path)
        self._table = table
        self.size = path.stat().st_size if table is None else 1

    def table(self, maker: Maker) -> Table:
        """Its records.

        Raises:
            Unusable: It cannot be read.
        """
        if self._table is None:
            self._table = open_table(self.path, maker)
        return self._table

    def fraction(self, place: Any) -> float:
        """How much of it lies before a place."""
        if place is None:
            return 1.0
        if place == 0 or self._table is None:
            return 0.0
        size = getattr(self._table, "size", None) or self.size
        return min(1.0, float(place[0]) / max(1, size))

    def identity(self) -> bytes:
        """Bytes that differ when the file does, most probably."""
        told = f"{self.path.name}\n{self.size}\n".encode("utf-8", "surrogateescape")
        if self._table is not None and not self.path.is_file():
            return told + str(getattr(self._table, "identity", self.name)).encode()
        with self.path.open("rb") as file:
            head = file.read(_SHOWN)
            file.seek(max(0, self.size - _SHOWN))
            return told + head + file.read(_SHOWN)


def open_flow(config: DataConfig, path: str | None = None) -> tuple[Flow, str, list[Skipped]]:
    """The records that the config names, their name, and the files that were passed over.

    Raises:
        DataError: There are none.
    """
    maker = Maker(config)
    skipped: list[Skipped] = []
    if path is None and config.dataset_name is not None:
        dataset, name = open_named(config)
        table = HubStream(dataset, name, maker) if config.streaming else _rows(dataset, name, maker)
        return Flow([Lazy(Path(config.dataset_name), name, table)], maker), name, skipped
    found = find_text(config, path)
    if found is None:
        root = library_root()
        lazies = [Lazy(each) for each in sorted(library_files(root))]
        return Flow(lazies, maker, config.samples_per_file), "the Python standard library", skipped
    name = display(found)
    if found.is_dir() and is_saved_dataset(found):
        try:
            dataset, name = open_saved(found)
        except Unusable as error:
            raise refused(found, error) from None
        return Flow([Lazy(found, name, _rows(dataset, name, maker))], maker), name, skipped
    if found.is_dir():
        paths = list(text_files(found, config, skipped))
        if not paths:
            raise no_text(found, skipped)
        files = f"{len(paths):,} files" if len(paths) > 1 else "1 file"
        flow = Flow([Lazy(each) for each in paths], maker, config.samples_per_file)
        return flow, f"{files} of {name}", skipped
    if maker.records_only and found.suffix.lower() not in TABLE_SUFFIXES:
        raise refused(found, Unusable("holds plain text, not records", maker.fix))
    return Flow([Lazy(found)], maker), name, skipped


def _rows(dataset: Any, name: str, maker: Maker) -> DatasetRows:
    return DatasetRows(dataset, name, maker)


def every_document(flow: Flow, at_once: int = 256) -> Iterator[tuple[list[Document], float]]:
    """All documents, some at a time, with how much of the whole was read."""
    cursor: dict[str, Any] | None = flow.start
    while cursor is not None:
        documents, cursor = flow.read(cursor, at_once)
        yield documents, flow.fraction(cursor)

"""Files of many records, read from any place on: JSON lines, Parquet, Arrow, and text in pieces.

A place is a short list of numbers, so that a checkpoint can hold it.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from workbench.data.reading import (
    TABLE_SUFFIXES,
    UTF8_MARK,
    Document,
    Skipped,
    Unusable,
    decode,
    display,
    read_bytes,
    refuse_other_encodings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.data.records import Maker

Item = Document | Skipped

LONGEST_LINE = 10_000_000
"""Bytes. A longer line is a file without line ends, not a record."""

PIECE = 2**20
"""Bytes of a piece of plain text: small enough to hold out, shuffle and forget."""


class Table(Protocol):
    """The records of one file."""

    start: list[int]

    def read(self, cursor: list[int], count: int) -> tuple[list[Item], list[int] | None]:
        """The next ``count`` records, good and bad, and the place after them; None at the end.

        Raises:
            Unusable: The file can no longer be read.
        """


def open_table(path: Path, maker: Maker) -> Table:
    """A file of records, or a text file as its pieces.

    Raises:
        Unusable: It cannot be read.
    """
    if not path.is_file():
        read_bytes(path)  # says what it is instead
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return JsonLines(path, maker)
    if suffix in TABLE_SUFFIXES:
        return ArrowTable(path, maker)
    return TextPieces(path)


class JsonLines:
    """One record per line; the place is a byte offset and the lines before it."""

    def __init__(self, path: Path, maker: Maker) -> None:
        self.path = path
        self.name = display(path)
        self.maker = maker
        self.start = [0, 0]

    def read(self, cursor: list[int], count: int) -> tuple[list[Item], list[int] | None]:
        """See `Table`."""
        offset, line = cursor
        items: list[Item] = []
        try:
            with self.path.open("rb") as file:
                if offset == 0:
                    head = file.read(4)
                    refuse_other_encodings(head, self.name)
                    file.seek(len(UTF8_MARK) if head.startswith(UTF8_MARK) else 0)
                else:
                    file.seek(offset)
                while len(items) < count:
                    raw = file.readline(LONGEST_LINE + 1)
                    if not raw:
                        return items, None
                    line += 1
                    too_long = len(raw) > LONGEST_LINE
                    while too_long and not raw.endswith(b"\n"):
                        raw = file.readline(LONGEST_LINE)
                        if not raw:
                            break
                    if too_long:
                        items.append(Skipped(f"{self.name}:{line}", "is longer than 10 MB"))
                    elif raw.strip():
                        items += self._of_line(raw, line)
                return items, [file.tell(), line]
        except OSError as error:
            raise _unreadable(error) from None

    def _of_line(self, raw: bytes, line: int) -> list[Item]:
        name = f"{self.name}:{line}"
        try:
            return [*self.maker.documents(name, _parsed(raw))]
        except ValueError as error:
            return [Skipped(name, str(error))]


def _parsed(raw: bytes) -> object:
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte 0x{raw[error.start]:02x})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON that can be read (too deep, or a number too long)") from None


class ArrowTable:
    """One record per row of a Parquet or Arrow file; the place is a row."""

    def __init__(self, path: Path, maker: Maker) -> None:
        self.path = path
        self.name = display(path)
        self.maker = maker
        self.start = [0]
        self.size: int | None = None
        """Rows, where the file tells them."""

    def read(self, cursor: list[int], count: int) -> tuple[list[Item], list[int] | None]:
        """See `Table`."""
        import pyarrow as pa

        items: list[Item] = []
        row = cursor[0]
        try:
            if self.size is None and self.path.suffix.lower() == ".parquet":
                self.size = _parquet_size(self.path)
            for record in islice(self._rows(row), count):
                row += 1
                items += of_row(self.maker, f"{self.name}:{row}", record)
        except (pa.ArrowException, OSError) as error:
            raise Unusable(
                f"cannot be read ({str(error).splitlines()[0][:200]})",
                "check that it is whole: copy it again, or leave it out",
            ) from None
        return items, [row] if row - cursor[0] == count else None

    def _rows(self, first: int) -> Iterator[dict[str, Any]]:
        """The records from a row on."""
        read_parquet = self.path.suffix.lower() == ".parquet"
        yield from (
            _parquet_rows(self.path, first) if read_parquet else _arrow_rows(self.path, first)
        )


def of_row(maker: Maker, name: str, record: dict[str, Any]) -> list[Item]:
    """The documents of one row, or what is wrong with it."""
    try:
        return [*maker.documents(name, record)]
    except ValueError as error:
        return [Skipped(name, str(error))]


def _parquet_rows(path: Path, first: int) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path, memory_map=True) as file:
        before = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if before + rows > first:
                skip = max(0, first - before)
                for batch in file.iter_batches(1024, row_groups=[group]):
                    if skip >= batch.num_rows:
                        skip -= batch.num_rows
                        continue
                    yield from batch.slice(skip).to_pylist()
                    skip = 0
            before += rows


def _parquet_size(path: Path) -> int:
    from pyarrow import parquet

    with parquet.ParquetFile(path, memory_map=True) as file:
        return int(file.metadata.num_rows)


def _arrow_rows(path: Path, first: int) -> Iterator[dict[str, Any]]:
    """Both of Arrow's file forms: with an index at the end, or a plain stream (datasets' own)."""
    import pyarrow as pa
    from pyarrow import ipc

    skip = first
    with pa.memory_map(str(path)) as file:
        try:
            reader = ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        except pa.ArrowInvalid:
            file.seek(0)
            batches = iter(ipc.open_stream(file))
        for batch in batches:
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield from batch.slice(skip).to_pylist()
            skip = 0


class TextPieces:
    """A text file in pieces that end at the end of a line; the place is a byte offset and a line.

    Each piece is a document of its own: a book is one separator per megabyte longer.

    Text of a megabyte without one line end is cut between two characters.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = display(path)
        self.start = [0, 0]

    def read(self, cursor: list[int], count: int) -> tuple[list[Item], list[int] | None]:
        """See `Table`."""
        offset, line = cursor
        items: list[Item] = []
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(offset)
                while len(items) < count and offset < size:
                    raw = file.read(PIECE)
                    if offset + len(raw) < size:
                        raw = raw[: _cut(raw)]
                        file.seek(offset + len(raw))
                    text = decode(raw, self.name, line=line + 1)
                    if text.strip():
                        name = self.name if offset == 0 else f"{self.name}:{line + 1}"
                        items.append(Document(name, text))
                    line += raw.count(b"\n")
                    offset += len(raw)
        except OSError as error:
            raise _unreadable(error) from None
        return items, [offset, line] if offset < size else None


def _cut(raw: bytes) -> int:
    """Where a piece ends: after its last line, or else before a character that is not whole."""
    if (end := raw.rfind(b"\n") + 1) > 0:
        return end
    end = len(raw)
    while end > 1 and raw[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if raw[end - 1] >= 0xC0 else len(raw)


def _unreadable(error: OSError) -> Unusable:
    return Unusable(
        f"cannot be read ({error.strerror or error})", "check its permissions, or name another file"
    )

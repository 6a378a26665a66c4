"""One file becomes documents, or a reason why not.

Text is UTF-8. A byte order mark is taken away, and the line ends of Windows and old Macs (CRLF, CR)
become LF, so that a model does not spend itself on them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.data.records import Maker

TEXT_SUFFIXES = (".txt", ".md", ".py")
TABLE_SUFFIXES = (".jsonl", ".parquet", ".arrow")
SUFFIXES = (*TEXT_SUFFIXES, *TABLE_SUFFIXES)
"""The files that a folder is searched for."""

# A file of records with more bad ones than one in a hundred is more likely the wrong file, or read
# by the wrong field, than a good one with a scratch.
BAD_PER_RECORD = 0.01

_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
UTF8_MARK = b"\xef\xbb\xbf"
_FILE_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


CLASSIFIED = ("classification", "token_classification")
"""The values of ``data.format`` whose records have classes, of texts and of words."""

NO_CLASS = -100
"""The class of a word that has none, as data sets of the field write it."""


class Part(NamedTuple):
    """A piece of a document, and whether the loss counts its tokens."""

    text: str
    learn: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One text that belongs together: a file, or a record of one.

    Attributes:
        name: The file, and the line or row in it.
        text: All of it.
        parts: What the text is put together from, where the loss does not count all of it.
        label: The class of the text, or of the texts that are its parts.
        labels: The class of each part, which is a word; `NO_CLASS` where it has none.
    """

    name: str
    text: str
    parts: tuple[Part, ...] = ()
    label: int | None = None
    labels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was passed over, and why."""

    path: str
    why: str


class Unusable(Exception):  # noqa: N818 - a finding about a file, not yet an error
    """A file cannot be trained on.

    Args:
        why: The reason, as the end of a sentence that begins with the file's name.
        fix: What to do about it.
        line: The line at fault, when there is one.
    """

    def __init__(self, why: str, fix: str, *, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.fix = fix
        self.line = line


def content_hash(text: str) -> bytes:
    """What a text is, whatever its name."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def display(path: Path) -> str:
    """The path as one line that any file and terminal can hold."""
    text = str(path).encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def read_documents(path: Path, maker: Maker) -> tuple[list[Document], list[Skipped]]:
    """The documents of one file and the records of it that were passed over.

    Raises:
        Unusable: The file holds no text that can be used.
    """
    if path.suffix.lower() not in TABLE_SUFFIXES:
        text = decode(read_bytes(path), display(path))
        if not text.strip():
            raise Unusable("is empty", "give a file that holds text")
        return [Document(display(path), text)], []
    from workbench.data.tables import open_table

    documents: list[Document] = []
    skipped: list[Skipped] = []
    table = open_table(path, maker)
    cursor: list[int] | None = table.start
    while cursor is not None:
        items, cursor = table.read(cursor, 10_000)
        for item in items:
            if isinstance(item, Document):
                documents.append(item)
            else:
                skipped.append(item)
    if not documents and not skipped:
        raise Unusable("is empty", "give a file that holds text")
    refuse_many_bad(skipped, len(documents) + len(skipped), maker)
    return documents, skipped


def refuse_many_bad(skipped: Sequence[Skipped], total: int, maker: Maker) -> None:
    """Stop at a bad record where none is allowed, or where they are too many.

    Args:
        skipped: The bad ones.
        total: Bad and good ones.
        maker: Knows what was asked for.

    Raises:
        Unusable: They are too many.
    """
    limit = BAD_PER_RECORD * total if maker.skip_malformed else 0
    if len(skipped) <= limit:
        return
    first = skipped[0]
    number = int(first.path.rpartition(":")[2])
    fix = maker.fix
    if not maker.skip_malformed:
        fix += "\nor leave such records out: --data.skip_malformed_sequences true"
    raise Unusable(
        f"has {len(skipped):,} bad of {total:,} records; number {number:,} {first.why}",
        fix,
        line=number,
    )


def read_bytes(path: Path) -> bytes:
    """The content of an ordinary file.

    Raises:
        Unusable: It is none, or may not be read.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(error) from None
    with os.fdopen(descriptor, "rb") as file:
        kind = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
        if kind != stat.S_IFREG:
            raise Unusable(
                f"is {_FILE_KINDS.get(kind, 'no ordinary file')}", "give a file or a folder of text"
            )
        try:
            return file.read()
        except OSError as error:
            raise _unreadable(error) from None


def _unreadable(error: OSError) -> Unusable:
    return Unusable(
        f"cannot be read ({error.strerror or error})", "check its permissions, or name another file"
    )


def refuse_other_encodings(head: bytes, name: str) -> None:
    """Name the encoding that a byte order mark tells.

    Raises:
        Unusable: It is another than UTF-8.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            raise Unusable(
                f"is {encoding} text, and only UTF-8 is read",
                f"iconv -f {encoding} -t UTF-8 {name} > utf8.txt",
            )


def decode(raw: bytes, name: str, *, line: int = 1) -> str:
    """Bytes as text with LF at the ends of lines.

    Args:
        raw: The content of a file, or a piece of it.
        name: The file.
        line: The number of the first line.

    Raises:
        Unusable: It is binary, or in another encoding.
    """
    refuse_other_encodings(raw, name)
    raw = raw.removeprefix(UTF8_MARK)
    if (offset := raw.find(b"\0")) >= 0:
        raise Unusable(
            f"is binary, not text (a zero byte at offset {offset:,})", "give a file of plain text"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line += raw.count(b"\n", 0, error.start)
        raise Unusable(
            f"is not UTF-8 text (byte 0x{raw[error.start]:02x} in line {line:,})",
            f"if it is Latin-1 text: iconv -f LATIN1 -t UTF-8 {name} > utf8.txt",
            line=line,
        ) from None
    return unix_lines(text)


def unix_lines(text: str) -> str:
    """The text with LF at the ends of its lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""One file becomes documents, or a reason why not.

Text is UTF-8. A byte order mark is taken away, and the line ends of Windows and old Macs (CRLF, CR)
become LF, so that a model does not spend itself on them.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".txt", ".md", ".py", ".jsonl")
"""The files that a folder is searched for."""

# A .jsonl file with more bad lines than one in a hundred is more likely the wrong file, or read by
# the wrong field, than a good one with a scratch.
_BAD_LINES_PER_LINE = 0.01

_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_FILE_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@dataclass(frozen=True)
class Document:
    """One text that belongs together: a file, or a line of a .jsonl file."""

    name: str
    text: str


@dataclass(frozen=True)
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


def display(path: Path) -> str:
    """The path as one line that any file and terminal can hold."""
    text = str(path).encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def read_documents(path: Path, text_field: str) -> tuple[list[Document], list[Skipped]]:
    """The documents of one file and the lines of it that were passed over.

    Raises:
        Unusable: The file holds no text that can be used.
    """
    text = _decode(_read(path), display(path))
    if path.suffix.lower() == ".jsonl":
        return _json_lines(text, display(path), text_field)
    return [Document(display(path), text)], []


def _read(path: Path) -> bytes:
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


def _decode(raw: bytes, name: str) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            raise Unusable(
                f"is {encoding} text, and only UTF-8 is read",
                f"iconv -f {encoding} -t UTF-8 {name} > utf8.txt",
            )
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if (offset := raw.find(b"\0")) >= 0:
        raise Unusable(
            f"is binary, not text (a zero byte at offset {offset:,})", "give a file of plain text"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unusable(
            f"is not UTF-8 text (byte 0x{raw[error.start]:02x} in line {line:,})",
            f"if it is Latin-1 text: iconv -f LATIN1 -t UTF-8 {name} > utf8.txt",
            line=line,
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Unusable("is empty", "give a file that holds text")
    return text


def _json_lines(text: str, name: str, text_field: str) -> tuple[list[Document], list[Skipped]]:
    documents: list[Document] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                documents.append(Document(f"{name}:{number}", _text_of(line, text_field)))
            except ValueError as error:
                bad.append((number, str(error)))
    if len(bad) > _BAD_LINES_PER_LINE * (len(bad) + len(documents)):
        number, why = bad[0]
        total = len(bad) + len(documents)
        raise Unusable(
            f"has {len(bad):,} bad of {total:,} lines; line {number:,} {why}",
            'every line should be an object like {"text": "..."}; '
            "name the field that holds the text with --data.text_field",
            line=number,
        )
    return documents, [Skipped(f"{name}:{number}", why) for number, why in bad]


def _text_of(line: str, text_field: str) -> str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON that can be read (too deep, or a number too long)") from None
    if not isinstance(record, dict):
        raise ValueError("is JSON but no object with fields")  # noqa: TRY004 - one kind
    if text_field not in record:
        fields = ", ".join(sorted(name for name in record if isinstance(record[name], str)))
        raise ValueError(f"has no field {text_field!r}; fields with text: {fields or 'none'}")
    text = record[text_field]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"has no text in field {text_field!r}")
    if "\0" in text:
        raise ValueError("holds a zero byte, which separates documents")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair, which is no text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")

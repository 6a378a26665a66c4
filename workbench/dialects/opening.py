"""A file of another system as text: encodings, garbled characters, and files that are none."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from workbench.config import mojibake
from workbench.config.reading import decode, read_bytes
from workbench.dialects.base import Foreign, Remark
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def open_foreign(path: Path) -> tuple[Foreign, tuple[Remark, ...]]:
    """A file's text, and what was repaired in it.

    UTF-16 and UTF-32 with a byte order mark and Windows-1252 are read as what they are, and garbled
    characters are restored; each is a remark.

    Raises:
        ConfigError: Missing, no regular file, too large, unreadable, binary or empty.
    """
    raw, _ = read_bytes(path)
    text, remarks = foreign_text(raw, str(path))
    return Foreign(path, text), remarks


def foreign_text(raw: bytes, name: str) -> tuple[str, tuple[Remark, ...]]:
    """Bytes as text, and what was repaired.

    Raises:
        ConfigError: Binary or empty.
    """
    remarks: list[Remark] = []
    text = _decoded(raw, name, remarks)
    if not text.strip("\ufeff \t\r\n"):
        raise ConfigError("the file is empty", where=name, fix="check the path")
    if (restored := mojibake.repair(text)) is not None:
        first = mojibake.find(text)[0]
        line = text[: first.start].count("\n") + 1
        text = restored
        remarks.append(
            Remark("", "repaired", f"garbled characters restored: {first.seen!r} was "
                   f"{first.meant!r}", line=line)
        )  # fmt: skip
    return text, tuple(remarks)


def _decoded(raw: bytes, name: str, remarks: list[Remark]) -> str:
    for mark, codec in _WIDE:
        if raw.startswith(mark):
            try:
                text = raw.decode(codec)
            except UnicodeDecodeError:
                break  # the message of `decode` says what to do
            remarks.append(Remark("", "repaired", f"the file is {codec.upper()}, read as such"))
            return text
    try:
        return decode(raw, name)
    except ConfigError:
        if b"\0" in raw:
            raise
        guessed = _windows(raw)
        if guessed is None:
            raise
    remarks.append(
        Remark("", "repaired", "the file is not UTF-8: read as Windows-1252", line=_line(raw))
    )
    return guessed


def _windows(raw: bytes) -> str | None:
    """Text in Windows-1252; None where so many bytes are strange that it is no text."""
    strange = sum(byte > 0x7F or (byte < 0x20 and byte not in b"\t\r\n\f") for byte in raw)
    if strange > len(raw) / 20:
        return None
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return None


def _line(raw: bytes) -> int:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return raw[: error.start].count(b"\n") + 1
    return 1

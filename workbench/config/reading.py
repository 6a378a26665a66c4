"""Reading a config file: bytes to text, text to a document, each refusal with its reason.

The size, the kind and the encoding of a file are checked before anything is parsed, so a wrong path
(weights, a pipe, a folder) is an answer and not a hang.
"""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from workbench.config.document import Document, KeyPath
from workbench.config.json_reader import read_json
from workbench.config.yaml_reader import read_yaml
from workbench.errors import ConfigError

__all__ = [
    "Document",
    "KeyPath",
    "decode",
    "looks_like_json",
    "read_bytes",
    "read_document",
    "read_file",
    "read_json",
    "read_text",
    "read_yaml",
]

MAX_BYTES = 1_000_000  # the largest real config of the five systems has 13 kB

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_JSON_SUFFIXES = (".json", ".jsonc")
_YAML_SUFFIXES = (".yaml", ".yml")


def read_file(path: Path) -> Document:
    """Read a config file, YAML or JSON.

    Raises:
        ConfigError: It cannot be read, or is no config.
    """
    return read_document(read_text(path), str(path))


def read_document(text: str, name: str) -> Document:
    """Parse the text of a config: by the extension of its name, else by its content.

    Raises:
        ConfigError: It is no config.
    """
    suffix = Path(name).suffix.lower()
    if suffix in _JSON_SUFFIXES:
        return read_json(text, name, comments=suffix == ".jsonc")
    if looks_like_json(text):
        # JSON is nearly YAML, but not quite (tabs), and an edit should leave it JSON.
        try:
            return read_json(text, name)
        except ConfigError:
            if suffix not in _YAML_SUFFIXES:
                raise
    return read_yaml(text, name)


def looks_like_json(text: str) -> bool:
    """Whether the first characters are those of a JSON object."""
    start = text.lstrip()
    return start.startswith("{") and start[1:].lstrip()[:1] in ('"', "}", "/")


def read_text(path: Path) -> str:
    """The text of a config file.

    Raises:
        ConfigError: Missing, no regular file, too large, unreadable, binary, or not UTF-8.
    """
    return decode(read_bytes(path)[0], str(path))


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """The bytes of a config file and its state when they were read.

    Raises:
        ConfigError: Missing, no regular file, too large, or unreadable.
    """
    shown = str(path)
    try:
        _check(
            Path(path).stat(), shown
        )  # before opening: to open a device can already do something
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            _check(status, shown)
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError("there is no such config file", where=shown) from None
    except OSError as error:
        raise ConfigError(
            "the config file cannot be read", where=shown, why=error.strerror
        ) from None
    except ValueError:  # a NUL in the path
        raise ConfigError("this cannot be the name of a file", where=repr(shown)) from None
    if len(raw) > MAX_BYTES:  # a file of /proc says 0 and gives more; another may be growing
        raise _too_large(len(raw), shown)
    return raw, status


def _check(status: os.stat_result, shown: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next(
            (word for is_kind, word in _KINDS if is_kind(status.st_mode)), "no regular file"
        )
        raise ConfigError(f"this is {kind}, not a config file", where=shown)
    if status.st_size > MAX_BYTES:
        raise _too_large(status.st_size, shown)


def _too_large(size: int, shown: str) -> ConfigError:
    return ConfigError(
        f"the file has {size:,} bytes; a config has at most {MAX_BYTES:,}",
        where=shown,
        fix="check the path: this looks like data or weights",
    )


def decode(raw: bytes, name: str) -> str:
    """Bytes of a config file as text; a UTF-8 byte order mark is dropped.

    Raises:
        ConfigError: Binary, or in another encoding than UTF-8.
    """
    if (wide := _wide_encoding(raw)) is not None:
        raise ConfigError(
            f"the file is {wide}, a config is UTF-8",
            where=name,
            fix=f"iconv -f {wide} -t UTF-8 FILE > NEW, or your editor's 'save with encoding'",
        )
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise ConfigError(
            "the file is binary: it holds a NUL byte",
            where=f"{name}:{line}",
            fix="is it the right file? a config is text",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"the file is not UTF-8: it holds the byte 0x{raw[error.start]:02x}",
            where=f"{name}:{line}",
            fix="save the file as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW",
        ) from None


def _wide_encoding(raw: bytes) -> str | None:
    """UTF-16 or UTF-32, by the mark at the start or by NULs in every second byte of ASCII text."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    even, odd = raw[:400:2], raw[1:400:2]
    for nulls, text in ((odd, even), (even, odd)):
        if text and text.count(0) == 0 and nulls.count(0) > 0.9 * len(nulls):
            return "UTF-16"
    return None

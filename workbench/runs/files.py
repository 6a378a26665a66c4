"""Small files: written whole or not at all, read without trust, and shown without surprises."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final

from workbench.masking import Mask

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

_READ_LIMIT: Final = 64 * 2**20
_TAIL_BYTES: Final = 64 * 1024
_LINE_LIMIT: Final = 2000
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

# Escape sequences (CSI, then strings such as OSC, then the short ones), other control characters,
# and the marks that reverse text on screen (CVE-2021-42574).
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def to_json(data: object, *, indent: int | None = None) -> str:
    """JSON that every reader accepts: non-finite numbers become "nan", "inf" and "-inf"."""
    separators = (",", ":") if indent is None else None
    try:
        return json.dumps(
            data,
            indent=indent,
            separators=separators,
            allow_nan=False,
            ensure_ascii=False,
            default=_plain,
        )
    except ValueError:  # a number that JSON does not have
        return json.dumps(
            _finite(data), indent=indent, separators=separators, ensure_ascii=False, default=str
        )


def _plain(value: Any) -> object:
    """A path as text; a number of numpy or torch as Python's."""
    return value.item() if callable(getattr(value, "item", None)) else str(value)


def _finite(value: Any) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if callable(getattr(value, "item", None)):
        return _finite(value.item())
    return value


def encode(text: str) -> bytes:
    r"""UTF-8; a lone surrogate becomes ``\udc80``, which is also how JSON spells it."""
    return text.encode("utf-8", "backslashreplace")


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace a file so that every reader, and a power cut, finds the old or the new one whole.

    Raises:
        OSError: It could not be written; the old file is untouched and nothing is left behind.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        _write(temporary, data, os.O_CREAT | os.O_TRUNC)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        spare = _reserve_path(path)
        if error.errno not in _FULL or not spare.exists() or spare.stat().st_size < len(data):
            raise
        _write(spare, data, 0)
        temporary = spare
    temporary.replace(path)
    sync_directory(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace a text file; see `atomic_write_bytes`."""
    atomic_write_bytes(path, encode(text))


def atomic_write_json(path: Path, data: object, *, masked: bool = True) -> None:
    """Replace a JSON file that people read too; see `atomic_write_bytes`.

    Args:
        path: The file.
        data: JSON-ready data.
        masked: Blot out secrets; not in a config, whose values have to stay what they are.
    """
    text = to_json(data, indent=2) + "\n"
    atomic_write_text(path, Mask().text(text) if masked else text)


def reserve(path: Path, size: int) -> None:
    """Set disk space aside, so that `path` can be written atomically even when the disk is full.

    Raises:
        OSError: There is not even that much space.
    """
    _write(_reserve_path(path), b" " * size, os.O_CREAT | os.O_TRUNC)


def release(path: Path) -> None:
    """Give back the space that `reserve` has set aside and nobody needed."""
    with contextlib.suppress(OSError):
        _reserve_path(path).unlink(missing_ok=True)


def _reserve_path(path: Path) -> Path:
    return path.with_name(f".reserve-{path.name}")


def _write(path: Path, data: bytes, flags: int) -> None:
    """Write a file from its start and make it durable; without O_TRUNC its blocks are reused."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_append(path: Path) -> FileIO:
    """A file of ours for a process to print into: appended to, private, never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)


def read_bytes(path: Path, start: int = 0, limit: int = _READ_LIMIT) -> bytes:
    """Up to `limit` bytes of a regular file from `start` on; a negative start counts from the end.

    Raises:
        OSError: There is no such file, or it is a directory, a device or a pipe.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if start < 0:
            start = max(0, status.st_size + start)
        parts = []
        while limit > 0 and (part := os.pread(descriptor, limit, start)):
            parts.append(part)
            start, limit = start + len(part), limit - len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is no such file, or no object in it."""
    try:
        data = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; empty when it is torn or no object."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def tail_bytes(path: Path, limit: int = _TAIL_BYTES) -> list[bytes]:
    """The last lines of a file, as many as lie whole in its last `limit` bytes; none if unreadable.

    What follows the last newline comes too: a crash may tear the line that says why.
    """
    try:
        data = read_bytes(path, -limit)
    except OSError:
        return []
    lines = data.split(b"\n")
    if len(data) == limit and len(lines) > 1:
        lines = lines[1:]
    return lines if lines[-1] else lines[:-1]


def tail_text(path: Path, count: int) -> list[str]:
    """The last lines of a log, safe to show; see `printable`."""
    if count <= 0:
        return []
    return [printable(line.decode("utf-8", "replace")) for line in tail_bytes(path)[-count:]]


def printable(line: str) -> str:
    """One line without escape sequences, control characters and text-direction marks, clipped.

    Of a progress bar that redraws itself, only the last picture is kept.
    """
    line = _ESCAPES.sub("", line).rstrip("\r\n").rpartition("\r")[2]
    line = _CONTROLS.sub("", line)
    return line if len(line) <= _LINE_LIMIT else line[: _LINE_LIMIT - 1] + "…"


def explain(error: OSError) -> str:
    """Why the system refused, in words; an unknown reason in its own words."""
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


_REASONS: Final = {
    errno.ENOSPC: "there is no space left on the disk",
    errno.EDQUOT: "your quota leaves no space on the disk",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENOENT: "there is no such place",
    errno.ENAMETOOLONG: "the path is too long",
    errno.ELOOP: "a symbolic link is in the way",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "the system has too many files open",
    errno.EIO: "the disk reports an input/output error",
    errno.ENOLCK: "the file system does not support locks",
}

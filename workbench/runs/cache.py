"""The columnar cache: what a reader has parsed of the metrics, kept so that none parses it again.

A million rows of JSON take seconds to parse and their columns milliseconds to read. Any reader may
write the cache and any may delete it: nothing is only in there. It is one file, replaced whole, and
is believed only where it fits the metrics files: their length and time are those it was made from,
or, when they have grown, the hash of what was read then is still right.

    magic · length of the header · header (JSON) · zeros up to a multiple of 64 · float64 columns
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import encode, to_json

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

    from workbench.runs.directory import RunDir

WORTH_ROWS: Final = 50_000
"""Rows from which on a cache pays: they take a quarter of a second to parse."""

_MAGIC: Final = b"AVAMETRICS1\n"
_ALIGN: Final = 64
_CHUNK: Final = 4 * 2**20
_LARGEST_HEADER: Final = 4 * 2**20
_SPARE: Final = 4  # the cache is not written on a disk with less than four times its size free


@dataclass
class Parsed:
    """What a reader knows of a run's metrics.

    Attributes:
        attempt: The newest attempt with rows.
        step: The newest step of it.
        starts: First step of each attempt that has rows.
        offsets: By attempt, how much of its file has been parsed, in bytes.
        columns: By metric, its steps and its values.
    """

    attempt: int = 0
    step: int = 0
    starts: list[int] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)
    columns: dict[str, tuple[array[float], array[float]]] = field(default_factory=dict)


def store(run: RunDir, parsed: Parsed) -> bool:
    """Keep what has been parsed; returns whether that was possible. Never raises for a disk."""
    with contextlib.suppress(OSError):
        files = [_fingerprint(run, *item) for item in sorted(parsed.offsets.items())]
        blocks: list[array[float]] = []
        columns = []
        for name, (steps, values) in parsed.columns.items():
            # Most metrics have the same steps, which then stand there once.
            place = next((i for i, b in enumerate(blocks) if b is steps or b == steps), None)
            if place is None:
                place = len(blocks)
                blocks.append(steps)
            columns.append([name, place, len(blocks)])
            blocks.append(values)
        header = {
            "attempt": parsed.attempt,
            "step": parsed.step,
            "starts": parsed.starts,
            "files": files,
            "columns": columns,
            "lengths": [len(block) for block in blocks],
            "digest": _digest_of(blocks),
        }
        _write(run.cache_path, encode(to_json(header)), blocks)
        return True
    return False


def load(run: RunDir) -> Parsed | None:
    """What was kept, if it still fits the metrics; None when it does not or there is nothing."""
    try:
        with (run.cache_path / "metrics.bin").open("rb") as file:
            header = _read_header(file)
            if not all(_fits(run, facts) for facts in header["files"]):
                return None
            blocks = [_read_block(file, count) for count in header["lengths"]]
        if _digest_of(blocks) != header["digest"]:
            return None
        return Parsed(
            int(header["attempt"]),
            int(header["step"]),
            [int(step) for step in header["starts"]],
            {int(facts["attempt"]): int(facts["offset"]) for facts in header["files"]},
            # Of shared steps each metric gets its own copy: a series grows.
            {str(name): (blocks[s][:], blocks[v]) for name, s, v in header["columns"]},
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError):
        return None


def _read_header(file: BufferedReader) -> dict[str, Any]:
    """The header; the file stands at the first column then.

    Raises:
        ValueError: This is no cache of ours.
    """
    magic = file.read(len(_MAGIC))
    length = int.from_bytes(file.read(8), "little")
    if magic != _MAGIC or length > _LARGEST_HEADER:
        raise ValueError
    header: dict[str, Any] = json.loads(file.read(length))
    file.seek(_padded(len(_MAGIC) + 8 + length))
    return header


def _read_block(file: BufferedReader, count: int) -> array[float]:
    block: array[float] = array("d")
    block.frombytes(file.read(8 * count))
    if len(block) != count:
        raise ValueError
    return block


def _fingerprint(run: RunDir, attempt: int, offset: int) -> dict[str, Any]:
    path = run.metrics_path(attempt)
    # First the time, then the bytes: what is written in between makes the time look too old.
    status = path.stat()
    return {
        "attempt": attempt,
        "offset": offset,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "digest": _digest(path, offset),
    }


def _fits(run: RunDir, facts: dict[str, Any]) -> bool:
    path = run.metrics_path(int(facts["attempt"]))
    status = path.stat()
    if status.st_size < facts["offset"]:
        return False
    if (status.st_size, status.st_mtime_ns) == (facts["size"], facts["mtime_ns"]):
        return True
    return bool(_digest(path, int(facts["offset"])) == facts["digest"])


def _digest(path: Path, length: int) -> str:
    import xxhash

    digest = xxhash.xxh3_64()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while length > 0 and (count := file.readinto(buffer[: min(length, _CHUNK)])):
            digest.update(buffer[:count])
            length -= count
    return digest.hexdigest() if length == 0 else ""


def _digest_of(blocks: list[array[float]]) -> str:
    import xxhash

    digest = xxhash.xxh3_64()
    for block in blocks:
        digest.update(memoryview(block).cast("B"))
    return digest.hexdigest()


def _write(folder: Path, header: bytes, blocks: list[array[float]]) -> None:
    size = sum(8 * len(block) for block in blocks)
    disk = os.statvfs(folder.parent)
    if disk.f_bavail * disk.f_frsize < _SPARE * size:
        raise OSError("the disk is too full for what can be done without")
    folder.mkdir(mode=0o700, exist_ok=True)
    temporary = folder / f".tmp-metrics-{os.getpid()}-{os.urandom(3).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            start = _MAGIC + len(header).to_bytes(8, "little") + header
            file.write(start.ljust(_padded(len(start)), b"\0"))
            for block in blocks:
                file.write(memoryview(block).cast("B"))
        temporary.replace(folder / "metrics.bin")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _padded(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN

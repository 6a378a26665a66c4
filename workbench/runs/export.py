"""A run's metrics in other programs' files: CSV, Parquet, TensorBoard events.

One row per step, one column per metric; a step without a value of a metric has an empty cell.
Values that are not finite stay what they are: ``nan``, ``inf``, ``-inf``.
"""

from __future__ import annotations

import csv
import math
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, UsageError
from workbench.runs.files import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower

FORMATS: Final = ("csv", "parquet", "tensorboard")
_ROWS_AT_ONCE: Final = 65_536


def export(run: RunDir, kind: str, target: Path | None = None) -> Path:
    """Write a run's metrics; what is there already is replaced whole.

    Args:
        run: The run, live or ended.
        kind: ``csv``, ``parquet`` or ``tensorboard``.
        target: The file, or for TensorBoard the folder; by default named after the run, here.

    Returns:
        Where it was written to.

    Raises:
        UsageError: There is no such format.
        RunError: The run has no rows yet, or the disk does not take it.
    """
    if kind not in FORMATS:
        raise UsageError(f"there is no format {kind!r}", fix=f"one of: {', '.join(FORMATS)}")
    from workbench.runs.follow import Follower

    follower = Follower(run)
    while follower.poll():
        pass
    if not follower.metric_names:
        raise RunError(f"{run.name} has no metrics yet", where=str(run.metrics_dir))
    place = target or Path(f"{run.name}{'-tensorboard' if kind == 'tensorboard' else f'.{kind}'}")
    writers: dict[str, Callable[[Follower, Path], Path]] = {
        "csv": _to_csv,
        "parquet": _to_parquet,
        "tensorboard": _to_tensorboard,
    }
    try:
        return writers[kind](follower, place)
    except OSError as error:
        raise RunError(
            f"the metrics of {run.name} cannot be written",
            where=str(error.filename or place),
            why=explain(error),
        ) from None


def rows(follower: Follower) -> Iterator[dict[str, Any]]:
    """Every step once, in order, with the metrics that it has; ``t`` is the time of its row."""
    names = [*follower.metric_names, "t"]
    series = {name: follower.series(name) for name in names}
    places = dict.fromkeys(names, 0)
    while True:
        ahead = [s.steps[places[n]] for n, s in series.items() if places[n] < len(s)]
        if not ahead:
            return
        step = min(ahead)
        row: dict[str, Any] = {"step": int(step)}
        for name, each in series.items():
            place = places[name]
            if place < len(each) and each.steps[place] == step:
                row[name] = each.values[place]
                places[name] = place + 1
        yield row


def _to_csv(follower: Follower, target: Path) -> Path:
    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", "t", *follower.metric_names], restval="")
            writer.writeheader()
            writer.writerows(rows(follower))

    return _replace(target, write)


def _to_parquet(follower: Follower, target: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("step", pa.int64()),
            ("t", pa.float64()),
            *((name, pa.float64()) for name in follower.metric_names),
        ]
    )

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema) as writer:
            batch: list[dict[str, Any]] = []
            for row in rows(follower):
                batch.append(row)
                if len(batch) == _ROWS_AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    batch = []
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, schema))

    return _replace(target, write)


def _to_tensorboard(follower: Follower, target: Path) -> Path:
    """An event file, which TensorBoard reads without our being there.

    Records and messages as in tensorflow/core/lib/io/record_writer.cc and util/event.proto: a
    length, its masked CRC-32C, an Event, and the masked CRC-32C of that.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in target.glob("events.out.tfevents.*.ava"):
        path.unlink()  # of an earlier export; TensorBoard would show both

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(_record(_event(time.time(), 0, version=b"brain.Event:2")))
            for row in rows(follower):
                step, t = row.pop("step"), row.pop("t", 0.0)
                file.write(_record(_event(t, step, values=row)))

    name = f"events.out.tfevents.{int(time.time())}.{os.uname().nodename}.ava"
    _replace(target / name, write)
    return target


def _replace(target: Path, write: Callable[[Path], None]) -> Path:
    temporary = target.with_name(f".tmp-{target.name}-{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _event(
    t: float, step: int, *, version: bytes | None = None, values: dict[str, float] | None = None
) -> bytes:
    """Event: wall_time = 1, step = 2, file_version = 3, summary = 5 {value = 1 {tag, float}}."""
    parts = [b"\x09", struct.pack("<d", t if math.isfinite(t) else 0.0), b"\x10", _varint(step)]
    if version is not None:
        parts += [b"\x1a", _varint(len(version)), version]
    if values:
        summary = b"".join(
            _field(0x0A, _field(0x0A, name.encode()) + b"\x15" + _float(value))
            for name, value in values.items()
        )
        parts.append(_field(0x2A, summary))
    return b"".join(parts)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond the largest 32-bit float
        return struct.pack("<f", math.copysign(math.inf, value))


def _field(tag: int, data: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _table() -> tuple[int, ...]:
    """CRC-32C, the Castagnoli polynomial in reversed bits (RFC 3720, appendix B.4)."""
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)


_CRC: Final = _table()


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

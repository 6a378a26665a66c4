"""The reading half: follow a run while it is written, from disk alone, without a lock.

A poll asks for sizes and reads what is new. A torn last line is left for the next poll; a whole
line that its checksum contradicts is skipped. Every step stands once: where a resumed attempt
starts at step s, older rows from s on are dropped, for they were trained again.
"""

from __future__ import annotations

import json
import math
import re
import stat
import zlib
from array import array
from bisect import bisect_left
from itertools import chain
from operator import lt
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import parse_line, read_bytes, tail_bytes, tail_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.runs.directory import RunDir

_CHUNK: Final = 4 * 2**20
_NON_FINITE: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_GLANCE: Final = 4096
_TIME: Final = "t"
_METRICS_FILE: Final = re.compile(r"(\d{4,9})\.jsonl", re.ASCII)


class Series:
    """One metric over the steps: two arrays of equal length, steps strictly rising.

    ``numpy.frombuffer`` of an array costs no copy; such a view keeps what it shows when the series
    goes on growing.
    """

    __slots__ = ("steps", "values")

    def __init__(self) -> None:
        self.steps: array[float] = array("d")
        self.values: array[float] = array("d")

    def __len__(self) -> int:
        return len(self.values)

    def _extend(self, steps: array[float], values: array[float]) -> None:
        rising = all(map(lt, steps, steps[1:]))
        if not rising or (self.steps and steps[0] <= self.steps[-1]):
            merged = dict(zip(self.steps, self.values, strict=True))
            merged |= zip(steps, values, strict=True)
            self.steps = array("d", sorted(merged))
            self.values = array("d", map(merged.__getitem__, self.steps))
            return
        try:
            self.steps.extend(steps)
        except BufferError:  # somebody looks at the array: leave it theirs and go on with a copy
            self.steps = self.steps + steps
        try:
            self.values.extend(values)
        except BufferError:
            self.values = self.values + values

    def _cut(self, step: float) -> None:
        place = bisect_left(self.steps, step)
        self.steps, self.values = self.steps[:place], self.values[:place]


class Follower:
    """Follows one run. Not for use by two threads at once.

    Args:
        run: The run, live or ended.
        cached: Whether to use and to write the run's columnar cache, see `workbench.runs.cache`.

    Attributes:
        step: The newest step of the newest attempt; 0 before the first.
        events: What supervisor and trainer reported, in the order of time; the trainer's events and
            the supervisor's about an attempt say which ``attempt``.
        attempt_starts: The first step of each attempt that has rows, oldest first.
        ready: What the newest attempt said when it was ready to train; None before.
        sample: Step and text of the newest sample; None before.
    """

    def __init__(self, run: RunDir, *, cached: bool = True) -> None:
        self.run = run
        self._cached = cached
        self._reset()

    def _reset(self) -> None:
        self.step = 0
        self.attempt_starts: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.ready: dict[str, Any] | None = None
        self.sample: tuple[int, str] | None = None
        self._series: dict[str, Series] = {}
        self._attempt = 0  # the newest with rows
        self._fresh_rows = 0  # that no cache has
        self._metrics: dict[int, _Tail] = {}
        self._reports: dict[int, _Tail] = {}  # events by attempt; 0 is the supervisor

    @property
    def metric_names(self) -> list[str]:
        """The metrics that have values, in the order in which they came up."""
        return [name for name, series in self._series.items() if len(series) and name != _TIME]

    def series(self, name: str) -> Series:
        """One metric over the steps; empty when there is none of that name.

        ``t`` is the time of the rows, in seconds since the epoch.
        """
        return self._series.get(name) or Series()

    def last(self, name: str) -> float | None:
        """The newest value of a metric; None when there is none."""
        series = self._series.get(name)
        return series.values[-1] if series else None

    def log_tail(self, count: int) -> list[str]:
        """The last lines of the training log, or of the trainer's output while there is no log."""
        lines = tail_text(self.run.log_path, count)
        attempts = self.run.attempts()
        return lines or (tail_text(self.run.output_path(attempts[-1]), count) if attempts else [])

    def poll(self, *, max_bytes: int | None = None) -> bool:
        """Read what is new.

        Args:
            max_bytes: Read about this much of the metrics at most, so that a face stays awake while
                it opens a long run; the next poll goes on from there.

        Returns:
            Whether anything has changed.
        """
        try:
            return self._poll(max_bytes)
        except _Replaced:
            self._reset()
            self._cached = False  # a cache that was right may fit no more: better parse it all
        try:
            self._poll(max_bytes)
        except _Replaced:  # and again, while it was read: the next poll will see
            self._reset()
        return True

    def _poll(self, max_bytes: int | None) -> bool:
        changed = self._poll_events()
        if not self._metrics and self._cached:
            changed |= self._load_cache()
        budget = math.inf if max_bytes is None else max_bytes
        for attempt in self._metrics_files():
            tail = self._metrics.get(attempt)
            if tail is None:
                tail = self._metrics[attempt] = _Tail(self.run.metrics_path(attempt))
            for lines in tail.chunks():
                if attempt < self._attempt:  # a trainer that had been given up has written again
                    raise _Replaced
                changed = True
                self._add_rows(attempt, lines)
                budget -= sum(map(len, lines))
                if budget <= 0:
                    return True
        self._store_cache()
        return changed

    def _load_cache(self) -> bool:
        from workbench.runs.cache import load

        if not self.run.cache_path.is_dir() or (parsed := load(self.run)) is None:
            return False
        self._attempt, self.step = parsed.attempt, parsed.step
        self.attempt_starts = parsed.starts
        for attempt, offset in parsed.offsets.items():
            tail = self._metrics[attempt] = _Tail(self.run.metrics_path(attempt))
            tail.go_to(offset)
        for name, (steps, values) in parsed.columns.items():
            self._series[name] = series = Series()
            series.steps, series.values = steps, values
        return True

    def _store_cache(self) -> None:
        from workbench.runs.cache import WORTH_ROWS, Parsed, store

        rows = max(map(len, self._series.values()), default=0)
        # The more there is, the rarer it is written anew: each row is written a few times at most.
        if not self._cached or self._fresh_rows < max(WORTH_ROWS, rows // 4):
            return
        self._fresh_rows = 0
        parsed = Parsed(
            self._attempt,
            self.step,
            self.attempt_starts,
            {attempt: tail.offset for attempt, tail in self._metrics.items() if tail.offset},
            {name: (series.steps, series.values) for name, series in self._series.items()},
        )
        store(self.run, parsed)

    def _metrics_files(self) -> list[int]:
        try:
            names = [path.name for path in self.run.metrics_dir.iterdir()]
        except OSError:
            names = []
        matches = map(_METRICS_FILE.fullmatch, names)
        found = sorted(int(match[1]) for match in matches if match)
        if not self._metrics.keys() <= set(found):
            raise _Replaced
        return found

    def _add_rows(self, attempt: int, lines: list[bytes]) -> None:
        rows = parse_rows(lines)
        if not rows:
            return
        if attempt != self._attempt:
            self._attempt = attempt
            self.attempt_starts.append(rows[0]["step"])
            self.step = 0
            for series in self._series.values():
                series._cut(rows[0]["step"])  # noqa: SLF001 - only a Follower changes a Series
        self._fresh_rows += len(rows)
        self.step = max(self.step, *(row["step"] for row in rows))
        for name in dict.fromkeys(chain.from_iterable(rows)):
            if name == "step":
                continue
            cells = [(row["step"], row[name]) for row in rows if name in row]
            try:
                values = array("d", [value for _, value in cells])
            except (TypeError, OverflowError):
                cells = [
                    (step, number)
                    for step, value in cells
                    if (number := _number(value)) is not None
                ]
                values = array("d", [value for _, value in cells])
            if cells:
                steps = array("d", [step for step, _ in cells])
                self._series.setdefault(name, Series())._extend(steps, values)  # noqa: SLF001

    def _poll_events(self) -> bool:
        fresh = []
        for attempt in (0, *self.run.attempts()):
            tail = self._reports.get(attempt)
            if tail is None:
                path = self.run.attempt_events_path(attempt) if attempt else self.run.events_path
                tail = self._reports[attempt] = _Tail(path)
            for lines in tail.chunks():
                for event in map(parse_line, lines):
                    if not isinstance(event.get("t"), int | float):
                        continue
                    if attempt:
                        event.setdefault("attempt", attempt)
                        self._note(event)
                    fresh.append(event)
        self.events += fresh
        if fresh and any(
            a["t"] > b["t"] for a, b in zip(self.events, self.events[1:], strict=False)
        ):
            self.events.sort(key=lambda event: float(event["t"]))
        return bool(fresh)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("event") == "ready":
            self.ready = event
        elif event.get("event") == "sample" and isinstance(event.get("step"), int):
            self.sample = event["step"], str(event.get("text", ""))


def parse_rows(lines: list[bytes]) -> list[dict[str, Any]]:
    """The rows in lines of metrics, without those that are torn or damaged."""
    bodies = [body for line in lines if (body := _verified(line))]
    try:  # all at once takes half the time; one bad line spoils it
        rows = json.loads(b"[%s]" % b",".join(bodies))
        if len(rows) != len(bodies):
            raise ValueError  # noqa: TRY301
    except (ValueError, RecursionError):
        rows = map(parse_line, bodies)
    return [
        row
        for row in rows
        if isinstance(row, dict) and type(step := row.get("step")) is int and 0 <= step < 2**53
    ]


def _verified(line: bytes) -> bytes | None:
    """The JSON of a line whose checksum is right; other tools may write none."""
    body, tab, checksum = line.rpartition(b"\t")
    if not tab:
        return line
    return body if checksum == b"%08x" % zlib.crc32(body) else None


def _number(value: object) -> float | None:
    """A metric's value; None for what is no number."""
    if isinstance(value, str):
        return _NON_FINITE.get(value)
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def last_row(run: RunDir, attempt: int) -> dict[str, Any] | None:
    """The newest whole row of an attempt, without reading the rest."""
    path = run.metrics_path(attempt)
    for limit in (_GLANCE, None):  # a row is short; only behind a long torn line is more read
        lines = tail_bytes(path) if limit is None else tail_bytes(path, limit)
        for line in reversed(lines):
            if rows := parse_rows([line]):
                return rows[0]
    return None


class _Replaced(Exception):  # noqa: N818 - a signal between two functions, never an error
    """What was read before does not stand any more."""


class _Tail:
    """The whole new lines of a file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._seen = 0
        self._inode: tuple[int, int] | None = None

    @property
    def offset(self) -> int:
        """How far whole lines have been read, in bytes."""
        return self._offset

    def go_to(self, offset: int) -> None:
        """Go on from where another reader has come to."""
        self._offset = self._seen = offset

    def chunks(self) -> Iterator[list[bytes]]:
        """The lines that have come, some thousands at a time; stop at any time and go on later."""
        while (size := self._size()) > self._seen:
            try:
                data = read_bytes(self.path, self._offset, _CHUNK)
            except OSError:
                return
            whole, newline, _ = data.rpartition(b"\n")
            end = self._offset + len(data)
            if newline:
                self._offset += len(whole) + 1
            elif len(data) == _CHUNK:
                self._offset = end  # no line of ours is so long
            # All was looked at when only the start of a line is left; else there is more to read.
            self._seen = end if end >= size else self._offset
            if newline:
                yield whole.split(b"\n")

    def _size(self) -> int:
        try:
            status = self.path.stat()
        except OSError:
            if self._offset:
                raise _Replaced from None
            return 0
        if not stat.S_ISREG(status.st_mode):
            return 0
        inode = status.st_dev, status.st_ino
        if status.st_size < self._seen or self._inode not in (None, inode):
            raise _Replaced
        self._inode = inode
        return status.st_size

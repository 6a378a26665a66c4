"""Micro-batches of a run, made of its sequences; made ahead in threads where that was asked for."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

from workbench.data.examples import stack

if TYPE_CHECKING:
    from workbench.data.batches import MicroBatch
    from workbench.data.examples import Sequences

Place = tuple[int, int]
"""A step and a global micro-batch of it."""


class BatchSource:
    """A `Source` over `Sequences`.

    Args:
        sequences: All sequences of the run.
        batch_size: Sequences of a micro-batch.
        micro_batches: Global micro-batches of a step: accumulation times data-parallel degree.
        padding: The token to fill sequences up with.
        left: Fill up before the text.
        workers: Threads that make micro-batches ahead; 0 makes each when it is asked for.
        ahead: Micro-batches that each thread makes ahead.
        stride: Every how manieth micro-batch this process asks for: the data-parallel degree.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        batch_size: int,
        micro_batches: int,
        padding: int = 0,
        left: bool = False,
        workers: int = 0,
        ahead: int = 2,
        stride: int = 1,
    ) -> None:
        self.sequences = sequences
        self.batch_size = batch_size
        self.micro_batches = micro_batches
        self.padding = padding
        self.left = left
        self.stride = stride
        # A stream is read in order, whoever reads it: several threads would only rewind it.
        self._threads = min(workers, 1) if sequences.sequential else workers
        self._ahead = workers * ahead
        self._pool: ThreadPoolExecutor | None = None
        self._made: OrderedDict[Place, Future[MicroBatch]] = OrderedDict()
        self._lock = Lock()
        self._newest = 0
        self._loaded: dict[str, Any] | None = None

    def batch(self, step: int, micro: int) -> MicroBatch:
        """A global micro-batch.

        Raises:
            DataError: The text can no longer be read.
        """
        place = step, micro
        self._newest, self._loaded = self._first(place), None
        if not self._threads:
            return self._make(place)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="data")
        if place not in self._made:
            self._drop_all()  # somebody jumped: what was made ahead is of no use
        future = self._submit(place)
        following = place
        for _ in range(self._ahead):
            following = self._after(following)
            self._submit(following)
        del self._made[place]
        return future.result()

    def state(self) -> dict[str, Any]:
        """What saves a resumed run from reading a stream from its beginning."""
        with self._lock:
            if self._loaded is not None:
                return self._loaded
            return self.sequences.state(self._newest)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self._drop_all()
        with self._lock:
            self.sequences.load_state(state)
            self._loaded = state

    def close(self) -> None:
        """End the threads; what they were making is thrown away."""
        self._drop_all()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _first(self, place: Place) -> int:
        step, micro = place
        return ((step - 1) * self.micro_batches + micro) * self.batch_size

    def _after(self, place: Place) -> Place:
        step, micro = place[0], place[1] + self.stride
        return (step, micro) if micro < self.micro_batches else (step + 1, micro % self.stride)

    def _submit(self, place: Place) -> Future[MicroBatch]:
        if place not in self._made:
            assert self._pool is not None
            self._made[place] = self._pool.submit(self._make, place)
        return self._made[place]

    def _drop_all(self) -> None:
        for future in self._made.values():
            future.cancel()
        self._made.clear()

    def _make(self, place: Place) -> MicroBatch:
        first = self._first(place)
        numbers = range(first, first + self.batch_size)
        if self.sequences.sequential:
            with self._lock:
                examples = [self.sequences.at(n) for n in numbers]
        else:
            examples = [self.sequences.at(n) for n in numbers]
        return stack(examples, padding=self.padding, left=self.left)

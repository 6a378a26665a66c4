"""Which storages exist at each moment, by weak references."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_flatten

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Storages:
    """Counts the bytes of living storages and remembers the largest moment.

    Attributes:
        alignment: Every storage is counted in multiples of so many bytes: 512 for PyTorch's CUDA
            allocator, 1 for the CPU's.
        bytes: What exists now.
        peak: The most that has existed since `mark`.
        log: With `record`, every allocation: bytes, what made it, bytes afterwards.
        host: Whether weights, and what updates them, are in another memory, which is not counted.
    """

    alignment: int = 1
    record: bool = False
    host: bool = False
    bytes: int = 0
    peak: int = 0
    log: list[tuple[int, str, int]] = field(default_factory=list)
    at_peak: dict[int, tuple[int, str]] = field(default_factory=dict)
    _known: dict[int, tuple[weakref.ref[Any], int, str]] = field(default_factory=dict)
    _away: bool = False

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """While it is open, what is made is where the weights are."""
        before, self._away = self._away, self.host
        try:
            yield
        finally:
            self._away = before

    def see(self, func: Any, result: Any) -> None:
        """Count what an operation has made."""
        for each in tree_flatten(result)[0]:
            if isinstance(each, torch.Tensor):
                self.add(each, str(func))

    def add(self, tensor: torch.Tensor, name: str) -> None:
        """Count the storage of a tensor, once."""
        storage = tensor.untyped_storage()
        # Sharded tensors find their shapes with fake ones, which have no memory.
        if tensor.device.type == "meta" or isinstance(tensor, FakeTensor):
            return
        key = storage._cdata  # noqa: SLF001 - the only identity that a storage has
        if key in self._known:
            return
        taken = 0 if self._away else storage.nbytes()
        size = -(-taken // self.alignment) * self.alignment
        self._known[key] = (weakref.ref(storage, partial(self._gone, key)), size, name)
        self.bytes += size
        if self.bytes > self.peak:
            self.peak = self.bytes
            if self.record:
                self.at_peak = {key: (size, name) for key, (_, size, name) in self._known.items()}
        if self.record:
            self.log.append((size, name, self.bytes))

    def resized(self, tensor: torch.Tensor, name: str) -> None:
        """Count the storage of a tensor again: its size has changed."""
        storage = tensor.untyped_storage()
        known = self._known.pop(storage._cdata, None)  # noqa: SLF001
        if known is not None:
            self.bytes -= known[1]
        self.add(tensor, name)

    def mark(self) -> None:
        """Begin a new moment to find the peak of."""
        self.peak = self.bytes
        self.log.clear()
        self.at_peak.clear()

    def _gone(self, key: int, _storage: object) -> None:
        self.bytes -= self._known.pop(key)[1]

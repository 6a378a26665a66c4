"""Activations that wait in host memory (`workbench.training.engines.host`), on paper.

What is kept for the backward pass is copied away, tensor by tensor, where it is large enough; so
which tensors stay depends on sizes. A structure is recorded once for each set of answers to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.tape.tensor import Parameter, Tensor, size_of_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.network.structure import Structure

_WORTH_MOVING = 2**16
"""Bytes, as in the engine."""


class Offload:
    """Which tensors are copied away, for the sizes of a config.

    Args:
        symbols: The sizes.
        cpu: Whether the host's memory is the device's: then the copies are among what it holds.
    """

    def __init__(self, symbols: tuple[int, ...], *, cpu: bool) -> None:
        self.cpu = cpu
        self._scope = dict(zip(SYMBOLS, symbols, strict=True))
        self._answers: dict[str, bool] = {}
        self._asked: Callable[..., tuple[bool, ...]] | None = None

    def moves(self, tensor: Tensor) -> bool:
        """Whether a tensor is copied away."""
        if isinstance(tensor if tensor.base is None else tensor.base, Parameter):
            return False
        size = size_of_shape(tensor.shape, tensor.width)
        if size not in self._answers:
            bytes_ = eval(size, {}, self._scope)  # noqa: S307 - our own arithmetic
            self._answers[size] = int(bytes_) >= _WORTH_MOVING
        return self._answers[size]

    def holds(self, symbols: tuple[int, ...]) -> bool:
        """Whether the same tensors are copied away with other sizes."""
        if self._asked is None:
            parts = "".join(f"{size}>={_WORTH_MOVING}," for size in self._answers)
            scope: dict[str, Any] = {}
            exec(f"def f({', '.join(SYMBOLS)}): return ({parts})", scope)  # noqa: S102 - as above
            self._asked = scope["f"]
        return self._asked(*symbols) == tuple(self._answers.values())


_RECORDED: dict[Structure, list[Offload]] = {}
_MOST = 16
"""Sets of answers that are remembered for a structure."""


def with_offload(s: Structure, symbols: tuple[int, ...]) -> Structure:
    """The structure with the answers for these sizes; they are found as it is recorded."""
    known = _RECORDED.setdefault(s._replace(offload=None), [])
    for each in known:
        if each.holds(symbols):
            return s._replace(offload=each)
    found = Offload(symbols, cpu=s.cpu)
    known.insert(0, found)
    del known[_MOST:]
    return s._replace(offload=found)

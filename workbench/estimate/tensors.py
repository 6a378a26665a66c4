"""The weights of a network one by one, for whatever treats them so: optimizers, ZeRO."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.network.symbols import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.sizes import Segment


class Weight(NamedTuple):
    """A weight on one device.

    Attributes:
        name: Its name inside its part of the network.
        part: ``front``, ``tail``, or the number of a kind of block.
        times: How many blocks have one.
        shape: Sizes of what this device has of it.
        whole: Sizes of all of it.
        kept: Bytes of an element between steps.
        trained: Whether it learns.
    """

    name: str
    part: str | int
    times: int
    shape: tuple[int, ...]
    whole: tuple[int, ...]
    kept: int
    trained: bool = True

    @property
    def numbers(self) -> int:
        """Elements on this device."""
        return prod(self.shape)

    @property
    def total(self) -> int:
        """Elements over all devices."""
        return prod(self.whole)

    @property
    def divided(self) -> bool:
        """Whether other devices have the rest of it."""
        return self.shape != self.whole

    @property
    def is_matrix(self) -> bool:
        """Whether weight decay applies to it: no norm, no bias, no stack of biases."""
        return len(self.whole) > 1 and not self.name.endswith("bias")


def weights_of(net: Sized, shards: int = 1) -> list[Weight]:
    """The weights, from the embedding to the output; those of equal blocks are one entry.

    Args:
        net: The network.
        shards: Devices that each of them is cut over, along its first dimension.
    """
    counts: dict[str | int, int] = {"front": 1}
    for kind, count in net.runs:
        counts[kind] = counts.get(kind, 0) + count
    counts["tail"] = 1
    found = []
    for part, times in counts.items():
        segment = net.network.blocks[part] if isinstance(part, int) else getattr(net.network, part)
        shapes = _shapes(segment)(*net.symbols)
        each = zip(segment.parameters, shapes, segment.kept, segment.trained, strict=True)
        for (name, _), whole, kept, trained in each:
            shape = whole if shards == 1 else (-(-whole[0] // shards), *whole[1:])
            found.append(Weight(name, part, times, shape, whole, kept, trained))
    return found


def trained_weights(net: Sized, shards: int = 1) -> list[Weight]:
    """`weights_of`, those that learn."""
    return [each for each in weights_of(net, shards) if each.trained]


def _shapes(segment: Segment) -> Callable[..., tuple[tuple[int, ...], ...]]:
    return _compiled(segment.parameters)


@lru_cache(maxsize=1024)
def _compiled(
    parameters: tuple[tuple[str, tuple[Any, ...]], ...],
) -> Callable[..., tuple[tuple[int, ...], ...]]:
    """The sizes of each parameter as a function of the symbols."""
    rows = "".join(f"({''.join(f'{dim},' for dim in shape)})," for _, shape in parameters)
    scope: dict[str, Any] = {}
    exec(f"def f({', '.join(SYMBOLS)}): return ({rows})", scope)  # noqa: S102 - our own arithmetic
    function: Callable[..., tuple[tuple[int, ...], ...]] = scope["f"]
    return function

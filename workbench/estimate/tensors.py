"""The weights of a network one by one, for whatever treats them so: optimizers, ZeRO."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.estimate.network.network import Sized


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
        is_matrix: Whether it is no norm, no bias, and no stack of biases.
        numbers: Elements on this device.
        total: Elements over all devices.
        spared: Whether it has no decay; None: unless it is a matrix.
    """

    name: str
    part: str | int
    times: int
    shape: tuple[int, ...]
    whole: tuple[int, ...]
    kept: int
    trained: bool
    is_matrix: bool
    numbers: int
    total: int
    spared: bool | None = None

    @property
    def decays(self) -> bool:
        """Whether weight decay applies to it."""
        return self.is_matrix if self.spared is None else not self.spared

    @property
    def divided(self) -> bool:
        """Whether other devices have the rest of it."""
        return self.shape != self.whole


def weights_of(net: Sized, shards: int = 1) -> list[Weight]:
    """The weights, from the embedding to the output; those of equal blocks are one entry.

    Args:
        net: The network.
        shards: Devices that each of them is cut over, along its first dimension.
    """
    known = net.weighed.weights
    found = known.get(shards)
    if found is None:
        found = known[shards] = _weights(net, shards)
    return found


def trained_weights(net: Sized, shards: int = 1) -> list[Weight]:
    """`weights_of`, those that learn."""
    known = net.weighed.trained
    found = known.get(shards)
    if found is None:
        found = known[shards] = [each for each in weights_of(net, shards) if each.trained]
    return found


def _weights(net: Sized, shards: int) -> list[Weight]:
    network = net.network
    counts: dict[str | int, int] = {"front": 1}
    for kind, count in net.runs:
        counts[kind] = counts.get(kind, 0) + count
    counts["tail"] = 1
    found = []
    for part, times in counts.items():
        segment = network.blocks[part] if isinstance(part, int) else getattr(network, part)
        sizes = segment.weigh(*net.symbols)
        each_of = zip(segment.rows, sizes, strict=True)
        for (name, kept, trained, is_matrix), (whole, total) in each_of:
            shape, numbers = whole, total
            if shards != 1:
                shape = (-(-whole[0] // shards), *whole[1:])
                numbers = total // whole[0] * shape[0]
            found.append(
                Weight(name, part, times, shape, whole, kept, trained, is_matrix, numbers, total)
            )
    return found

"""From a record of a tape to closed forms.

Most moments cannot be the largest whatever the sizes are: another holds the same tensors and more.
What is left is a handful of sums, written as the source of a Python function.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.tape.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.estimate.tape.tensor import Tape

Category = str


class Entry(NamedTuple):
    """Some equal tensors.

    Attributes:
        label: What they are.
        size: Bytes of one, as an expression.
        times: How many.
        category: ``activations``, ``gradients`` or ``temporaries``.
    """

    label: str
    size: str
    times: int
    category: Category


@dataclass(frozen=True, slots=True)
class Tally:
    """What exists at one moment.

    Attributes:
        entries: The tensors.
    """

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, tape: Tape, live: int, saved: int = 0, gradients: int = 0) -> Tally:
        """The tensors of a set of bits, told apart by two others."""
        found: Counter[tuple[str, str, Category]] = Counter()
        for place in bits(live):
            bit = 1 << place
            category = (
                "activations" if bit & saved else "gradients" if bit & gradients else "temporaries"
            )
            found[tape.labels[place], tape.sizes[place], category] += 1
        return cls(
            tuple(Entry(label, size, n, category) for (label, size, category), n in found.items())
        )

    def sizes(self) -> Counter[str]:
        """How many tensors of each size."""
        total: Counter[str] = Counter()
        for entry in self.entries:
            total[entry.size] += entry.times
        return total


def bits(live: int) -> list[int]:
    """The places of the bits that are set."""
    places = []
    while live:
        low = live & -live
        places.append(low.bit_length() - 1)
        live ^= low
    return places


def largest(tape: Tape, moments: list[int]) -> list[int]:
    """The moments that no other one contains, each as the set of its storages."""
    classes: dict[str, int] = {}
    ids = [classes.setdefault(size, len(classes)) for size in tape.sizes]
    found: list[tuple[list[int], int]] = []
    for live in sorted(set(moments), key=int.bit_count, reverse=True):
        counts = [0] * len(classes)
        for place in bits(live):
            counts[ids[place]] += 1
        if not any(all(map(int.__le__, counts, other)) for other, _ in found):
            found.append((counts, live))
    return [live for _, live in found]


def compile_sums(
    groups: Mapping[str, Sequence[Tally]],
    symbols: Sequence[str],
    plain: Mapping[str, str] | None = None,
) -> Callable[..., Any]:
    """A function of the symbols that returns, for each group, its largest sum; then ``plain``.

    ``A`` among the symbols is the alignment of the allocator, a power of two: every tensor counts
    in multiples.
    """
    source = Source(symbols)
    results = []
    for tallies in groups.values():
        sums = [
            source.sum_of((source.size(size), times) for size, times in tally.sizes().items())
            for tally in tallies
        ]
        results.append(source.most(sums) if sums else "0")
    results += [source.total(each) for each in (plain or {}).values()]
    return source.function(results)

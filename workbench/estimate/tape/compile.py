"""From a record of a tape to closed forms.

Most moments cannot be the largest whatever the sizes are: another holds the same tensors and more.
What is left is a handful of sums, written as the source of a Python function.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.estimate.tape.tensor import Tape

Sums = list[Counter[str]]


@dataclass(frozen=True)
class Tally:
    """What exists at one moment.

    Attributes:
        lines: Number of tensors by (label, bytes as an expression).
    """

    lines: tuple[tuple[str, str, int], ...]

    @classmethod
    def of(cls, tape: Tape, live: int) -> Tally:
        """The tensors of a set of bits."""
        found: Counter[tuple[str, str]] = Counter()
        for place in bits(live):
            found[tape.labels[place], tape.sizes[place]] += 1
        return cls(tuple((label, size, count) for (label, size), count in found.items()))

    def sizes(self) -> Counter[str]:
        """How many tensors of each size."""
        total: Counter[str] = Counter()
        for _, size, count in self.lines:
            total[size] += count
        return total


def bits(live: int) -> list[int]:
    """The places of the bits that are set."""
    places = []
    while live:
        low = live & -live
        places.append(low.bit_length() - 1)
        live ^= low
    return places


def largest(tape: Tape, moments: list[int]) -> list[Tally]:
    """The moments that no other one contains."""
    classes: dict[str, int] = {}
    ids = [classes.setdefault(size, len(classes)) for size in tape.sizes]
    width = len(classes)
    vectors: dict[tuple[int, ...], int] = {}
    for live in sorted(set(moments), key=int.bit_count, reverse=True):
        counts = [0] * width
        for place in bits(live):
            counts[ids[place]] += 1
        vector = tuple(counts)
        if any(all(a <= b for a, b in zip(vector, other, strict=True)) for other in vectors):
            continue
        vectors[vector] = live
    return [Tally.of(tape, live) for live in vectors.values()]


def compile_sums(groups: Mapping[str, list[Tally]], symbols: list[str]) -> Callable[..., Any]:
    """A function of the symbols that returns, for each group, its largest sum.

    ``A`` among the symbols is the alignment of the allocator: every tensor counts in multiples.
    """
    names: dict[str, str] = {}
    body: list[str] = []
    for tallies in groups.values():
        for tally in tallies:
            for _, size, _ in tally.lines:
                if size not in names:
                    names[size] = f"_{len(names)}"
                    body.append(f"    {names[size]} = -(-({size}) // A) * A")
    results = []
    for tallies in groups.values():
        sums = [
            " + ".join(
                (f"{count} * " if count > 1 else "") + names[size]
                for size, count in tally.sizes().items()
            )
            or "0"
            for tally in tallies
        ] or ["0"]
        results.append(sums[0] if len(sums) == 1 else f"max({', '.join(sums)})")
    source = f"def f({', '.join(symbols)}):\n" + "\n".join(body) + f"\n    return ({', '.join(results)},)\n"
    scope: dict[str, Any] = {}
    exec(compile(source, "<closed form>", "exec"), scope)  # noqa: S102 - our own arithmetic
    function: Callable[..., Any] = scope["f"]
    return function

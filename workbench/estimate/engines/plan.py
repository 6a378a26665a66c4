"""Moments as sums over a row of numbers, drawn up once for all sizes of a network's structure.

What exists at a moment does not depend on sizes. An engine draws up a `Recipe` for each moment from
parts of the network and what it holds itself; with numbers, a moment is then a few products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.base import part_lines
from workbench.estimate.ledger import Moment, merged
from workbench.estimate.network.sizes import Sizes
from workbench.estimate.tape.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.estimate.engines.base import Part, Standing
    from workbench.estimate.ledger import Category, Line, Stream
    from workbench.estimate.network.network import Sized

_WIDTH = len(Sizes._fields)
_FIELDS = {name: place for place, name in enumerate(Sizes._fields)}


class Text(NamedTuple):
    """What an engine holds, in words.

    Attributes:
        name: What it is.
        formula: How many bytes; what is in braces is put in when somebody asks.
        category: What they are for.
        stream: Which stream allocates them.
    """

    name: str
    formula: str
    category: Category
    stream: Stream = "compute"


class Extra(NamedTuple):
    """Some bytes that an engine holds.

    Attributes:
        what: Which.
        kind: The kind of block that they belong to; -1 for what is no block.
        times: How often.
    """

    what: str
    kind: int = -1
    times: int = 1


class Recipe(NamedTuple):
    """What exists at a moment.

    Attributes:
        name: What happens then.
        parts: Groups of the network.
        extras: What the engine holds.
    """

    name: str
    parts: tuple[Part, ...]
    extras: tuple[Extra, ...]


Terms = tuple[tuple[int, int], ...]
"""(place in the row, how often)."""

Totals = tuple[tuple[int, int, int], ...]
"""For each moment: everything, what the stream that fetches weights has allocated of it, and what
the stream that adds up gradients has."""


class Sum(NamedTuple):
    """A recipe as sums over the row of numbers.

    Attributes:
        all: Everything.
        gather: What the stream that fetches weights has allocated.
        reduce: What the stream that adds up gradients has allocated.
    """

    all: Terms
    gather: Terms
    reduce: Terms


@dataclass
class Plan:
    """The recipes of a structure.

    Attributes:
        layout: Where numbers stand in the row.
        recipes: What exists at each moment.
        sums: The same as sums.
    """

    layout: Layout
    recipes: tuple[Recipe, ...]
    sums: tuple[Sum, ...]
    _uses: int = 0

    @classmethod
    def of(cls, recipes: Sequence[Recipe], layout: Layout) -> Plan:
        """The recipes, with their sums."""
        return cls(layout, tuple(recipes), tuple(_sum(recipe, layout) for recipe in recipes))

    def totals(self, row: Sequence[int]) -> Totals:
        """The bytes of each moment, from the row of numbers."""
        self._uses += 1
        if self._uses > _WORTH_COMPILING:
            return self._compiled(row)

        def value(terms: Terms) -> int:
            return sum([times * row[place] for place, times in terms])

        return tuple((value(a), value(b), value(c)) for a, b, c in self.sums)

    @cached_property
    def _compiled(self) -> Callable[[Sequence[int]], Totals]:
        """All sums as one function: several times as fast, once it has been made."""
        source = Source(("r",))
        rows = [
            f"({','.join(source.sum_of(_terms(terms)) for terms in each)})" for each in self.sums
        ]
        function: Callable[[Sequence[int]], Totals] = source.function(rows)
        return function


_WORTH_COMPILING = 3
"""Uses of a plan before its sums become a function, which takes milliseconds."""


def _terms(terms: Terms) -> Iterator[tuple[str, int]]:
    return ((f"r[{place}]", times) for place, times in terms)


class Layout(NamedTuple):
    """Where an engine's own numbers stand in the row.

    Attributes:
        own: What there is once, in order.
        each: What there is for each kind of block, in order.
        kinds: Number of kinds of block.
        texts: All of it in words.
    """

    own: tuple[str, ...]
    each: tuple[str, ...]
    kinds: int
    texts: dict[str, Text]

    def place(self, extra: Extra) -> int:
        """The place of what an engine holds."""
        start = (2 + self.kinds) * _WIDTH
        if extra.kind < 0:
            return start + self.own.index(extra.what)
        start += len(self.own) + extra.kind * len(self.each)
        return start + self.each.index(extra.what)


def _sum(recipe: Recipe, layout: Layout) -> Sum:
    found: dict[int, int] = {}
    streams: dict[str, dict[int, int]] = {"gather": {}, "reduce": {}}
    for part in recipe.parts:
        place = _start(part.segment) + _FIELDS[part.group]
        found[place] = found.get(place, 0) + part.times
    for extra in recipe.extras:
        place = layout.place(extra)
        found[place] = found.get(place, 0) + extra.times
        stream = layout.texts[extra.what].stream
        if stream in streams:
            own = streams[stream]
            own[place] = own.get(place, 0) + extra.times
    every = tuple(each for each in found.items() if each[1])
    gather, reduce = (tuple(each.items()) for each in streams.values())
    return Sum(every, gather, reduce)


def _start(segment: str | int) -> int:
    if isinstance(segment, int):
        return (2 + segment) * _WIDTH
    return 0 if segment == "front" else _WIDTH


def row_of(net: Sized, own: Sequence[int], each: Sequence[Sequence[int]]) -> list[int]:
    """The row of numbers: of the network, of the engine, and of the engine for each kind."""
    return [*net.front, *net.tail, *chain(*net.blocks), *own, *chain(*each)]


def moments_of(
    plan: Plan,
    row: Sequence[int],
    net: Sized,
    standing: Standing,
    explain: Callable[[Sequence[int], Extra], list[Line]],
) -> list[Moment]:
    """The moments.

    Args:
        plan: Their recipes.
        row: The numbers.
        net: The network that they are of.
        standing: What exists all the time.
        explain: The lines of what the engine holds, from the row.
    """
    base = standing.bytes
    lines = partial(_lines, row, net, standing, explain)
    return [
        Moment(recipe.name, base + total, partial(lines, recipe), gather, reduce)
        for recipe, (total, gather, reduce) in zip(plan.recipes, plan.totals(row), strict=True)
    ]


def _lines(
    row: Sequence[int],
    net: Sized,
    standing: Standing,
    explain: Callable[[Sequence[int], Extra], list[Line]],
    recipe: Recipe,
) -> list[Line]:
    found = [*standing.lines]
    for extra in recipe.extras:
        found += explain(row, extra)
    for part in recipe.parts:
        found += part_lines(net, part)
    return merged(found)

"""Numbers that are not known yet: sums of products of names, with exact factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.estimate.tape.source import Source

Factors = tuple[str, ...]
"""Names that are multiplied, in their order."""


class Amount:
    """A polynomial over names with whole factors.

    Args:
        terms: How often each product is in it.
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Factors, int]) -> None:
        self.terms = {factors: times for factors, times in terms.items() if times}

    @classmethod
    def named(cls, name: str) -> Amount:
        """What a name stands for."""
        return cls({(name,): 1})

    def __add__(self, other: Amount | int) -> Amount:
        found = dict(self.terms)
        for factors, times in _terms(other).items():
            found[factors] = found.get(factors, 0) + times
        return Amount(found)

    def __sub__(self, other: Amount | int) -> Amount:
        return self + -1 * other

    def __rsub__(self, other: int) -> Amount:
        return -1 * self + other

    def __mul__(self, other: Amount | int) -> Amount:
        found: dict[Factors, int] = {}
        for one, times in self.terms.items():
            for another, more in _terms(other).items():
                factors = tuple(sorted(one + another))
                found[factors] = found.get(factors, 0) + times * more
        return Amount(found)

    __radd__ = __add__
    __rmul__ = __mul__


def _terms(amount: Amount | int) -> Mapping[Factors, int]:
    return amount.terms if isinstance(amount, Amount) else {(): amount}


def written(amount: Amount | int, source: Source, names: Sequence[str]) -> str:
    """The name of an amount in a function of a row of numbers.

    Args:
        amount: The amount.
        source: The function.
        names: The names of the numbers in the row.
    """
    places = {name: f"r[{place}]" for place, name in enumerate(names)}

    def product(factors: Factors) -> str:
        # What many products have in common, such as the rows of a layer, stands first in them.
        return source.product([places[name] for name in factors]) if factors else "1"

    return source.sum_of((product(each), times) for each, times in _terms(amount).items())

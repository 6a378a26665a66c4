"""The source of a closed form, in which what several sums have in common is computed once.

Moments that follow each other hold nearly the same tensors, and tensors have dimensions in common:
written out one by one, closed forms repeat themselves many times over. So a product extends
another one, and a sum says in what it differs from an earlier one. Integers are exact: the order of
the operations changes nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SHARE = re.compile(r"\(-\(-\(?([\w*+()]*?)\)?//N\)\)")
"""A dimension over N devices, as `network.sizes` writes it."""

_LOOK_BACK = 4
"""Earlier sums that a new one is compared with."""


class Source:
    """The body of a function of symbols.

    Args:
        symbols: Its arguments. ``A`` among them is a power of two, which sizes are multiples of.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._order = {symbol: place for place, symbol in enumerate(symbols) if symbol != "N"}
        self._body: list[str] = []
        self._names: dict[str, str] = {}
        self._sizes: dict[str, str] = {}
        self._sums: list[tuple[dict[str, int], str]] = []
        self._known: dict[frozenset[tuple[str, int]], str] = {}

    def size(self, text: str) -> str:
        """The name of a size in bytes, rounded up to a multiple of A."""
        found = self._sizes.get(text)
        if found is None:
            number, name = self._product(text)
            exact = _times(number, name) if name else str(number)
            found = self._sizes[text] = self._name(f"({exact}+_m)&_n")
        return found

    def total(self, text: str) -> str:
        """The name of a sum of products as somebody wrote it."""
        terms = map(self._product, _split(text, "+"))
        return self.sum_of((name or "1", number) for number, name in terms)

    def sum_of(self, terms: Iterable[tuple[str, int]]) -> str:
        """The name of the sum of so many of each name."""
        own: dict[str, int] = {}
        for name, times in terms:
            own[name] = own.get(name, 0) + times
        own = {name: times for name, times in own.items() if times}
        key = frozenset(own.items())
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._sum(own) if own else "0"
            self._sums.append((own, known))
        return known

    def product(self, factors: Sequence[str]) -> str:
        """The name of a product of arguments, or of items of one."""
        found = self._name(factors[0])
        for each in factors[1:]:
            found = self._name(f"{found}*{self._name(each)}")
        return found

    def most(self, names: Iterable[str]) -> str:
        """The name of the largest of them."""
        first, *others = dict.fromkeys(names)
        if not others:
            return first
        name = f"_{len(self._names)}"
        self._names[name] = name
        self._body.append(f"    {name} = {first}")
        self._body += [f"    if {each} > {name}: {name} = {each}" for each in others]
        return name

    def function(self, results: Sequence[str]) -> Callable[..., Any]:
        """The function that returns a tuple of them."""
        lines = (
            f"def f({', '.join(self._symbols)}):",
            *(["    _m, _n = A - 1, -A"] if self._sizes else []),
            *self._body,
            f"    return ({''.join(f'{each},' for each in results)})",
            "",
        )
        scope: dict[str, Any] = {}
        exec(compile("\n".join(lines), "<closed form>", "exec"), scope)  # noqa: S102 - our own
        function: Callable[..., Any] = scope["f"]
        return function

    def _name(self, expression: str) -> str:
        """The name of an expression, which is computed when it is first asked for."""
        found = self._names.get(expression)
        if found is None:
            found = self._names[expression] = f"_{len(self._names)}"
            self._body.append(f"    {found} = {expression}")
        return found

    def _product(self, text: str) -> tuple[int, str]:
        """The number and the name of the rest of a product; no name where there is none."""
        number, others = _factors(text)
        order = self._order
        names = sorted((each for each in others if each in order), key=order.__getitem__)
        names += [each if each == "N" else self._atom(each) for each in others if each not in order]
        if not names:
            return number, ""
        found = names[0]
        for each in names[1:]:
            found = self._name(f"{found}*{each}")
        return number, found

    def _atom(self, text: str) -> str:
        """The name of what is no product."""
        shared = _SHARE.sub(self._share, text)
        return shared if shared.isidentifier() else self._name(shared)

    def _share(self, found: re.Match[str]) -> str:
        return self._name(f"-(-({found[1]})//N)") if _is_closed(found[1]) else found[0]

    def _sum(self, own: dict[str, int]) -> str:
        """A sum, from the earlier one that it differs least from."""
        change, base = own, ""
        least = len(own)
        for other, name in self._sums[-_LOOK_BACK:]:
            # What is in one of them alone, or in both another number of times.
            differs = own.items() ^ other.items()
            if len(differs) < least:
                least, base = len(differs), name
                change = {k: own.get(k, 0) - other.get(k, 0) for k, _ in differs}
        terms = [base] if base else []
        terms += [_times(times, name) for name, times in change.items() if times > 0]
        text = "+".join(terms) + "".join(
            f"-{_times(-times, name)}" for name, times in change.items() if times < 0
        )
        return text if text.isidentifier() else self._name(text)


def _times(number: int, name: str) -> str:
    return name if number == 1 else f"{number}*{name}"


@lru_cache(maxsize=4096)
def _factors(text: str) -> tuple[int, tuple[str, ...]]:
    """The numbers of a product, multiplied, and its other factors."""
    number, others = 1, []
    parts = _split(text, "*")
    if any(sign in part for part in parts if part[0] != "(" for sign in "+-/<"):
        return 1, (text,)  # no product
    for part in parts:
        if part.isdecimal():
            number *= int(part)
        else:
            others.append(part)
    return number, tuple(others)


@lru_cache(maxsize=4096)
def _split(text: str, sign: str) -> tuple[str, ...]:
    """The parts between signs that stand in no brackets."""
    found, depth, begin = [], 0, 0
    for place, each in enumerate(text):
        if each == "(":
            depth += 1
        elif each == ")":
            depth -= 1
        elif each == sign and not depth:
            found.append(text[begin:place])
            begin = place + 1
    return (*found, text[begin:])


def _is_closed(text: str) -> bool:
    """Whether every bracket has its other half."""
    depth = 0
    for each in text:
        depth += (each == "(") - (each == ")")
        if depth < 0:
            return False
    return depth == 0

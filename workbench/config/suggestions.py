"""Which key somebody may have meant.

Names are looked up by what is left of them when one letter is taken out, on both sides: that finds
every name one typing error away without comparing with all of them. What is further off is found
by the words that it shares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import log
from typing import TYPE_CHECKING

from workbench.config.aliases import SECTIONS
from workbench.config.conversions import number
from workbench.config.keys import keys, sections
from workbench.config.spelling import homes, spellings, table

if TYPE_CHECKING:
    from collections.abc import Callable

_FAR = 1.4  # a right word in another section costs a little more than one wrong letter
_LEAST_SHARED = 0.5
_USUAL = ("model", "training", "data", "run")


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: str
    section: str
    name: str
    meant: str  # the key, where the path is an alias


def suggest(path: str, limit: int = 3, fits: Callable[[str], bool] = lambda _: True) -> list[str]:
    """The keys, aliases or sections that `path` may be a misspelling of, likeliest first.

    Args:
        path: What was written.
        limit: How many at most.
        fits: Whether the value that was written could stand at a path.
    """
    places = [_parts(home) for home in homes(path)]
    name = _normal(places[0][1])
    if not name:
        return []
    costs: dict[_Candidate, float] = {}
    for candidate in _near(name):
        distance, away = edits(name, candidate.name), _away(candidate, places)
        if distance and len(name) <= 2 and away:
            continue  # a letter or two mean too many things elsewhere
        if distance <= _most(name) and fits(candidate.path):
            costs[candidate] = distance + away
    if len(costs) < limit and min(costs.values(), default=_FAR) > 1:
        for candidate, shared in _sharing(name):
            if fits(candidate.path):
                costs.setdefault(candidate, 2 + 2 * (1 - shared) + _away(candidate, places))
    found: dict[str, str] = {}
    order = sorted(costs, key=lambda c: (costs[c], c.path != c.meant, c.path.count("."), c.path))
    for candidate in order:
        at_home = candidate.section == places[0][0]
        found.setdefault(candidate.meant, candidate.path if at_home else candidate.meant)
    return list(found.values())[:limit]


def edits(a: str, b: str) -> int:
    """Typing errors between two words: letters missing, added, wrong, or two neighbours swapped.

    This is the optimal string alignment distance.
    """
    if a == b:
        return 0
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, last = last, row
    return last[-1]


def _most(name: str) -> int:
    """How many errors a word of this length can have and still be recognised."""
    return 1 if len(name) <= 4 else 2


def _away(candidate: _Candidate, places: list[tuple[str, str]]) -> float:
    """What it costs that a candidate stands elsewhere than the word that was written."""
    written = places[0][0]
    if any(candidate.section == section for section, _ in places):
        return 0.0 if candidate.section == written else 0.1
    if not written:
        usual = candidate.section.partition(".")[0] in _USUAL
        return (1.0 if usual else 1.05) + 0.1 * candidate.section.count(".")
    if written.partition(".")[0] == candidate.section.partition(".")[0]:
        return 0.8
    distance = edits(written, candidate.section)
    return 0.4 * distance if distance <= 2 else _FAR


def _parts(path: str) -> tuple[str, str]:
    section, _, name = path.rpartition(".")
    return section, name


def _normal(name: str) -> str:
    """``batchSize``, ``Batch-Size`` and ``batch_size`` are one word."""
    plain = name.strip(" '\"\u201c\u201d\u201e\u2018\u2019").replace("-", "_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()[:80]


@cache
def _candidates() -> tuple[_Candidate, ...]:
    found = [_Candidate(path, *_parts(path), path) for path in (*keys(), *sorted(sections()))]
    found += [_Candidate(moved, *_parts(moved), home) for moved, home in SECTIONS]
    for path in keys():
        for alias in spellings(path):
            plain = any(means.convert in (None, number) for means in table()[alias])
            found.append(_Candidate(alias, *_parts(alias), path if plain else alias))
    return tuple(dict.fromkeys(found))


def _gaps(name: str) -> set[str]:
    """The word, and what is left of it when one letter is taken out."""
    return {name, *(name[:i] + name[i + 1 :] for i in range(len(name)))}


@cache
def _by_gap() -> dict[str, list[_Candidate]]:
    index: dict[str, list[_Candidate]] = {}
    for candidate in _candidates():
        for gap in _gaps(candidate.name):
            index.setdefault(gap, []).append(candidate)
    return index


def _near(name: str) -> dict[_Candidate, None]:
    index = _by_gap()
    return dict.fromkeys(c for gap in sorted(_gaps(name)) for c in index.get(gap, ()))


@cache
def _by_word() -> dict[str, list[_Candidate]]:
    index: dict[str, list[_Candidate]] = {}
    for candidate in _candidates():
        for word in set(candidate.name.split("_")):
            index.setdefault(word, []).append(candidate)
    return index


@cache
def _words_by_gap() -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for word in _by_word():
        for gap in _gaps(word):
            index.setdefault(gap, []).append(word)
    return index


def _recognised(word: str) -> set[str]:
    """The word, or known words that it may be a misspelling of."""
    if word in _by_word():
        return {word}
    index = _words_by_gap()
    near = {known for gap in _gaps(word) for known in index.get(gap, ())}
    return {known for known in near if len(word) > 2 and edits(word, known) <= _most(word)}


def _rarity(word: str) -> float:
    """How much a word tells: a rare one more than a common one."""
    return 1 / (1 + log(len(_by_word()[word])))


def _sharing(name: str) -> list[tuple[_Candidate, float]]:
    """Candidates that share words, and the share of their weight that is common."""
    words = set(name.split("_")[:8])
    shared: dict[_Candidate, float] = {}
    total = 0.0
    for word in words:
        known = _recognised(word)
        total += max(map(_rarity, known), default=1.0)
        for candidate in {c for each in known for c in _by_word()[each]}:
            best = max(_rarity(each) for each in known if each in candidate.name.split("_"))
            shared[candidate] = shared.get(candidate, 0.0) + best
    found = []
    for candidate, weight in shared.items():
        theirs = sum(map(_rarity, set(candidate.name.split("_"))))
        if (share := 2 * weight / (total + theirs)) >= _LEAST_SHARED:
            found.append((candidate, share))
    return found

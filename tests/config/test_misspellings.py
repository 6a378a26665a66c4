"""One wrong letter in any key of any shipped file is caught, and the right key is suggested."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from workbench.config.checking import validate
from workbench.config.keys import keys, sections
from workbench.config.layers import Layer, compose, shipped
from workbench.config.reading import read_document, read_file
from workbench.config.spelling import table
from workbench.config.suggestions import suggest
from workbench.errors import ConfigError
from workbench.resources import data_dir

LETTERS = "abcdefghijklmnopqrstuvwxyz_0123456789"
KINDS = ("left out", "added", "wrong", "swapped")
POSITIONS = 2  # of each kind, per key
ENOUGH = 0.95


def misspell(name: str, kind: str, at: int, letter: str) -> str:
    """The name with one typing error."""
    if kind == "left out":
        return name[:at] + name[at + 1 :]
    if kind == "added":
        return name[:at] + letter + name[at:]
    if kind == "wrong":
        return name[:at] + letter + name[at + 1 :]
    return name[:at] + name[at : at + 2][::-1] + name[at + 2 :]


def slips(name: str, kind: str, count: int, rng: random.Random) -> Iterator[str]:
    """`count` different misspellings of a kind, or as many as there are."""
    places = list(range(len(name) + (kind == "added") - (kind == "swapped")))
    rng.shuffle(places)
    given = 0
    for at in places:
        wrong = misspell(name, kind, at, rng.choice(LETTERS))
        if wrong != name and wrong:
            yield wrong
            given += 1
            if given == count:
                return


def files() -> list[str]:
    """Every shipped file that holds keys: the layers, and the recipes that set values."""
    recipes = sorted((data_dir("configs") / "recipes").glob("*.yaml"))
    own = [f"recipes/{path.stem}" for path in recipes if "config" in read_file(path).tree]
    return [*shipped(), *own]


def known(written: str) -> bool:
    """Whether the wrong word is a key, section or alias of its own: then there is no mistake."""
    return written in keys() or written in sections() or written in table()


@pytest.mark.parametrize("name", files())
def test_in_a_file(name: str, tally: Counter[str]) -> None:
    path = data_dir("configs") / f"{name}.yaml"
    document, rng = read_file(path), random.Random(name)
    inside = 1 if name.startswith("recipes/") else 0
    lines = path.read_text().splitlines(keepends=True)
    for key, mark in document.marks.items():
        if len(key) <= inside or any(isinstance(part, int) for part in key):
            continue
        if inside and key[0] != "config":
            continue
        *parents, last = (str(part) for part in key[inside:])
        dotted = ".".join((*parents, last))
        for kind in KINDS:
            for wrong in slips(last, kind, POSITIONS, rng):
                row = lines[mark.line - 1]
                start = mark.column - 1
                assert row[start:].startswith(last)
                text = "".join(
                    (
                        *lines[: mark.line - 1],
                        row[:start] + wrong + row[start + len(last) :],
                        *lines[mark.line :],
                    )
                )
                tally[outcome(text, path, dotted, wrong, inside)] += 1


def outcome(text: str, path: Path, dotted: str, wrong: str, inside: int) -> str:
    """What a reader of the misspelt file is told."""
    section = dotted.rpartition(".")[0]
    written = f"{section}.{wrong}" if section else wrong
    try:
        tree = read_document(text, str(path)).tree
    except ConfigError as error:  # the file has that key already
        return "refused as a duplicate" if wrong in error.what else f"refused: {error.what}"
    if inside:
        tree = tree["config"]
    if known(written):
        return "another key or spelling"
    _, findings = validate(compose([Layer("misspelt", tree, str(path))]))
    about = [finding for finding in findings if finding.path == written]
    assert about, f"{written} was not caught"
    offered = [edit.path for finding in about for fix in finding.fixes for edit in fix.edits]
    return "suggested" if dotted in offered else "caught only"


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()
    yield counts
    caught = counts["suggested"] + counts["caught only"]
    if caught:
        share = counts["suggested"] / caught
        print(f"\nmisspelt keys in files: {dict(counts)}, right key suggested: {share:.2%}")
        assert share >= ENOUGH


@cache
def shipped_keys() -> frozenset[str]:
    """Every key and section that a shipped file says."""
    found: set[str] = set()
    for name in shipped():
        for key in read_file(data_dir("configs") / f"{name}.yaml").marks:
            if not any(isinstance(part, int) for part in key):
                found.add(".".join(map(str, key)))
    return frozenset(found)


def test_at_every_position() -> None:
    """All positions of all keys, with one letter each; suggestions alone, which is quicker."""
    rng = random.Random(0)
    counts: Counter[bool] = Counter()
    missed = []
    for dotted in sorted(shipped_keys()):
        section, _, last = dotted.rpartition(".")
        for kind in KINDS:
            for wrong in slips(last, kind, len(last) + 1, rng):
                written = f"{section}.{wrong}" if section else wrong
                if known(written):
                    continue
                right = dotted in suggest(written)
                counts[right] += 1
                if not right:
                    missed.append(f"{wrong} for {dotted}")
    share = counts[True] / counts.total()
    print(f"\nmisspelt keys at every position: {counts.total():,}, suggested: {share:.2%}")
    print(f"missed: {', '.join(missed[:20])}")
    assert share >= ENOUGH

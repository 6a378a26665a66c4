"""Draws by weight: the right shares, the same for everybody, and repetition that is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.making import article, jsonl, opened, same, steps
from workbench.data.mixing import BLOCK, Mixture, shares
from workbench.data.order import Shuffle
from workbench.data.store import Tokens
from workbench.data.windows import Windows
from workbench.errors import DataError


def parts(count: int) -> list[Windows]:
    made = []
    for n in range(count):
        tokens = Tokens(np.full(200, n), np.zeros(1, dtype=np.int64), name=f"part {n}")
        made.append(Windows(tokens, length=8, how=Shuffle(n)))
    return made


@pytest.mark.honours("data.mixing_temperature")
def test_temperature_as_measured() -> None:
    # reference/kernels_features.md 4.17
    sizes = [9e9, 8e8, 1e8, 2e7]
    assert np.round(shares(sizes, 1), 3).tolist() == [0.907, 0.081, 0.010, 0.002]
    assert np.round(shares(sizes, 2), 3).tolist() == [0.689, 0.206, 0.073, 0.032]
    assert np.round(shares(sizes, 5), 3).tolist() == [0.431, 0.266, 0.175, 0.127]
    assert np.allclose(shares(sizes, 1e9), 0.25)
    assert shares([0.0, 2.0, 2.0], 3) == [0.0, 0.5, 0.5]


@pytest.mark.honours("data.mixture")
@pytest.mark.parametrize("seed", range(5))
def test_draws_follow_the_weights(seed: int) -> None:
    probabilities = [0.6, 0.25, 0.1, 0.05]
    mixture = Mixture(parts(4), probabilities, seed)
    count = 20_000
    drawn = np.array([mixture.place(n)[0] for n in range(count)])
    found = np.bincount(drawn, minlength=4)
    expected = count * np.array(probabilities)
    chi_square = ((found - expected) ** 2 / expected).sum()
    assert chi_square < 21.1  # p = 0.0001 with 3 degrees of freedom; the seeds are fixed
    # Independent draws: the next one does not depend on the last.
    pairs = np.bincount(drawn[:-1] * 4 + drawn[1:], minlength=16)
    wanted = (count - 1) * np.outer(probabilities, probabilities).ravel()
    assert ((pairs - wanted) ** 2 / wanted).sum() < 44.3  # p = 0.0001, 15 degrees of freedom


def test_every_part_is_walked_in_its_own_order() -> None:
    mixture = Mixture(parts(3), [0.5, 0.3, 0.2], 7)
    counts = [0, 0, 0]
    for n in range(3000):
        part, number = mixture.place(n)
        assert number == counts[part]
        counts[part] += 1
    for n in (0, 17, 2999):
        part, number = mixture.place(n)
        assert mixture.at(n).id == parts(3)[part].at(number).id


def test_counting_over_many_blocks() -> None:
    one, other = Mixture(parts(2), [0.7, 0.3], 3), Mixture(parts(2), [0.7, 0.3], 3)
    far = 9 * BLOCK + 123
    place = one.place(far)
    counts = [0, 0]
    for block in range(9):
        for part, count in enumerate(np.bincount(other._drawn(block), minlength=2)):
            counts[part] += int(count)
    inside = other._drawn(9)[:123]
    assert place[1] == counts[place[0]] + int((inside == place[0]).sum())
    assert one.place(5) == other.place(5)


def test_the_same_seed_is_the_same_order() -> None:
    places = [[Mixture(parts(2), [0.5, 0.5], s).place(n) for n in range(99)] for s in (1, 1, 2)]
    assert places[0] == places[1] != places[2]


def test_a_part_of_weight_zero_is_never_drawn() -> None:
    mixture = Mixture(parts(3), shares([1.0, 0.0, 1.0]), 1)
    assert {mixture.place(n)[0] for n in range(5000)} == {0, 2}


@pytest.mark.honours("data.mixture")
def test_a_mixture_of_files(tmp_path: Path) -> None:
    one, two = jsonl(tmp_path / "a.jsonl", 300), jsonl(tmp_path / "b.jsonl", 100, 500)
    mixed = opened({"mixture": {str(one): 3.0, str(two): 1.0}}, training={"max_steps": 50})
    drawn = [each for batch in steps(mixed, range(1, 60)) for each in batch.ids]
    share = sum("a.jsonl" in each for each in drawn) / len(drawn)
    assert 0.68 < share < 0.82
    assert mixed.notes[0].startswith(f"75.0% from {one}: ")
    assert mixed.notes[1].startswith(f"25.0% from {two}: ")
    passes = float(mixed.notes[1].split(": ")[1].split()[0])
    assert passes == pytest.approx(0.25 * 400 / (mixed.source.sequences.parts[1].items), rel=0.01)
    assert {i.split(":")[0] for b in mixed.held_out.batches() for i in b.ids} == {
        str(one),
        str(two),
    }


@pytest.mark.honours("data.use_weighted_mixing", "data.mixing_temperature")
def test_the_files_of_a_folder_by_size_and_temperature(tmp_path: Path) -> None:
    large = jsonl(tmp_path / "texts" / "large.jsonl", 500)
    jsonl(tmp_path / "texts" / "small.jsonl", 50, 1000)
    (tmp_path / "texts" / "tiny.txt").write_text("tiny")
    data = {"path": str(tmp_path / "texts"), "use_weighted_mixing": True}

    def share(**more: object) -> float:
        mixed = opened(data | more)
        assert [s.path.rpartition("/")[2] for s in mixed.skipped] == ["tiny.txt"]
        drawn = [each for batch in steps(mixed, range(1, 60)) for each in batch.ids]
        return sum(str(large) in each for each in drawn) / len(drawn)

    assert share() > 0.86
    assert 0.45 < share(mixing_temperature=1e6) < 0.55
    assert 0.6 < share(mixing_temperature=2) < 0.86
    plain = opened({"path": str(tmp_path / "texts")})
    assert not plain.notes


def test_a_text_in_two_parts_is_not_held_out_here_and_trained_on_there(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "a.jsonl", 100)
    two = jsonl(tmp_path / "b.jsonl", 160, 40)  # 60 of them are in the first, too
    mixed = opened({"mixture": {str(one): 1, str(two): 1}, "packing": "none", "max_length": 500})
    held = {row.tobytes() for b in mixed.held_out.batches() for row in b.tokens_BT}
    assert not held & {row.tobytes() for b in steps(mixed, range(1, 60)) for row in b.tokens_BT}
    assert sum("is in another text, too" in skip.why for skip in mixed.skipped) == 60


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        opened({"mixture": {str(one): 1.0, str(tmp_path / "nowhere.jsonl"): 1.0}})


def test_one_part_is_the_text_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(article(n) for n in range(30)))
    alone, mixed = opened({"path": str(path)}), opened({"mixture": {str(path): 0.2}})
    for one, other in zip(steps(alone, range(1, 9)), steps(mixed, range(1, 9)), strict=True):
        assert same(one, other)

"""The data order is a pure function of seed and place, and wastes and repeats nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import jsonl, opened, steps
from workbench.data.order import Shuffle, spread
from workbench.data.source import BatchSource
from workbench.data.store import Tokens
from workbench.data.windows import Windows


def stream(size: int) -> Tokens:
    return Tokens(np.arange(size), np.zeros(1, dtype=np.int64), name="text")


def make(
    size: int = 500,
    *,
    length: int = 16,
    batch: int = 4,
    accumulation: int = 1,
    seed: int = 1,
    shuffle: bool = True,
    reshuffle: bool = True,
) -> BatchSource:
    windows = Windows(stream(size), length=length, how=Shuffle(seed, shuffle, reshuffle))
    return BatchSource(windows, batch_size=batch, micro_batches=accumulation)


def epoch(source: BatchSource, number: int) -> list[int]:
    """The first token of each window of a pass, with micro-batches of one."""
    windows = source.sequences
    assert isinstance(windows, Windows)
    return [
        int(source.batch(number * windows.items + n + 1, 0).tokens_BT[0, 0])
        for n in range(windows.items)
    ]


@given(st.integers(3, 400), st.integers(2, 40), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_an_epoch_visits_every_window_once(size: int, length: int, seed: int) -> None:
    if size < length + 1:
        return
    order = make(size, length=length, batch=1, seed=seed)
    for number in range(2):
        first = order.batch(1, 0)
        assert first.tokens_BT.shape == first.targets_BT.shape == (1, length)
        assert (first.targets_BT == first.tokens_BT + 1).all()
        seen = sorted(epoch(order, number))
        assert all(second - first == length for first, second in itertools.pairwise(seen))
        assert seen[-1] + length < size


def test_epochs_differ_in_order_and_offset() -> None:
    order = make(2000, batch=1)
    starts = [epoch(order, number) for number in range(6)]
    assert len({min(each) for each in starts}) > 1
    assert len({tuple(np.argsort(each)) for each in starts}) == 6


@pytest.mark.honours("data.shuffle")
def test_without_shuffling_the_text_comes_as_it_is() -> None:
    order = make(200, batch=1, shuffle=False)
    assert epoch(order, 0) == epoch(order, 3) == list(range(0, 176, 16))


def test_without_reshuffling_every_pass_is_like_the_first() -> None:
    order = make(200, batch=1, reshuffle=False)
    assert epoch(order, 0) == epoch(order, 1) == epoch(make(200, batch=1), 0)
    assert epoch(make(200, batch=1), 1) != epoch(order, 1)


@pytest.mark.parametrize(("batch", "accumulation"), [(1, 8), (2, 4), (8, 1)])
def test_a_step_holds_the_same_sequences_however_it_is_cut(batch: int, accumulation: int) -> None:
    whole, parts = make(batch=8), make(batch=batch, accumulation=accumulation)
    for step in (1, 2, 9, 40):
        cut = np.concatenate([parts.batch(step, micro)[0] for micro in range(accumulation)])
        assert (cut == whole.batch(step, 0)[0]).all()


def test_any_step_can_be_asked_for_at_any_time() -> None:
    fresh, used = make(), make()
    for step in (1, 500, 3, 77):
        used.batch(step, 0)
    for step in (77, 2, 501):
        assert (fresh.batch(step, 0)[0] == used.batch(step, 0)[0]).all()
        assert (make(seed=2).batch(step, 0)[0] != used.batch(step, 0)[0]).any()


@pytest.mark.honours("data.shuffle_seed")
def test_the_order_never_changes_between_versions() -> None:
    order = make(400, length=8, batch=4, seed=42)
    assert order.batch(1, 0)[0][:, 0].tolist() == [366, 86, 54, 94]
    assert order.batch(100, 0)[0][:, 0].tolist() == [294, 54, 366, 78]
    other = make(400, length=8, batch=4, seed=43)
    assert other.batch(1, 0)[0][:, 0].tolist() != [366, 86, 54, 94]


def test_held_out_places_are_even_and_apart() -> None:
    assert spread(62, 10) == [0, 6, 12, 18, 24, 31, 37, 43, 49, 55]
    assert spread(3, 10) == [0, 1, 2]
    assert spread(0, 10) == []


def test_a_sequence_says_where_it_comes_from() -> None:
    tokens = Tokens(np.arange(100), np.array([0, 40, 70]), names=["a.txt", "b.txt", "c.txt"])
    windows = Windows(tokens, length=10, how=Shuffle(1, shuffle=False))
    assert windows.at(0).id == "a.txt, from token 0, pass 1"
    assert windows.at(5).id == "b.txt, from token 10, pass 1"
    assert windows.at(windows.items).id == "a.txt, from token 0, pass 2"


@pytest.mark.honours("data.shuffle", "data.reshuffle_each_epoch", "data.shuffle_seed")
def test_the_keys_reach_the_order(tmp_path: Path) -> None:
    def passes(**data: object) -> tuple[list[str], list[str]]:
        """What the first sequences of the first and the second pass are."""
        source = opened({"path": str(jsonl(tmp_path / "a.jsonl", 20)), "packing": "none", **data})
        assert source.sequences_per_pass is not None
        ids = [i.split(",")[0] for batch in steps(source, range(1, 12)) for i in batch.ids]
        first = source.sequences_per_pass
        return ids[:first], ids[first : 2 * first]

    one, two = passes()
    assert sorted(one) == sorted(two)
    assert one != two
    assert passes(reshuffle_each_epoch=False) == (one, one)
    straight, again = passes(shuffle=False)
    assert straight == again != one
    assert sorted(straight) == sorted(one)
    assert passes(shuffle_seed=7)[0] != one

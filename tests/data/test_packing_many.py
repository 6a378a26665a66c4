"""How texts become sequences: cut from one stream, kept apart, or one text each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, jsonl, opened, steps
from workbench.data.batches import IGNORE
from workbench.data.buckets import Buckets, default_bounds
from workbench.data.examples import Example, stack
from workbench.data.order import Shuffle
from workbench.data.single import Single
from workbench.data.store import Tokens
from workbench.data.windows import Windows
from workbench.errors import DataError


def texts(*lengths: int) -> Tokens:
    """Texts whose tokens are 10 n + 1 … and which end in 0."""
    rows = [[10 * n + 1 + i % 9 for i in range(length)] + [0] for n, length in enumerate(lengths)]
    starts = np.cumsum([0, *(len(row) for row in rows)])[:-1]
    return Tokens(np.concatenate(rows), starts, name="texts")


@pytest.mark.honours("data.packing")
def test_three_ways_to_make_sequences(tmp_path: Path) -> None:
    path = str(jsonl(tmp_path / "a.jsonl"))
    stream = opened({"path": path}).source.batch(3, 1)
    apart = opened({"path": path, "packing": "documents"}).source.batch(3, 1)
    single = opened({"path": path, "packing": "none"}).source.batch(3, 1)
    assert stream.documents_BT is None
    assert (stream.tokens_BT == apart.tokens_BT).all()
    assert apart.documents_BT is not None
    assert not np.array_equal(single.tokens_BT, stream.tokens_BT)


def test_documents_are_numbered_and_nobody_predicts_the_first_token_of_the_next() -> None:
    windows = Windows(texts(3, 2, 6), length=8, how=Shuffle(1, shuffle=False), apart=True)
    example = windows.at(0)
    assert example.tokens_T.tolist() == [1, 2, 3, 0, 11, 12, 0, 21]
    assert example.documents_T is not None
    assert example.documents_T.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert example.targets_T.tolist() == [2, 3, 0, IGNORE, 12, 0, IGNORE, 22]
    together = Windows(texts(3, 2, 6), length=8, how=Shuffle(1, shuffle=False)).at(0)
    assert together.documents_T is None
    assert together.targets_T.tolist() == [2, 3, 0, 11, 12, 0, 21, 22]


def test_only_what_is_learned_is_a_target() -> None:
    plain = texts(3, 2, 6)
    learn = np.zeros(len(plain), dtype=bool)
    learn[[2, 3, 9]] = True
    masked = Tokens(plain.ids, plain.starts, learn)
    example = Windows(masked, length=8, how=Shuffle(1, shuffle=False)).at(0)
    assert example.targets_T.tolist() == [IGNORE, 3, 0, *[IGNORE] * 5]


@pytest.mark.honours("data.truncation")
def test_one_text_each_is_cut_or_refused() -> None:
    how = Shuffle(1, shuffle=False)
    single = Single(texts(3, 12, 6), length=8, how=how)
    assert [len(single.at(n).tokens_T) for n in range(4)] == [3, 8, 6, 3]
    assert single.at(0).targets_T.tolist() == [2, 3, 0]
    with pytest.raises(DataError, match="12 tokens does not fit sequences of 8") as caught:
        Single(texts(3, 12, 6), length=8, how=how, truncation=False)
    assert "texts document 2" in str(caught.value.where)
    assert "--data.max_length 12" in str(caught.value.fix)
    Single(texts(3, 8, 6), length=8, how=how, truncation=False)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.honours("data.truncation")
def test_truncation_off_stops_with_the_record_named(tmp_path: Path, *, streaming: bool) -> None:
    path = tmp_path / "a.jsonl"
    lines = [{"text": f"{n:03} " + "x" * (60 if n == 77 else 12)} for n in range(100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    held = tmp_path / "held.jsonl"
    held.write_text("".join(json.dumps({"text": f"held {n}"}) + "\n" for n in range(9)))
    data = {"path": str(path), "packing": "none", "truncation": False, "streaming": streaming}
    with pytest.raises(DataError, match="does not fit") as caught:
        steps(opened(data | {"eval_path": str(held)}), range(1, 20))
    assert "a.jsonl:78" in str(caught.value.where)
    steps(opened(data | {"eval_path": str(held), "truncation": True}), range(1, 20))


def _example(*tokens: int) -> Example:
    array = np.array(tokens)
    return Example(array, array + 1, id=str(tokens))


@pytest.mark.honours("data.padding_side")
def test_short_sequences_are_filled_up_on_either_side() -> None:
    right = stack([_example(5, 6, 7), _example(8)], padding=0)
    assert right.tokens_BT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert right.targets_BT.tolist() == [[6, 7, 8], [9, IGNORE, IGNORE]]
    assert right.documents_BT is not None
    assert right.documents_BT.tolist() == [[0, 0, 0], [0, -1, -1]]
    assert right.targets == 4
    left = stack([_example(5, 6, 7), _example(8)], padding=0, left=True)
    assert left.tokens_BT.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert left.targets_BT.tolist() == [[6, 7, 8], [IGNORE, IGNORE, 9]]
    assert stack([_example(5, 6), _example(8, 9)], padding=0).documents_BT is None


@pytest.mark.honours("data.padding_side")
def test_the_padding_side_reaches_the_batches(tmp_path: Path) -> None:
    data = {"path": str(jsonl(tmp_path / "a.jsonl")), "packing": "none", "max_length": 400}
    for side, column in (("right", 0), ("left", -1)):
        batches = steps(opened(data | {"padding_side": side}), range(1, 6))
        documents = [b.documents_BT for b in batches if b.documents_BT is not None]
        assert documents
        assert all((each[:, column] == 0).all() for each in documents)
        assert all((each[:, -1 - column] == -1).any() for each in documents)


@given(
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=90), group=st.integers(1, 9),
    seed=st.integers(0, 99), shuffle=st.booleans(),
)  # fmt: skip
@settings(max_examples=3000, deadline=None)
def test_buckets_visit_every_record_once(
    lengths: list[int], group: int, seed: int, *, shuffle: bool
) -> None:
    buckets = Buckets(np.array(lengths), Shuffle(seed, shuffle), bounds=[8, 30], group=group)
    for epoch in range(3):
        first = epoch * len(lengths)
        places = [buckets.at(first + n)[2] for n in range(len(lengths))]
        assert sorted(places) == list(range(len(lengths)))


@pytest.mark.honours("data.enable_bucketing", "data.bucket_boundaries", "data.max_bucket_size")
def test_buckets_bring_records_of_one_length_together(tmp_path: Path) -> None:
    path = str(jsonl(tmp_path / "a.jsonl", 300))
    data = {"path": path, "packing": "none", "max_length": 600, "shuffle_seed": 3}

    def filled_up(**more: object) -> float:
        batches = steps(opened(data | more), range(1, 40))
        size = sum(b.tokens_BT.size for b in batches)
        real = sum(b.tokens_BT.size if b.documents_BT is None else (b.documents_BT >= 0).sum()
                   for b in batches)  # fmt: skip
        return 1 - real / size

    plain = filled_up()
    bucketed = filled_up(enable_bucketing=True)
    finer = filled_up(enable_bucketing=True, bucket_boundaries=[*range(60, 600, 60)])
    pairs = filled_up(enable_bucketing=True, max_bucket_size=2)
    assert plain > 0.2
    assert bucketed < 0.5 * plain
    assert finer < 0.5 * bucketed
    assert pairs < 0.5 * plain
    orders = {
        size: [b.ids for b in steps(opened(data | {"enable_bucketing": True,
                                                   "max_bucket_size": size}), range(1, 9))]
        for size in (2, 16)
    }  # fmt: skip
    assert orders[2] != orders[16]


def test_groups_stay_with_the_steps_in_the_second_epoch() -> None:
    lengths = np.array([5] * 13 + [50] * 14)
    buckets = Buckets(lengths, Shuffle(4), bounds=[20], group=4)
    mixed = 0
    for step in range(40):
        kinds = {int(lengths[buckets.at(step * 4 + n)[2]]) for n in range(4)}
        mixed += len(kinds) > 1
    # At most the loose ends of a pass are mixed: 27 records are 7 groups.
    assert mixed <= 40 / 7 * 2


def test_default_bounds_double() -> None:
    assert default_bounds(100) == [16, 32, 64]
    assert default_bounds(16) == []


@pytest.mark.honours("data.max_train_examples")
@pytest.mark.parametrize("extra", [{}, {"packing": "none"}, {"streaming": True}])
def test_only_so_many_sequences_are_trained_on(tmp_path: Path, extra: dict[str, object]) -> None:
    data = {"path": str(jsonl(tmp_path / "a.jsonl")), **extra}
    some = steps(opened(data | {"max_train_examples": 5}), range(1, 12))
    assert len({row.tobytes() for batch in some for row in batch.tokens_BT}) == 5
    every = steps(opened(data | {"max_train_examples": -1}), range(1, 12))
    assert len({row.tobytes() for batch in every for row in batch.tokens_BT}) > 50


def test_a_text_with_enough_words_for_one_sequence_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(article(1, 3))
    data = opened({"path": str(tmp_path / "a.txt"), "max_length": 32})
    assert steps(data, range(1, 4))
    assert data.held_out.count >= 1

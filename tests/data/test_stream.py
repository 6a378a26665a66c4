"""A stream is shuffled among its neighbours, covers everything, and forgets nothing on resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, jsonl, opened, steps
from workbench.config.schema.data import DataConfig
from workbench.data.filters import Filters
from workbench.data.flow import Flow, Lazy, every_document
from workbench.data.order import Shuffle
from workbench.data.reading import Document
from workbench.data.records import Maker
from workbench.data.stream import Stream, held_by_hash
from workbench.data.tokens import ByteTokenizer
from workbench.errors import ConfigError, DataError


class Numbers:
    """A table of the numbers from 0."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count = count
        self.first = first
        self.start = [0]
        self.size = count
        self.reads = 0

    def read(self, cursor: list[int], count: int) -> tuple[list[Any], list[int] | None]:
        end = min(cursor[0] + count, self.count)
        self.reads += end - cursor[0]
        items = [Document(str(self.first + n), f"{self.first + n}") for n in range(cursor[0], end)]
        return items, [end] if end < self.count else None


def stream(table: Numbers, buffer: int, **options: Any) -> Stream:
    config = DataConfig()
    how = options.pop("how", Shuffle(7))
    flow = Flow([Lazy(Path("numbers"), "numbers", table)], Maker(config))
    return Stream(
        flow, ByteTokenizer(), length=16, how=how, packing="none", buffer=buffer,
        trains=lambda _: True, filters=Filters(config), **options,
    )  # fmt: skip


def numbers(source: Stream, first: int, last: int) -> list[int]:
    return [int(source.at(n).id.split(",")[0]) for n in range(first, last)]


@given(count=st.integers(1, 70), buffer=st.integers(1, 30), seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_a_pass_is_a_permutation_within_the_buffer(count: int, buffer: int, seed: int) -> None:
    source = stream(Numbers(count), buffer, how=Shuffle(seed))
    for epoch in range(2):
        seen = numbers(source, epoch * count, (epoch + 1) * count)
        assert sorted(seen) == list(range(count))
        assert all(abs(place - number) < buffer for place, number in enumerate(seen))


@pytest.mark.honours("data.buffer_size", "data.streaming")
def test_a_larger_buffer_moves_further(tmp_path: Path) -> None:
    def moved(buffer: int) -> float:
        seen = numbers(stream(Numbers(600), buffer), 0, 600)
        return sum(abs(place - number) for place, number in enumerate(seen)) / 600

    assert moved(1) == 0
    assert 2 < moved(10) < 4  # a third of the buffer
    assert 60 < moved(200) < 75
    data = {"path": str(jsonl(tmp_path / "a.jsonl")), "streaming": True}
    orders = [
        [b.ids for b in steps(opened(data | more), range(1, 9))]
        for more in ({"buffer_size": 5}, {"buffer_size": 50}, {"streaming": False})
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.honours("data.shuffle")
def test_passes_and_their_orders() -> None:
    fresh = stream(Numbers(40), 40)
    assert numbers(fresh, 0, 40) != numbers(fresh, 40, 80)
    again = stream(Numbers(40), 40, how=Shuffle(7, reshuffle=False))
    assert numbers(again, 0, 40) == numbers(again, 40, 80) == numbers(fresh, 0, 40)
    straight = stream(Numbers(40), 40, how=Shuffle(7, shuffle=False))
    assert numbers(straight, 0, 80) == [*range(40), *range(40)]
    assert numbers(stream(Numbers(40), 40, how=Shuffle(8)), 0, 40) != numbers(fresh, 0, 40)


def test_a_resumed_stream_reads_one_block_again() -> None:
    whole = stream(Numbers(1000), 20)
    wanted = numbers(whole, 0, 900)
    table = Numbers(1000)
    resumed = stream(table, 20)
    resumed.load_state(whole.state(870))
    assert numbers(resumed, 870, 900) == wanted[870:]
    assert table.reads <= 60
    far = Numbers(1000)
    assert numbers(stream(far, 20), 870, 900) == wanted[870:]  # without state: slow, but right
    assert far.reads >= 880


def test_states_of_places_long_gone() -> None:
    source = stream(Numbers(50), 5)
    numbers(source, 0, 20_000)
    assert source.state(3)["n"] <= 3
    assert source.state(19_990)["n"] == 19_990
    assert len(source._numbers) < 20_000


@pytest.mark.honours("data.samples_per_file")
def test_files_take_turns() -> None:
    config = DataConfig()
    tables = [Numbers(5), Numbers(2, 100), Numbers(9, 200)]

    def order(turn: int | None, at_once: int) -> list[int]:
        lazies = [Lazy(Path(str(n)), str(n), table) for n, table in enumerate(tables)]
        flow = Flow(lazies, Maker(config), turn)
        return [int(d.text) for documents, _ in every_document(flow, at_once) for d in documents]

    one_after_the_other = [*range(5), 100, 101, *range(200, 209)]
    in_turns = [0, 1, 100, 101, 200, 201, 2, 3, 202, 203, 4, 204, 205, 206, 207, 208]
    for at_once in (1, 3, 100):
        assert order(None, at_once) == one_after_the_other
        assert order(2, at_once) == in_turns


@pytest.mark.honours("data.samples_per_file")
def test_files_take_turns_in_a_run(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 500)):
        jsonl(tmp_path / "texts" / f"{name}.jsonl", 60, first)
    data = {"path": str(tmp_path / "texts"), "streaming": True, "shuffle": False, "packing": "none"}
    ids = [i for b in steps(opened(data | {"samples_per_file": 1}), range(1, 5)) for i in b.ids]
    assert {"a.jsonl" in each for each in ids} == {True, False}
    ids = [i for b in steps(opened(data), range(1, 5)) for i in b.ids]
    assert all("a.jsonl" in each for each in ids)


def test_what_is_held_out_depends_on_the_text_alone() -> None:
    held = [n for n in range(4000) if held_by_hash(article(n, 1), 0.1)]
    assert 320 < len(held) < 480
    assert held == [n for n in range(4000) if held_by_hash(article(n, 1), 0.1)]
    assert set(held) < {n for n in range(4000) if held_by_hash(article(n, 1), 0.2)}


def test_a_stream_that_can_hold_nothing_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(article(1))
    with pytest.raises(DataError, match="too few to evaluate on") as caught:
        opened({"path": str(path), "streaming": True})
    assert "--data.eval_path" in str(caught.value.fix)


def test_a_stream_without_text_does_not_turn_for_ever(tmp_path: Path) -> None:
    path, held = jsonl(tmp_path / "a.jsonl", 30), jsonl(tmp_path / "held.jsonl", 30)
    data = opened({"path": str(path), "streaming": True, "eval_path": str(held)})
    with pytest.raises(DataError, match="holds no text to train on"):
        data.source.batch(1, 0)


def test_a_stream_has_no_buckets(tmp_path: Path) -> None:
    data = {"path": str(jsonl(tmp_path / "a.jsonl")), "streaming": True, "packing": "none"}
    with pytest.raises(ConfigError, match="buckets"):
        opened(data | {"enable_bucketing": True})


def test_the_fingerprint_of_a_stream(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl")
    data = {"path": str(path), "streaming": True}
    first = opened(data)
    opened(data).check_unchanged(first.fingerprint, str(path))
    path.write_text(path.read_text().replace("Text 7 says", "Text 8 says"))
    with pytest.raises(DataError, match="has changed"):
        opened(data).check_unchanged(first.fingerprint, str(path))


def test_a_bad_file_among_good_ones_is_passed_over(tmp_path: Path) -> None:
    for n in range(60):
        (tmp_path / f"{n:02}.txt").write_text(article(n))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 30)
    data = {"path": str(tmp_path), "streaming": True, "max_eval_examples": 1000}
    (skip,) = opened(data).skipped
    assert skip.path.endswith("latin.txt")
    assert "is not UTF-8" in skip.why
    with pytest.raises(DataError, match="is not UTF-8"):
        opened(data | {"skip_malformed_sequences": False})

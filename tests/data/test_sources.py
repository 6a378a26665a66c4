"""What every kind of source promises: one order for any workers and processes, and exact resume."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.making import article, jsonl, opened, same, steps
from workbench.config.schema import Config
from workbench.config.schema.data import DataConfig
from workbench.data.batches import MicroBatch
from workbench.data.opening import Opened, open_source
from workbench.data.prepare import prepare

Made = dict[str, Any]


def _text(tmp: Path) -> Made:
    path = tmp / "a.txt"
    path.write_text("".join(article(n) for n in range(60)))
    return {"data": {"path": str(path)}}


def _records(tmp: Path) -> Made:
    return {"data": {"path": str(jsonl(tmp / "a.jsonl")), "packing": "documents"}}


def _single(tmp: Path) -> Made:
    return {"data": {"path": str(jsonl(tmp / "a.jsonl")), "packing": "none"}}


def _buckets(tmp: Path) -> Made:
    made = _single(tmp)
    made["data"] |= {"enable_bucketing": True, "max_length": 300}
    return made


def _stream(tmp: Path) -> Made:
    data = {"path": str(jsonl(tmp / "a.jsonl")), "streaming": True, "buffer_size": 16}
    return {"data": data}


def _stream_apart(tmp: Path) -> Made:
    made = _stream(tmp)
    made["data"] |= {"packing": "documents", "buffer_size": 7}
    return made


def _stream_single(tmp: Path) -> Made:
    made = _stream(tmp)
    made["data"] |= {"packing": "none", "buffer_size": 7, "validation_fraction": 0.2}
    return made


def _stream_folder(tmp: Path) -> Made:
    for name, first in (("a", 0), ("b", 200), ("c", 300)):
        jsonl(tmp / "texts" / f"{name}.jsonl", 50, first)
    data = {"path": str(tmp / "texts"), "streaming": True, "buffer_size": 10, "samples_per_file": 3}
    return {"data": data}


def _stream_text(tmp: Path) -> Made:
    made = _text(tmp)
    made["data"] |= {"streaming": True, "eval_path": str(jsonl(tmp / "eval.jsonl", 30, 1000))}
    return made


def _mixture(tmp: Path) -> Made:
    one, two = jsonl(tmp / "a.jsonl"), jsonl(tmp / "b.jsonl", 80, 500)
    return {"data": {"mixture": {str(one): 0.7, str(two): 0.3}}}


def _stream_mixture(tmp: Path) -> Made:
    made = _mixture(tmp)
    made["data"] |= {"streaming": True, "buffer_size": 9}
    return made


def _prepared(tmp: Path) -> Made:
    out = tmp / "shards"
    if not out.exists():
        prepare(DataConfig(path=str(jsonl(tmp / "a.jsonl"))), out)
    return {"data": {"path": str(out)}}


def _parquet(tmp: Path) -> Made:
    import pyarrow as pa
    from pyarrow import parquet

    texts = [article(n, 1 + n % 9) for n in range(120)]
    parquet.write_table(pa.table({"text": texts}), tmp / "a.parquet", row_group_size=13)
    return {"data": {"path": str(tmp / "a.parquet"), "streaming": True, "buffer_size": 10}}


def _saved(tmp: Path) -> Made:
    import datasets

    if not (tmp / "saved").exists():
        texts = [article(n, 1 + n % 9) for n in range(120)]
        datasets.Dataset.from_dict({"text": texts}).save_to_disk(tmp / "saved")
    return {"data": {"path": str(tmp / "saved"), "streaming": True, "buffer_size": 10}}


def _hub_stream(tmp: Path) -> Made:
    jsonl(tmp / "named" / "train.jsonl")
    data = {"dataset_name": str(tmp / "named"), "streaming": True, "buffer_size": 10}
    return {"data": data | {"cache_dir": str(tmp / "cache")}}


def _bert(tmp: Path) -> Made:
    return _text(tmp) | {"model": {"model_type": "bert"}}


def _t5(tmp: Path) -> Made:
    return _text(tmp) | {"model": {"model_type": "t5", "vocab_size": 320}}


def _t5_stream(tmp: Path) -> Made:
    return _stream(tmp) | {"model": {"model_type": "t5", "vocab_size": 320}}


def _instructions(tmp: Path) -> Made:
    lines = [{"prompt": f"{n} plus {n}? ", "completion": f"{2 * n}"} for n in range(120)]
    path = tmp / "i.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"data": {"path": str(path), "format": "instruction"}}


KINDS: list[Callable[[Path], Made]] = [
    _text, _records, _single, _buckets, _stream, _stream_apart, _stream_single, _stream_folder,
    _stream_text, _mixture, _stream_mixture, _prepared, _parquet, _saved, _hub_stream, _bert, _t5,
    _t5_stream, _instructions,
]  # fmt: skip
kinds = pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__.strip("_") for kind in KINDS])

LAST = 18
"""Steps: several passes over each of the texts above."""


@kinds
def test_resume_is_bit_exact(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    whole = opened(**made)
    uninterrupted = steps(whole, range(1, LAST + 1))
    first = opened(**made)
    first.check_unchanged(whole.fingerprint, None)
    steps(first, range(1, 8))
    state = json.loads(json.dumps(first.source.state()))  # as a checkpoint keeps it
    for with_state in (True, False):  # the state saves time and changes nothing
        resumed = opened(**made)
        if with_state:
            resumed.source.load_state(state)
            assert resumed.source.state() == state
        for got, wanted in zip(
            steps(resumed, range(8, LAST + 1)), uninterrupted[7 * 4 :], strict=True
        ):
            assert same(got, wanted)


@kinds
@pytest.mark.honours("data.dataloader_num_workers", "data.dataloader_prefetch_factor")
def test_workers_and_processes_change_nothing(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    alone = opened(**made)
    wanted = {(s, m): alone.source.batch(s, m) for s, m in product(range(1, LAST), range(4))}
    for ranks, workers, ahead in ((1, 3, 2), (2, 1, 5), (4, 0, 1)):
        parts = {**made, "data": {**made["data"], "dataloader_num_workers": workers,
                                  "dataloader_prefetch_factor": ahead},
                 "training": {"gradient_accumulation_steps": 4 // ranks}}  # fmt: skip
        seen = set()
        for rank in range(ranks):
            source = opened(**parts, ranks=ranks).source
            for step in range(1, LAST):
                for micro in range(rank, 4, ranks):
                    seen.add((step, micro))
                    assert same(source.batch(step, micro), wanted[step, micro])
                    if workers and micro == rank and step == 3:
                        # Made ahead means: there before anybody asks.
                        assert len(source._made) == workers * ahead
            source.close()
        assert seen == set(wanted)


@kinds
def test_looking_back_gives_the_same_again(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    source = opened(**made).source
    began = source.state()
    first = source.batch(1, 0)
    source.load_state(began)  # as the dry run does
    assert same(source.batch(1, 0), first)
    late = source.batch(9, 2)
    source.batch(20, 0)
    assert same(source.batch(9, 2), late)
    assert same(source.batch(1, 0), first)


@pytest.mark.parametrize(
    "kind",
    [each for each in KINDS if each not in (_bert, _t5, _t5_stream)],
    ids=lambda kind: kind.__name__.strip("_"),
)
def test_held_out_text_is_never_trained_on(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    data = opened(**made)
    held = _openings(data, list(data.held_out.batches()))
    trained = _openings(data, steps(data, range(1, 60)))
    assert held
    assert len(trained) > len(held)
    # One file without records: its end is held out, and one text may be cut in two.
    assert len(held & trained) <= (1 if kind is _text else 0)


def _openings(data: Opened, batches: list[MicroBatch]) -> set[str]:
    """How the texts begin whose beginning stands in a sequence; no two texts begin alike."""
    found = set()
    for batch in batches:
        for row in batch.tokens_BT:
            text = data.tokenizer.decode(row.tolist())
            found |= set(re.findall(r"Text \d+ says|\d+ plus \d+\?", text))
    return found


@kinds
def test_the_held_out_batches_never_change(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    made = {**made, "data": {**made["data"], "max_eval_examples": 7, "eval_batch_size": 3}}
    one, other = opened(**made), opened(**made)
    steps(one, range(1, 5))
    assert 1 <= len(one.held_out) <= 3
    for a, b in zip(one.held_out.batches(), other.held_out.batches(), strict=True):
        assert same(a, b)
        assert a.targets > 0
    every = [*other.held_out.batches(0, 2), *other.held_out.batches(1, 2)]
    ids = {each for batch in every for each in batch.ids}
    assert ids == {each for batch in one.held_out.batches() for each in batch.ids}


@kinds
def test_every_row_is_well_formed(kind: Callable[[Path], Made], tmp_path: Path) -> None:
    made = kind(tmp_path)
    data = opened(**made)
    total = 0
    for batch in steps(data, range(1, LAST)):
        assert batch.tokens_BT.dtype == batch.targets_BT.dtype == np.int64
        assert batch.tokens_BT.shape == batch.targets_BT.shape
        assert len(batch.ids) == len(batch.tokens_BT) == 2
        total += batch.targets
        if batch.documents_BT is not None:
            assert batch.documents_BT.shape == batch.tokens_BT.shape
            assert (batch.targets_BT[batch.documents_BT < 0] == -100).all()
    assert total > 0


@pytest.mark.honours("data.eval_batch_size")
def test_evaluation_has_a_batch_size_of_its_own(tmp_path: Path) -> None:
    made = _text(tmp_path)["data"] | {"max_eval_examples": 6}
    assert [len(b.ids) for b in opened(made).held_out.batches()] == [2, 2, 2]
    made |= {"eval_batch_size": 4}
    assert [len(b.ids) for b in opened(made).held_out.batches()] == [4, 2]


@pytest.mark.honours("data.max_eval_examples", "data.max_length", "data.validation_fraction")
def test_how_much_is_evaluated(tmp_path: Path) -> None:
    made = _text(tmp_path)["data"]
    assert opened(made | {"max_eval_examples": 5}).held_out.count == 5
    assert opened(made | {"max_length": 48}).source.batch(1, 0).tokens_BT.shape == (2, 48)
    few, many = (opened(made | {"validation_fraction": f}).held_out_tokens for f in (0.1, 0.3))
    assert few < many / 2


def test_the_evaluated_windows_lie_all_over_the_held_out_text() -> None:
    config = Config.model_validate({"data": {"max_length": 64, "max_eval_examples": 16}})
    held_out = open_source(config, data_parallel=1).held_out
    ids = [name for index in range(len(held_out)) for name in held_out.batch(index).ids]
    assert len(ids) == len(set(ids)) == 16
    assert len({name.partition(",")[0] for name in ids}) > 8, "of many files, not of the first"

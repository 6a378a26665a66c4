"""Records that are left out are counted, and the filter is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, opened, steps
from workbench.data.filters import RUN, longest_run, repetition_rate


def write(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


CASES = {
    "min_sequence_length": (30, "short"),
    "max_consecutive_repeats": (8, "a line and then ----------------------- and more of it"),
    "max_sequence_repetition_rate": (0.4, "the same sentence again and again. " * 8),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("key", CASES)
@pytest.mark.honours(
    "data.min_sequence_length",
    "data.max_consecutive_repeats",
    "data.max_sequence_repetition_rate",
)
def test_a_filter_leaves_out_and_says_so(tmp_path: Path, key: str, *, streaming: bool) -> None:
    value, bad = CASES[key]
    good = [article(n, 2) for n in range(150)]
    path = write(tmp_path / "a.jsonl", [*good[:50], bad, *good[50:]])
    held = write(tmp_path / "held.jsonl", [article(n, 2) for n in range(200, 220)])
    data = {"path": path, "eval_path": held, "streaming": streaming, "packing": "none"}
    data |= {"max_length": 500}

    def has_bad(**more: object) -> bool:
        source = opened(data | more)
        rows = [r for b in steps(source, range(1, 20)) for r in b.tokens_BT]
        assert len(rows) >= 151
        return any(source.tokenizer.decode(row[: len(bad)].tolist()) == bad for row in rows)

    assert has_bad()
    assert not has_bad(**{key: value})
    if not streaming:
        (skip,) = opened(data | {key: value}).skipped
        assert skip.path == f"data.{key} {value:g}"
        assert skip.why == f"left out 1 of 151 records, first {path}:51"


@given(st.lists(st.integers(0, 3), max_size=60))
@settings(max_examples=3000, deadline=None)
def test_the_longest_run(tokens: list[int]) -> None:
    longest, run, last = 0, 0, None
    for token in tokens:
        run = run + 1 if token == last else 1
        longest, last = max(longest, run), token
    assert longest_run(np.array(tokens, dtype=np.uint8)) == longest


@given(st.lists(st.integers(0, 2), max_size=80))
@settings(max_examples=3000, deadline=None)
def test_the_repetition_rate(tokens: list[int]) -> None:
    runs = [tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)]
    wanted = 1 - len(set(runs)) / len(runs) if len(runs) > 1 else 0.0
    assert repetition_rate(np.array(tokens, dtype=np.uint16)) == pytest.approx(wanted)


def test_ordinary_text_repeats_little() -> None:
    ids = np.frombuffer("".join(article(n, 2) for n in range(1, 4)).encode(), dtype=np.uint8)
    assert repetition_rate(ids) < 0.3
    assert repetition_rate(np.tile(ids[:40], 10)) > 0.8

"""HJSON as DeepSpeed's own reader reads it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import hjson  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.dialects.base import Foreign
from workbench.dialects.deepspeed import DIALECT
from workbench.dialects.hjson_reader import read_hjson
from workbench.errors import ConfigError

TEXTS = {
    "comments": '{ // one\n "a": 1, # two\n /* three\n */ "b": 2 }',
    "no commas": '{\n "a": 1\n "b": [1\n 2]\n}',
    "no quotes": "{\n train_batch_size: 8\n bf16: {enabled: true}\n}",
    "no braces": "train_batch_size: 8\nfp16:\n{\n  enabled: false\n}\n",
    "text to the end": "{\n a: some text, # and all of it\n b: 1e-5 # a number\n}",
    "single quotes": "{'a': 'it is', \"b\": \"x\"}",
    "several lines": "{\n a: '''\nfirst\nsecond\n'''\n}",
    "trailing commas": '{"a": [1, 2,], "b": {"c": null,},}',
    "numbers": "{a: 1, b: -2.5, c: 1E3, d: 0, e: 12x\n f: 01\n}",
    "words": "{a: true, b: falsehood\n c: null}",
    "escapes": '{"a": "tab\\t\\u00e9 \\"q\\""}',
    "nothing": "{}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_it_is_read_as_by_deepspeeds_reader(text: str) -> None:
    assert read_hjson(text, "f.json").tree == dict(hjson.loads(text))


def test_lines_are_known() -> None:
    marks = read_hjson("{\n a: 1\n b: {\n  c: 2 }\n}", "f.json").marks
    assert [marks[path].line for path in (("a",), ("b",), ("b", "c"))] == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1', "before the '{' of line 1 is closed"),
        ("{a: [1, 2", r"before the '\[' of line 1 is closed"),
        ("{a 1}", "':' is missing after the key 'a'"),
        ("{a: }", "where a value should be"),
        ('{a: "x\n}', "not closed"),
        ('{"a": "\\q"}', "no such escape"),
        ("{a: 1e999\n}", "larger than a float"),
        ("{a: 1} b", "something follows"),
        ('{"a": 1,, "b": 2}', "',' where a key"),
        ("{a: [1,,2]}", "',' where a value"),
        ('{"a": /* 1\n}', "never closed"),
        ("", "one object"),
        ("{a: 1\na: 2}", "stands twice"),
        ("{a:" * 100, "nested deeper"),
    ],
)
def test_what_is_wrong_is_one_message_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_hjson(text, "f.json")
    assert (caught.value.where or "").startswith("f.json:")


@given(st.text(st.sampled_from(list("{}[],:\"'#/*\n\\ ab1-.etrufalsn\u00e9")), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_a_traceback(text: str) -> None:
    with contextlib.suppress(ConfigError):
        read_hjson(text, "f.json")


def test_a_sloppy_deepspeed_file_is_understood() -> None:
    text = "{\n  train_batch_size: 8 # all\n  zero_optimization: { stage: 2 }\n}\n"
    foreign = Foreign(Path("ds_config.json"), text)
    assert DIALECT.recognise(foreign) is not None
    reading = DIALECT.read(foreign)
    assert reading.places["zero_optimization.stage"] == ("deepspeed.zero_stage",)
    assert reading.layer.marks["deepspeed", "zero_stage"].line == 3

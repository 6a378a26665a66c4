"""JSON is read into the same documents as YAML, and its faults have names and places."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED
from workbench.config.json_reader import plain_json, read_json
from workbench.config.origins import Mark
from workbench.config.reading import read_document
from workbench.config.repairs import repair
from workbench.config.scalars import same
from workbench.errors import ConfigError


def refusal(text: str, *, comments: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        read_json(text, "f.json", comments=comments)
    return caught.value.render()


def test_keys_values_and_items_have_their_places() -> None:
    text = '{\n  "é": 1,\n  "b": {"c": [true, "x\\ny"]}\n}\n'
    document = read_json(text, "f.json")
    assert document.tree == {"é": 1, "b": {"c": [True, "x\ny"]}}
    assert document.marks[("é",)] == Mark(2, 3)
    assert document.marks[("b", "c")] == Mark(3, 9)
    assert document.marks[("b", "c", 1)] == Mark(3, 21)
    node = document.node(("b", "c", 1))
    assert node is not None
    assert text[node.start : node.end] == '"x\\ny"'
    assert document.root is not None
    assert text[document.root.start : document.root.end] == text.strip()
    assert text[document.root.entries[0].start : document.root.entries[0].end] == '"é"'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-5", 3e-5),
        ("1E+5", 1e5),
        ("-0", 0),
        ("-0.0", -0.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.0", 1.0),
        ("null", None),
        ('""', ""),
        ('"\\u00e9\\ud83d\\ude00\\/"', "é😀/"),
        ('"\u2028"', "\u2028"),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert same(read_json(f'{{"a": {text}}}', "f").tree, {"a": value})


@pytest.mark.parametrize("text", ["", " \n", "{}", " { } ", "\ufeff{}"])
def test_nothing_is_an_empty_mapping(text: str) -> None:
    assert read_json(text, "f").tree == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "a": 2}', ["'a' stands twice", "line 1", "line 2", "f.json:2"]),
        ('{"a": {"b": 1, "b": 2}}', ["'a.b' stands twice"]),
        ('{"a": 1, // why\n}', ["no comments", "f.json:1:10", "remove the comment"]),
        ('{"a": 1 /* why */}', ["no comments"]),
        ('# why\n{"a": 1}', ["no comments", "f.json:1:1"]),
        ('{"a": [1, 2,]}', ["after the last item", "f.json:1:12", "remove this comma"]),
        ('{"a": 1,\n}', ["after the last item", "f.json:1:8"]),
        ('{"a": 1 "b": 2}', ["comma", "f.json:1:8"]),
        ('{"a": [1 2]}', ["comma", "']'"]),
        ('{"a" 1}', ["':' is missing", "'a'", "f.json:1:6"]),
        ("{a: 1}", ["double quotes", '"a"']),
        ("{'a': 1}", ["double quotes", '"a"']),
        ("{\"a\": 'x'}", ["double quotes"]),
        ('{"a": True}', ["True is no JSON word", "write true"]),
        ('{"a": None}', ["write null"]),
        ('{"a": no}', ["write false"]),
        ('{"a": NaN}', ["NaN", "number or null"]),
        ('{"a": -Infinity}', ["-Infinity"]),
        ('{"a": 010}', ["010 is no JSON number", "write 10"]),
        ('{"a": 1_000}', ["write 1000"]),
        ('{"a": .5}', ["write 0.5"]),
        ('{"a": +1}', ["write 1"]),
        ('{"a": 0x10}', ["write 16"]),
        ('{"a": 1e999}', ["larger than a float"]),
        ('{"a": ' + "9" * 5000 + "}", ["5,000 digits"]),
        ('{"a": word}', ['"word"']),
        ('{"a": }', ["'}' where a value should be"]),
        ('{"a": ,}', ["',' where a value should be"]),
        ("{,}", ["',' where a key should be"]),
        ('{"a":', ["the file ends where a value should be"]),
        ('{"a": 1,', ["the file ends where a key should be"]),
        ('{"a": [1', ["'[' of line 1", "add ]"]),
        ('{"a": {\n"b": 1', ["'{' of line 1", "add }"]),
        ('{"a": "x\ny"}', ["not closed", "f.json:1:7"]),
        ('{"a": "x}', ["not closed"]),
        ('{"a": "\\q"}', ["no such escape", "f.json:1:8"]),
        ('{"a": "\\ud800"}', ["surrogate"]),
        ('{"a": "\ud800"}', ["surrogate"]),
        ('{"a": 1} {"b": 2}', ["something follows", "f.json:1:10"]),
        ('{"a": 1}}', ["something follows"]),
        ("[1, 2]", ["one object"]),
        ('"x"', ["one object"]),
        ("training:\n  a: 1\n", ["call the file .yaml"]),
    ],
)
def test_broken_json_is_refused_with_its_place(text: str, words: list[str]) -> None:
    message = refusal(text)
    for word in words:
        assert word in message, message
    assert "f.json:" in message


def test_comments_and_trailing_commas_are_an_option() -> None:
    text = '// head\n{ /* a */ "a": [1, 2,], // b\n  "b": {"c": "// no comment",},\n}\n/* tail */'
    document = read_json(text, "f", comments=True)
    assert document.tree == {"a": [1, 2], "b": {"c": "// no comment"}}
    assert document.marks[("b", "c")] == Mark(3, 9)
    assert "never closed" in refusal('{} /* "', comments=True)
    assert "never closed" in refusal("{} /*/", comments=True)
    assert "no comments" in refusal("{} # x", comments=True)


def test_comments_and_trailing_commas_are_repaired() -> None:
    text = '// head\n{\n  "a": [1, 2,], // b\r\n  "u": "http://x/*y*/",\n}\n'
    plain = plain_json(text, "f")
    assert json.loads(plain) == {"a": [1, 2], "u": "http://x/*y*/"}
    assert plain == '\n{\n  "a": [1, 2],\r\n  "u": "http://x/*y*/"\n}\n'
    repaired = repair(text, "f.json")
    assert repaired is not None
    assert repaired.text == plain
    assert repaired.changes == ("comments and trailing commas removed",)
    assert repair('{"a": }', "f.json") is None


TREES = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(tree=TREES, indent=st.sampled_from([None, 0, 2, "\t"]), ascii_only=st.booleans())
def test_what_the_standard_library_writes_is_read_alike(
    *, tree: dict[str, object], indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    assert same(read_json(text, "f").tree, tree)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    text=st.text(st.sampled_from(list('{}[],:"\\/*# \n\t1-.eEtrufalsn\u00e9')), max_size=30),
    comments=st.booleans(),
)
def test_any_text_is_read_or_refused(*, text: str, comments: bool) -> None:
    try:
        ours = read_json("{" + text, "f", comments=comments).tree
    except ConfigError:
        return
    if not comments:
        theirs = json.loads("{" + text, parse_constant=lambda _: math.nan)
        assert same(ours, theirs)


def test_real_files_read_as_the_standard_library_reads_them() -> None:
    folder = SHARED / "upstream"
    if not folder.is_dir():
        pytest.skip("the upstream files are not here")
    for path in sorted(folder.rglob("*.json")):
        text = path.read_text()
        document = read_json(text, path.name, comments=True)
        assert same(document.tree, json.loads(plain_json(text, path.name))), path
        assert same(read_document(plain_json(text, path.name), "f").tree, document.tree)

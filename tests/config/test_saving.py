"""An edit changes its own lines and nothing else, or it is refused and the file stays as it was."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.config import saving
from workbench.config.findings import Edit
from workbench.config.reading import read_document, read_file
from workbench.config.saving import edit_text, replace_text, save_edits
from workbench.config.scalars import same
from workbench.errors import ConfigError

FILE = """\
# A file with everything
model:   # the model
    hidden_size: 256   # wide
    name: 'abc'  # quoted
    betas:
      # the first
      - 0.9   # a
      - 0.95
    # a last word

training: {lr: 3e-5, steps: 10,}   # flow
data:
empty: {}
text: |
  a
  b

last: "x"
# end
"""


def set_(path: str, value: Any) -> Edit:
    return Edit(path, value)


def remove(path: str) -> Edit:
    return Edit(path, remove=True)


def changed(edit: Edit, text: str = FILE, name: str = "f.yaml") -> tuple[list[str], list[str]]:
    """The lines that an edit took away and the lines that it put there."""
    before, after = text.split("\n"), edit_text(text, [edit], name).split("\n")
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    return before, after


@pytest.mark.parametrize(
    ("edit", "gone", "come"),
    [
        (
            set_("model.hidden_size", 512),
            ["    hidden_size: 256   # wide"],
            ["    hidden_size: 512   # wide"],
        ),
        (
            set_("model.name", "it's"),
            ["    name: 'abc'  # quoted"],
            ["    name: 'it''s'  # quoted"],
        ),
        (set_("model.name", None), ["    name: 'abc'  # quoted"], ["    name: null  # quoted"]),
        (set_("last", 'y"'), ['last: "x"'], ['last: "y\\""']),
        (set_("last", "no"), ['last: "x"'], ['last: "no"']),
        (set_("last", False), ['last: "x"'], ["last: false"]),
        (set_("model.betas", [0.9, 0.99]), ["      - 0.95"], ["      - 0.99"]),
        (set_("model.betas", [0.5]), ["      - 0.9   # a", "      - 0.95"], ["      - 0.5"]),
        (
            set_("model.betas", "none"),
            ["    betas:", "      # the first", "      - 0.9   # a", "      - 0.95"],
            ['    betas: "none"'],
        ),
        (set_("model.new", 3e-5), [], ["    new: 3.0e-05"]),
        (set_("model.on", "off"), [], ['    "on": "off"']),
        (
            set_("model.deep.er", [1, "a b"]),
            [],
            ["    deep:", '        er: [1, "a b"]'],
        ),
        (
            set_("training.lr", 1e-4),
            ["training: {lr: 3e-5, steps: 10,}   # flow"],
            ["training: {lr: 0.0001, steps: 10,}   # flow"],
        ),
        (
            set_("training.new", {"a": [1]}),
            ["training: {lr: 3e-5, steps: 10,}   # flow"],
            ["training: {lr: 3e-5, steps: 10, new: {a: [1]},}   # flow"],
        ),
        (
            set_("training.steps", 10),
            [],
            [],
        ),
        (
            set_("training.lr", 3e-5),  # the same number, as all readers understand it
            ["training: {lr: 3e-5, steps: 10,}   # flow"],
            ["training: {lr: 3.0e-05, steps: 10,}   # flow"],
        ),
        (set_("data.path", "/x y"), [], ['    path: "/x y"']),
        (set_("empty.a", 1), ["empty: {}"], ["empty:", "    a: 1"]),
        (
            set_("text", "one\ntwo"),
            ["text: |", "  a", "  b"],
            ['text: "one\\ntwo"'],
        ),
        (
            set_("model", {"hidden_size": 256, "name": "abd", "betas": [0.9, 0.95]}),
            ["    name: 'abc'  # quoted"],
            ["    name: 'abd'  # quoted"],
        ),
        (
            set_("last", {"a": {"b": 1}}),
            ['last: "x"'],
            ["last:", "    a:", "        b: 1"],
        ),
        (set_("lora.r", 8), [], ["lora:", "    r: 8", ""]),
        (set_("top", 8), [], ["top: 8"]),
        (remove("model.hidden_size"), ["    hidden_size: 256   # wide"], []),
        (
            remove("training.lr"),
            ["training: {lr: 3e-5, steps: 10,}   # flow"],
            ["training: {steps: 10,}   # flow"],
        ),
        (
            remove("training.steps"),
            ["training: {lr: 3e-5, steps: 10,}   # flow"],
            ["training: {lr: 3e-5,}   # flow"],
        ),
        (remove("text"), ["text: |", "  a", "  b"], []),
        (remove("data"), ["data:"], []),
        (remove("nothing.at.all"), [], []),
    ],
)
def test_an_edit_changes_only_its_lines(edit: Edit, gone: list[str], come: list[str]) -> None:
    assert changed(edit) == (gone, come)


def test_equal_values_inside_a_section_are_not_written_again() -> None:
    value = {"lr": 3e-5, "steps": 11}
    assert changed(set_("training", value))[1] == ["training: {lr: 3e-5, steps: 11,}   # flow"]


@pytest.mark.parametrize(
    ("text", "edits", "result"),
    [
        ("", [set_("a.b", 1)], "a:\n  b: 1\n"),
        ("# only words\n", [set_("a.b", 1)], "# only words\na:\n  b: 1\n"),
        ("# only words", [set_("a", 1)], "# only words\na: 1"),
        ("---\na: 1\n...\n", [set_("b", 2)], "---\na: 1\nb: 2\n...\n"),
        ("a: 1", [set_("b.c", 2)], "a: 1\nb:\n  c: 2"),
        ("a: 1\n\n\n", [set_("b", 2)], "a: 1\nb: 2\n\n\n"),
        ("a:\r\n  b: 1\r\nc: 2", [set_("a.d", 3), remove("c")], "a:\r\n  b: 1\r\n  d: 3"),
        ("a: 1\r\nb: 2", [remove("b")], "a: 1"),
        ("\ufeffa: 1\n", [set_("a", 2)], "\ufeffa: 2\n"),
        ("a:\n   b: 1\n", [set_("c.d.e", 1)], "a:\n   b: 1\nc:\n   d:\n      e: 1\n"),
        ("a:\n  b: 1 # c\n", [remove("a.b")], "a: {}\n"),
        ("a: # c\n  # d\n  b: 1\n", [remove("a.b")], "a: {} # c\n  # d\n"),
        ("a:\n  b: 1\n", [remove("a.b"), set_("a.b", 1)], "a:\n  b: 1\n"),
        ("a: 1\n", [remove("a")], ""),
        ("a: 1\n", [remove("a"), set_("a", 1)], "a: 1\n"),
        ("a:\n- 1\n- 2\nb: 3\n", [set_("a", [1, 2, 3])], "a:\n- 1\n- 2\n- 3\nb: 3\n"),
        ("a:\n- 1\n", [set_("a", [])], "a: []\n"),
        ("a: [1,\n    2]  # c\n", [set_("a", [1, 5])], "a: [1,\n    5]  # c\n"),
        ("a: word\n  goes on\nb: 1\n", [set_("a", "x")], "a: x\nb: 1\n"),
        ("a: >-\n  x\n  y\n\nb: 1\n", [set_("a", "z")], "a: z\n\nb: 1\n"),
        ("a:\n  k: |\n    # text\n", [set_("a.l", 1)], "a:\n  k: |\n    # text\n  l: 1\n"),
        ("a: ~\n", [set_("a.b", 1)], "a:\n  b: 1\n"),
        ("a: null # c\n", [set_("a.b", 1)], "a: # c\n  b: 1\n"),
        ("'a': 1\n\"b\": 2\n", [set_("a", 3), remove("b")], "'a': 3\n"),
        ("a.b: 1\n", [set_("a.b", 2)], "a.b: 2\n"),
        ("a.b: 1\n", [remove("a.b"), set_("a.b", 2)], "a:\n  b: 2\n"),
        ("{a: 1, b: {c: 2}}", [set_("b.d", 3), remove("a")], "{b: {c: 2, d: 3}}"),
        (
            "m: {\n  a: 1, # c\n  b: 2 # d\n}\n",
            [set_("m.c", 3)],
            "m: {\n  a: 1, # c\n  b: 2, # d\n  c: 3\n}\n",
        ),
        ("m: {\n  a: 1, # c\n  b: 2 # d\n}\n", [remove("m.b")], "m: {\n  a: 1 # c\n}\n"),
        ("m: {a: 1}\n", [remove("m.a")], "m: {}\n"),
        ("m: {}\n", [set_("m", {})], "m: {}\n"),
        ("m:\n  a: 1\nn: 1\n", [set_("m", {})], "m: {}\nn: 1\n"),
        ("a: &x 1\nb: *x\n", [set_("b", 2)], "a: &x 1\nb: 2\n"),
        ("a: &x 1\n", [set_("a", 2)], "a: &x 2\n"),
        ("a: &x [1]\nb: *x\n", [set_("b", [2])], "a: &x [1]\nb: [2]\n"),
        ("a: &x {k: 1}\nb: *x\n", [set_("b", {"k": 2})], "a: &x {k: 1}\nb:\n  k: 2\n"),
        ("a: &x {k: 1}\nb:\n  <<: *x\n", [set_("b.k", 2)], "a: &x {k: 1}\nb:\n  <<: *x\n  k: 2\n"),
        ("a:\tb  # c\n", [set_("a", "d")], "a:\td  # c\n"),
        ("a: no\n", [set_("a", "no")], 'a: "no"\n'),
        ("a: 010\n", [set_("a", 10)], "a: 10\n"),
        ("a: (1, 2)\n", [set_("a", (1, 2))], "a: [1, 2]\n"),
        ("a: 1\n", [set_("a", math.inf)], "a: .inf\n"),
    ],
)
def test_unusual_files(text: str, edits: list[Edit], result: str) -> None:
    assert edit_text(text, edits, "f.yaml") == result


@pytest.mark.parametrize(
    ("text", "edit", "words"),
    [
        (
            "x: 1\na: &x 1\nb: *x\n",
            set_("a", 2),
            ["a cannot be changed here", "f.yaml:2", "by hand"],
        ),
        ("a: &x {k: 1}\nb: *x\n", set_("b.k", 2), ["b.k", "alias"]),
        ("a: &x {k: 1}\nb:\n  <<: *x\n", remove("b.k"), ["b.k", "merge"]),
        ("a: [1, 2]\n", set_("a.0", 5), ["'a' is a list", "as a whole"]),
        ("a: 1\n", set_("a..b", 5), ["'a..b' is no key"]),
        ("a: 1\n", set_("", 5), ["'' is no key"]),
        ("a: 1\n", set_("a", object()), ["cannot hold a object"]),
        ("a: 1\n", set_("a", {1: 2}), ["cannot hold a dict"]),
        ("a: |+\n  x\n\n\n", set_("b", 5), ["b cannot be changed here"]),
        ("a: 1\na: 2\n", set_("a", 5), ["stands twice"]),
        ("? a\n: b: 1\n", remove("a.b"), ["a.b cannot be changed here", "by hand"]),
        ("? a\n", set_("a", 1), ["a cannot be changed here", "by hand"]),
    ],
)
def test_what_cannot_be_done_alone_is_refused(text: str, edit: Edit, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        edit_text(text, [edit], "f.yaml")
    for word in words:
        assert word in caught.value.render(), caught.value.render()


# JSON

JSON = """\
{
  "batch": 32,\x20
  "optimizer": {"type": "AdamW", "params": {"lr": 3e-5}},
  "zero": {
    "stage": 2,
    "buckets": [1, 2]
  }
}
"""


@pytest.mark.parametrize(
    ("edit", "gone", "come"),
    [
        (set_("batch", 64), ['  "batch": 32, '], ['  "batch": 64, ']),
        (set_("batch", 32), [], []),
        (set_("zero.stage", 'a"b'), ['    "stage": 2,'], ['    "stage": "a\\"b",']),
        (set_("zero.buckets", [1, 3]), ['    "buckets": [1, 2]'], ['    "buckets": [1, 3]']),
        (set_("zero.buckets", None), ['    "buckets": [1, 2]'], ['    "buckets": null']),
        (
            set_("zero.new", 1e-8),
            ['    "buckets": [1, 2]'],
            ['    "buckets": [1, 2],', '    "new": 1.0e-08'],
        ),
        (
            set_("optimizer.params.eps", True),
            ['  "optimizer": {"type": "AdamW", "params": {"lr": 3e-5}},'],
            ['  "optimizer": {"type": "AdamW", "params": {"lr": 3e-5, "eps": true}},'],
        ),
        (set_("a.b", 1), [], ["  },", '  "a": {', '    "b": 1']),
        (remove("zero.stage"), ['    "stage": 2,'], []),
        (
            remove("zero.buckets"),
            ['    "stage": 2,', '    "buckets": [1, 2]'],
            ['    "stage": 2'],
        ),
        (
            remove("optimizer.type"),
            ['  "optimizer": {"type": "AdamW", "params": {"lr": 3e-5}},'],
            ['  "optimizer": {"params": {"lr": 3e-5}},'],
        ),
        (remove("batch"), ['  "batch": 32, '], []),
    ],
)
def test_an_edit_of_json_changes_only_its_lines(
    edit: Edit, gone: list[str], come: list[str]
) -> None:
    assert changed(edit, JSON, "f.json") == (gone, come)


@pytest.mark.parametrize(
    ("text", "edits", "result"),
    [
        ('{"a":1}', [set_("b", 2)], '{"a":1, "b":2}'),
        ("{}", [set_("b.c", 2)], '{\n  "b": {\n    "c": 2\n  }\n}'),
        ("", [set_("b", 2)], '{\n  "b": 2\n}\n'),
        ('{\r\n\t"a": 1\r\n}', [set_("b", [])], '{\r\n\t"a": 1,\r\n\t"b": []\r\n}'),
        ('{"a": {\n}}', [set_("a.b", 2)], '{"a": {"b": 2\n}}'),
        ('\ufeff{"a": 1}', [remove("a")], "\ufeff{}"),
        ('{"a": "é"}', [set_("a", "ü\n")], '{"a": "ü\\n"}'),
    ],
)
def test_unusual_json(text: str, edits: list[Edit], result: str) -> None:
    assert edit_text(text, edits, "f.json") == result


def test_commented_json_keeps_its_comments() -> None:
    text = '{\n  "a": 1, // x\n  "b": 2, // y\n  /* z */\n}\n'
    edited = edit_text(text, [set_("c", 3), set_("a", 5), remove("b")], "f.jsonc")
    assert edited == '{\n  "a": 5, // x\n  "c": 3,\n  /* z */\n}\n'


def test_json_cannot_hold_what_is_no_number() -> None:
    with pytest.raises(ConfigError, match=r"JSON has no number \.nan"):
        edit_text("{}", [set_("a", math.nan)], "f.json")


# Random files


@dataclass
class Line:
    """A line of a generated file: the key that it belongs to, and what surrounds its value."""

    text: str
    owner: tuple[str, ...] = ()
    head: str = ""
    tail: str = ""


@dataclass
class Made:
    """A generated file and what it says."""

    lines: list[Line] = field(default_factory=list)
    tree: dict[str, Any] = field(default_factory=dict)
    single: list[tuple[str, ...]] = field(default_factory=list)  # values on one line of their own
    eol: str = "\n"
    mark: str = ""
    ends: bool = True

    @property
    def text(self) -> str:
        body = self.eol.join(line.text for line in self.lines)
        return self.mark + body + (self.eol if self.ends else "")


NAMES = ["alpha", "beta_2", "lr", "path", "on", "'quoted'", '"two words"', "x-y", "n", "é", "8"]
SCALARS: list[tuple[str, Any]] = [
    *(("3e-5", 3e-5), ("1.0e-4", 1e-4), ("12", 12), ("010", 10), ("1_000", 1000), ("0.5", 0.5)),
    *(("true", True), ("null", None), ("~", None), ("word", "word"), ("two words", "two words")),
    *(
        ("'it''s # no'", "it's # no"),
        ('"a\\tb: c"', "a\tb: c"),
        ("a/b.txt", "a/b.txt"),
        ("no", "no"),
    ),
    *(
        ("[1, 2]", [1, 2]),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
    ),
    *(("{ a: 1, }", {"a": 1}), ("{}", {}), ("[]", []), ("http://x.y#z", "http://x.y#z")),
]
COMMENTS = ["# a word", "#", "# key: value", "#- item", "# “quoted” — é"]
VALUES = st.one_of(
    st.sampled_from(
        [0, 1, -5, 3e-5, 1e16, 0.25, True, False, None, "word", "no", "a: b", "it's", "é"]
    ),
    st.sampled_from(
        [[0.9, 0.95], [], ["a b"], {"k": 1}, {"k": {"l": "x"}}, {}, "line\nbreak", "# x"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.floats(allow_nan=False),
    st.integers(),
)


def _bare(name: str) -> str:
    return name.strip("'\"")


@st.composite
def files(draw: st.DrawFn) -> Made:
    made = Made(
        eol=draw(st.sampled_from(["\n", "\r\n"])),
        mark=draw(st.sampled_from(["", "", "\ufeff"])),
        ends=draw(st.booleans()),
    )
    width = draw(st.sampled_from([2, 4, 3]))
    _mapping(draw, made, made.tree, (), 0, width)
    for _ in range(draw(st.integers(0, 2))):
        made.lines.append(Line(draw(st.sampled_from(["", *COMMENTS]))))
    return made


def _mapping(
    draw: st.DrawFn,
    made: Made,
    tree: dict[str, Any],
    path: tuple[str, ...],
    indent: int,
    width: int,
) -> None:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique_by=_bare))
    for name in names:
        here = (*path, _bare(name))
        pad = " " * indent
        if draw(st.integers(0, 3)) == 0:
            made.lines.append(
                Line(draw(st.sampled_from(["", pad + "# about", " ", pad + "#x: 1"])))
            )
        gap = draw(st.sampled_from([" ", " ", "   "]))
        tail = draw(st.sampled_from(["", "", "  # why", " # key: 1", "   "]))
        kind = draw(
            st.sampled_from(["scalar"] * 5 + ["section"] * 3 + ["list", "literal", "empty"])
        )
        if kind == "section" and len(path) < 2:
            made.lines.append(Line(f"{pad}{name}:{tail}", here))
            tree[here[-1]] = {}
            _mapping(draw, made, tree[here[-1]], here, indent + width, width)
        elif kind == "list":
            items = draw(
                st.lists(st.sampled_from([i for i in SCALARS if i[0]]), min_size=1, max_size=3)
            )
            inner = pad + draw(st.sampled_from(["", "  "]))
            made.lines.append(Line(f"{pad}{name}:{tail}", here))
            for text, _ in items:
                made.lines.append(
                    Line(f"{inner}- {text}{draw(st.sampled_from(['', ' # item']))}", here)
                )
            tree[here[-1]] = [copy.deepcopy(value) for _, value in items]
        elif kind == "literal":
            made.lines.append(Line(f"{pad}{name}:{gap}|-", here))
            made.lines.append(Line(f"{pad}  first # no comment", here))
            made.lines.append(Line(f"{pad}  second", here))
            tree[here[-1]] = "first # no comment\nsecond"
        elif kind == "empty":
            made.lines.append(Line(f"{pad}{name}:{tail}", here))
            tree[here[-1]] = None
        else:
            text, value = draw(st.sampled_from(SCALARS))
            head = f"{pad}{name}:{gap}"
            made.lines.append(Line(f"{head}{text}{tail}", here, head, tail))
            made.single.append(here)
            tree[here[-1]] = copy.deepcopy(value)


def _paths(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in tree.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += _paths(value, (*path, key))
    return found


@st.composite
def edits(draw: st.DrawFn, tree: dict[str, Any]) -> tuple[tuple[str, ...], Edit]:
    known = _paths(tree)
    action = draw(st.sampled_from(["set", "set", "remove", "add", "add"])) if known else "add"
    if action == "add":
        section = draw(
            st.sampled_from(
                [(), ("fresh",), ("fresh", "er"), *(p for p in known if _is_section(tree, p))]
            )
        )
        path = (*section, draw(st.sampled_from(["added", "on2", "new_key"])))
        return path, Edit(".".join(path), draw(VALUES))
    path = draw(st.sampled_from(known))
    if action == "remove":
        return path, Edit(".".join(path), remove=True)
    return path, Edit(".".join(path), draw(VALUES))


def _is_section(tree: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        tree = tree[part]
    return isinstance(tree, dict) or tree is None


def _apply(tree: dict[str, Any], path: tuple[str, ...], edit: Edit) -> None:
    here = tree
    for part in path[:-1]:
        if not isinstance(here.get(part), dict):
            here[part] = {}
        here = here[part]
    if edit.remove:
        del here[path[-1]]
    else:
        here[path[-1]] = copy.deepcopy(edit.value)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_random_edits_of_random_files_touch_only_their_lines(data: st.DataObject) -> None:
    made = data.draw(files())
    assume(made.eol in made.text)  # else the file does not say how it ends its lines
    assert same(read_document(made.text, "f.yaml").tree, made.tree)
    path, edit = data.draw(edits(made.tree))
    edited = edit_text(made.text, [edit], "f.yaml")

    expected = copy.deepcopy(made.tree)
    _apply(expected, path, edit)
    assert same(read_document(edited, "f.yaml").tree, expected)

    # The envelope: byte order mark, line breaks, and whether the last line has one.
    assert edited.startswith("\ufeff") == bool(made.mark)
    body = edited.removeprefix("\ufeff")
    assert len(re.findall("\r\n", body)) == (body.count("\n") if made.eol == "\r\n" else 0)
    if not edit.remove:
        assert body.endswith(made.eol) == made.text.endswith(made.eol)

    # The lines: what does not belong to the edit stands there as before, in the same order.
    after = body.split(made.eol)
    rest = iter(after)
    kept = [line.text for line in _untouchable(made, path, expected)]
    assert all(text in rest for text in kept), (path, made.text, edited)
    if not edit.remove and path not in _paths(made.tree):
        new = sum(1 for part in range(len(path)) if path[: part + 1] not in _paths(made.tree))
        nested = len(_paths(edit.value)) if isinstance(edit.value, dict) else 0
        assert len(after) <= made.text.count(made.eol) + 1 + new + nested + 1  # a blank line
    if (
        path in made.single
        and not edit.remove
        and not (isinstance(edit.value, dict) and edit.value)
    ):
        index = next(i for i, line in enumerate(made.lines) if line.owner == path)
        head, tail = made.lines[index].head, made.lines[index].tail
        assert after[index].startswith(head)
        assert after[index].endswith(tail)


def _untouchable(made: Made, path: tuple[str, ...], expected: dict[str, Any]) -> list[Line]:
    """The lines that an edit of `path` has no reason to change."""
    owned = [i for i, line in enumerate(made.lines) if line.owner[: len(path)] == path]
    inside = range(owned[0], owned[-1] + 1) if owned else range(0)
    return [
        line
        for index, line in enumerate(made.lines)
        if index not in inside and not _opens_or_closes(made, line, path, expected)
    ]


def _opens_or_closes(
    made: Made, line: Line, path: tuple[str, ...], expected: dict[str, Any]
) -> bool:
    """Whether the line is a section of the edited key: in braces, or empty before or after."""
    if not line.owner or path[: len(line.owner)] != line.owner:
        return False
    return "{" in line.text or not _at(made.tree, line.owner) or not _at(expected, line.owner)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_many_edits_in_a_row_give_the_edited_tree(data: st.DataObject) -> None:
    made = data.draw(files())
    expected = copy.deepcopy(made.tree)
    sequence = []
    for _ in range(data.draw(st.integers(1, 5))):
        path, edit = data.draw(edits(expected))
        _apply(expected, path, edit)
        sequence.append(edit)
    edited = edit_text(made.text, sequence, "f.yaml")
    assert same(read_document(edited, "f.yaml").tree, expected)
    for line in reversed(made.lines):  # no edit reaches the comments below the last key
        if line.owner:
            break
        assert line.text in edited.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


JSON_TREES = st.dictionaries(
    st.sampled_from(["a", "b c", "é", "lr"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from([3e-5, "x", "é"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "k", "on"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(JSON_TREES, st.sampled_from([None, 2, 4, "\t"]), st.sampled_from(["\n", "\r\n"]), st.data())
def test_random_edits_of_json(
    tree: dict[str, Any], indent: int | str | None, eol: str, data: st.DataObject
) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False).replace("\n", eol)
    path, edit = data.draw(edits(tree))
    assume(not (isinstance(edit.value, float) and math.isinf(edit.value)))
    expected = copy.deepcopy(tree)
    _apply(expected, path, edit)
    edited = edit_text(text, [edit], "f.json")
    assert same(json.loads(edited), expected)
    assert edited.replace("\r\n", "").count("\n") == (0 if eol == "\r\n" else edited.count("\n"))
    before, after = text.split(eol), edited.split(eol)
    kept = [line for line in before if line in after]
    if indent is not None and not isinstance(_at(tree, path), dict | list):
        # Its own line; a comma comes or goes beside it, an empty section opens or closes.
        assert len(before) - len(kept) <= 3, (text, edited)


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


# Files on disk


def test_the_file_keeps_its_mode_its_link_and_its_bytes(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbfa: 1  # \xc3\xa9\r\nb: 2")
    real.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to("real.yaml")
    save_edits(link, [set_("b", 3)])
    assert real.read_bytes() == b"\xef\xbb\xbfa: 1  # \xc3\xa9\r\nb: 3"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_an_edit_that_changes_nothing_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n")
    before = path.stat()
    save_edits(path, [set_("a", 1), remove("b")], "a: 1\n")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n")
    text = read_file(path).text
    path.write_text("a: 5  # by somebody else\n")
    with pytest.raises(ConfigError, match="changed on disk"):
        save_edits(path, [set_("a", 2)], text)
    assert path.read_text() == "a: 5  # by somebody else\n"


def test_a_file_that_changes_while_it_is_saved_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n")

    def meanwhile(text: str, edits: list[Edit], name: str) -> str:
        path.write_text("a: 55\n")
        return edit_text(text, edits, name)

    monkeypatch.setattr(saving, "edit_text", meanwhile)
    with pytest.raises(ConfigError, match="changed on disk"):
        save_edits(path, [set_("a", 2)])
    assert path.read_text() == "a: 55\n"
    assert [item.name for item in tmp_path.iterdir()] == ["f.yaml"]


@pytest.mark.parametrize("failing", ["fsync", "fchmod"])
def test_a_save_that_fails_leaves_the_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(ConfigError) as caught:
        save_edits(path, [set_("a", 2)])
    assert "No space left on device" in caught.value.render()
    assert path.read_text() == "a: 1\n"
    assert [item.name for item in tmp_path.iterdir()] == ["f.yaml"]


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_args: False)  # root may write everything
    with pytest.raises(ConfigError, match="may not be written"):
        save_edits(path, [set_("a", 2)])
    assert path.read_text() == "a: 1\n"


def test_a_refused_edit_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: &x 1\nb: *x\n")
    with pytest.raises(ConfigError, match="without changing something else"):
        save_edits(path, [set_("c", 1), set_("a", 2)])
    assert path.read_text() == "a: &x 1\nb: *x\n"


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config file"):
        save_edits(tmp_path / "f.yaml", [set_("a", 1)])
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("a: 1\n")
    backup = replace_text(path, "a: 2\n", expected_text="a: 1\n")
    assert (path.read_text(), backup.read_text()) == ("a: 2\n", "a: 1\n")
    with pytest.raises(ConfigError, match="nothing was written"):
        replace_text(path, "a: 3\n", expected_text="a: 2\n")
    assert path.read_text() == "a: 2\n"
    with pytest.raises(ConfigError, match="changed on disk"):
        replace_text(path, "a: 3\n", expected_text="a: 1\n")

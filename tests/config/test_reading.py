"""Every file ends in values with their places, or in one sentence that says what to do."""

from __future__ import annotations

import errno
import math
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config import notes
from workbench.config.document import ListNode, MappingNode, ScalarNode
from workbench.config.layers import compose, load
from workbench.config.origins import Mark
from workbench.config.reading import (
    MAX_BYTES,
    decode,
    read_document,
    read_file,
    read_text,
    read_yaml,
)
from workbench.config.repairs import repair
from workbench.config.scalars import quote, resolve, resolve_1_1, same, spell
from workbench.errors import ConfigError


def refusal(call: Callable[..., object], *args: Any) -> str:
    """The rendered message of the refusal that `call` must end in."""
    with pytest.raises(ConfigError) as caught:
        call(*args)
    return caught.value.render()


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-5", 3e-5),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0", 0),
        ("+12", 12),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1_0.5", 10.5),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20 10:00:00", "2026-11-20 10:00:00"),
        ("0b11", "0b11"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("None", "None"),
        ("null", None),
        ("~", None),
        ("nan", "nan"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1e400", "1e400"),
        ("1e", "1e"),
        ("-", "-"),
        (".", "."),
        ("_1", "_1"),
        ("1__", 1),
        ("٣", "٣"),
        ("=", "="),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    assert same(resolve(text), value)
    assert same(read_yaml(f"a: {text}\n" if text != "-" else "a: '-'\n", "f").tree["a"], value)


def test_nan_is_read_and_equal_to_itself_only_here() -> None:
    tree = read_yaml("a: .nan\n", "f").tree
    assert math.isnan(tree["a"])
    assert same(tree, {"a": math.nan})


def test_equality_is_strict() -> None:
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"b": 1})


@pytest.mark.parametrize(
    "value",
    [
        *(3e-5, 1e-8, 1e16, 5e-324, 1e308, 0.1, -2.5, 1.0, math.inf, -math.inf, math.nan),
        *(0, -7, 2**70, True, False, None),
        *(
            "",
            "no",
            "Yes",
            "on",
            "y",
            "null",
            "~",
            "12:30",
            "2026-01-01",
            "1_000",
            "0b1",
            "=",
            "<<",
        ),
        *(
            "a b",
            "a: b",
            "a #b",
            "- a",
            "[a]",
            "{a}",
            "é",
            "“q”",
            "tab\t",
            "line\nbreak",
            "\x07",
            " a ",
        ),
        *(
            "it's",
            '"',
            "\\",
            "C:\\x",
            "\u2028",
            "\x85",
            "\ufeff",
            "😀",
            "a,b",
            "&a",
            "*a",
            "!a",
            "%a",
        ),
        *("@a", "`a", "1e5", "3e-5", "0o7", ".5", "-", "?", ":", "a:", "|", ">", "'a'", "/a/b.txt"),
    ],
)
def test_what_we_write_reads_alike_in_yaml_1_1_and_1_2(value: object) -> None:
    for spelled in (spell(value), quote(value) if isinstance(value, str) else spell(value)):  # type: ignore[arg-type]
        text = f"a: {spelled}\nb: [{spelled}, 1]\nc: {{k: {spelled}}}\n"
        for tree in (read_yaml(text, "f").tree, yaml.safe_load(text)):
            assert same(tree, {"a": value, "b": [value, 1], "c": {"k": value}}), text


# Places


def test_every_key_and_item_has_its_place() -> None:
    text = "# top\nmodel:\n  size: 12\n  betas:\n    - 0.9\n    - 0.95\nx: {y: 1}\n"
    document = read_yaml(text, "f")
    assert document.marks[("model",)] == Mark(2, 1)
    assert document.marks[("model", "size")] == Mark(3, 3)
    assert document.marks[("model", "betas", 1)] == Mark(6, 7)
    assert document.marks[("x", "y")] == Mark(7, 5)
    node = document.node(("model", "size"))
    assert isinstance(node, ScalarNode)
    assert text[node.start : node.end] == "12"
    assert (node.line, node.column) == (3, 9)


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spans_are_exact_for_every_notation(eol: str, mark: str) -> None:
    lines = [
        "é: ü😀  # c",
        "'q k': 'it''s'",
        'd: "x\\ty"',
        "n:   # nothing",
        "b: |",
        "  line",
        "",
        "l: [1, {a: 2}, ]",
        "s:",
        "- 3e-5",
        "- &anchor word",
        "m: *anchor",
        "deep:",
        "    inner: {",
        "      k: v }  # end",
    ]
    document = read_yaml(mark + eol.join(lines), "f")
    seen = {
        path: document.text[node.start : node.end]
        for path in document.marks
        if (node := document.node(path)) is not None
    }
    assert seen[("é",)] == "ü😀"
    assert seen[("q k",)] == "'it''s'"
    assert seen[("d",)] == '"x\\ty"'
    assert seen[("n",)] == ""
    assert seen[("b",)] == f"|{eol}  line"
    assert seen[("l",)] == "[1, {a: 2}, ]"
    assert seen[("l", 1, "a")] == "2"
    assert seen[("s", 0)] == "3e-5"
    assert seen[("s", 1)] == "word"
    assert seen[("m",)] == "*anchor"
    assert seen[("deep", "inner")] == f"{{{eol}      k: v }}"
    assert document.root is not None
    for entry in document.root.entries:
        written = document.text[entry.start : entry.end]
        assert written.strip("'") == entry.key
        assert document.text.split(eol)[entry.line - 1][entry.column - 1 :].startswith(written)
    assert isinstance(document.node(("deep",)), MappingNode)
    assert isinstance(document.node(("s",)), ListNode)
    assert document.node(("s", 7)) is None
    assert document.node(("nothing",)) is None


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n", "~", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert read_yaml(text, "f").tree == {}


def test_line_endings_and_byte_order_mark_do_not_change_the_values() -> None:
    text = "a: 1\nb:\n  c: [x, y]\n  d: |\n    t\n"
    expected = read_yaml(text, "f").tree
    assert read_yaml(text.replace("\n", "\r\n"), "f").tree == expected
    assert read_yaml(decode(b"\xef\xbb\xbf" + text.encode(), "f"), "f").tree == expected


# Aliases and merge keys


def test_aliases_are_followed() -> None:
    tree = read_yaml("a: &a {x: 1, y: [2]}\nb: *a\nc: [*a]\n", "f").tree
    assert tree["b"] == tree["a"] == tree["c"][0]
    assert tree["b"] is not tree["a"]


def test_merge_keys_fill_what_a_mapping_does_not_say() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  x: 0\n  <<: [*a, *b]\nd: {<<: *a}\n"
    document = read_yaml(text, "f")
    assert document.tree["c"] == {"x": 0, "y": 2, "z": 4}
    assert document.tree["d"] == {"x": 1, "y": 2}
    assert document.marks[("c", "z")] == Mark(2, 14)
    assert read_yaml('"<<": 1\n', "f").tree == {"<<": 1}


# Refusals


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", ["'a' stands twice", "line 1", "line 3", "f:3"]),
        ("m:\n  a: 1\n  'a': 2\n", ["'m.a' stands twice", "line 2", "f:3"]),
        ("m: {a: 1, b: 2,\n a: 3}\n", ["'m.a' stands twice", "f:2"]),
        ("x: &x {k: 1}\na:\n  <<: *x\n  <<: *x\n", ["'a.<<' stands twice", "f:4"]),
        ("a: 1\n---\nb: 2\n", ["several YAML documents", "f:2"]),
        ("a: 1\n...\n---\n", ["several YAML documents", "f:3"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["tag", "os.system", "f:1"]),
        ("a: 1\nb: !secret x\n", ["tag '!secret'", "f:2"]),
        ("!!map {a: 1}\n", ["tag '!!map'", "f:1"]),
        ("!!str a: 1\n", ["tag '!!str'", "f:1"]),
        ("? [a, b]\n: 1\n", ["a key must be a word", "f:1"]),
        ("a: 1\n? {b: 1}\n: 1\n", ["a key must be a word", "f:2"]),
        ("a: &x 1\n*x : 2\n", ["a key must be a word", "f:2"]),
        ("a: {: 1}\n", ["a key or a value is missing", "f:1"]),
        ("? |\n  a\n: 1\n", ["key", "f:1"]),
        ("&k a: 1\n", ["anchor", "f:1"]),
        ("a: *b\n", ["no anchor &b", "f:1"]),
        ("a: &a [1, *a]\n", ["inside its own anchor", "f:1"]),
        ("a: {<<: 3}\n", ["'<<' merges mappings", "f:1"]),
        ("a: {<<: [3]}\n", ["'<<' merges mappings", "f:1"]),
        ("- a\n", ["a mapping of sections", "f:1"]),
        ("\n\nword\n", ["a mapping of sections", "f:3"]),
        ("a:\n\tb: 1\n", ["indented with a tab", "f:2", "spaces"]),
        ("\ta: 1\n", ["indented with a tab", "f:1"]),
        ("a:\n  - 1\n\t- 2\n", ["tab", "f:3"]),
        ("a:\n\u00a0\u00a0b: 1\n", ["no-break spaces", "f:2"]),
        ("a:\n  b: 1\n  \u00a0c: 2\n", ["no-break spaces", "f:3"]),
        ("a\u200bb: 1\n", ["'ab'", "U+200B", "f:1"]),
        ("a:\u00a01\nb: 2\n", ["U+00A0", "only looks like a space"]),
        ("# a \u2028b: 1\n", ["U+2028", "f:1"]),
        ("a: x\u0085b: 1\n", ["U+0085", "f:1"]),
        ("a: 1\nb: \u009d\n", ["U+009D", "f:2", "Windows-1252"]),
        ("a: \x07\n", ["U+0007", "f:1"]),
        ("a: \ud800\n", ["U+D800", "f:1"]),
        ("a: 'open\n", ["never closed", "opens in line 1"]),
        ("x: 1\na: [1,\n2\n", ["bracket", "opens in line 2"]),
        ("a: {b: 1\nc: 2\n", ["braces"]),
        ("a: 1\n b: 2\n", ["f:2", "indented too far"]),
        ("a:\n    b: 1\n  c: 2\n", ["f:3", "indentation"]),
        ("a: `x`\n", ["cannot start with '`'", "f:1", "quotes"]),
        ("a: @x\n", ["cannot start with '@'"]),
        ('a: "\\q"\n', ["backslash", "f:1"]),
        ("a: - 1\n", ["list item", "f:1"]),
        ("%YAML 3.0\n---\na: 1\n", ["f:1"]),
    ],
)
def test_broken_yaml_is_refused_with_its_line(text: str, words: list[str]) -> None:
    message = refusal(read_yaml, text, "f")
    for word in words:
        assert word in message, message


def test_a_missing_line_break_is_named_with_its_two_halves() -> None:
    text = "a:\n  b:\n    c: falseperformance:\n  d: 1\n"
    message = refusal(read_yaml, text, "f")
    assert "f:3" in message
    assert "'c: false'" in message
    assert "'performance:'" in message
    repaired = repair(text, "f.yaml")
    assert repaired is not None
    assert repaired.changes == ("line 3 became 'c: false' and 'performance:'",)
    assert read_yaml(repaired.text, "f").tree == {"a": {"b": {"c": False}}, "performance": {"d": 1}}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a: 32b: 3\n", {"a": 32, "b": 3}),
        ("a: 3e-5epochs: 3\n", {"a": 3e-5, "epochs": 3}),
        ("a:\n  m: 20.0p:\n    x: 1\n", {"a": {"m": 20.0, "p": {"x": 1}}}),
        ("a: 'x'b: [1]\r\nc: 1", {"a": "x", "b": [1], "c": 1}),
        ("a:\n\tb: 1\n\tc:\n\t\td: 2\n", {"a": {"b": 1, "c": {"d": 2}}}),
        ("a:\n    k: 1\nb:\n\tc: 1\n", {"a": {"k": 1}, "b": {"c": 1}}),
        ("a:\n\u00a0\u00a0b: 1\n", {"a": {"b": 1}}),
    ],
)
def test_mechanical_faults_are_repaired(text: str, tree: dict[str, object]) -> None:
    refusal(read_yaml, text, "f")
    repaired = repair(text, "f.yaml")
    assert repaired is not None
    assert read_yaml(repaired.text, "f").tree == tree


@pytest.mark.parametrize("text", ["a: 1\n", "a: [\n", "a: b: c\n", ""])
def test_nothing_is_repaired_without_need_or_certainty(text: str) -> None:
    assert repair(text, "f.yaml") is None


def test_the_broken_presets_of_ava_are_repaired() -> None:
    folder = SHARED / "upstream/ava/code/configs/gpu"
    if not folder.is_dir():
        pytest.skip("the upstream files are not here")
    for name, line in (("tiny", 170), ("base", 130)):
        text = (folder / f"{name}.yaml").read_text()
        message = refusal(read_yaml, text, "f")
        assert f"f:{line}" in message
        assert "'performance:'" in message
        repaired = repair(text, "f.yaml")
        assert repaired is not None
        assert isinstance(read_yaml(repaired.text, "f").tree["performance"], dict)


# Hostile files


def _laughs(levels: int, each: str) -> str:
    lines = [f"a0: &a0 {each}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def _merges(levels: int) -> str:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


HOSTILE = {
    "billion laughs": (_laughs(12, "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"), "aliases count"),
    "billion merges": (_merges(12), "aliases count"),
    "long text, many aliases": (
        "a: &a " + "x" * 400_000 + "\nb: [" + "*a, " * 60_000 + "]\n",
        "aliases",
    ),
    "alias chain": (
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000)),
        "nested deeper",
    ),
    "merge chain": (
        "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 2000)),
        "nested deeper",
    ),
    "brackets": ("a: " + "[" * 500_000, "nested deeper"),
    "braces": ("{a: " * 200_000, "nested deeper"),
    "dashes": ("- " * 400_000, "nested deeper"),
    "indentation": ("".join(" " * n + "a:\n" for n in range(1000)), "nested deeper"),
    "many keys": ("".join(f"k{n}: 1\n" for n in range(60_000)), "more than"),
    "json brackets": ('{"a": ' + "[" * 500_000, "nested deeper"),
    "json numbers": ('{"a": [' + "1," * 60_000 + "1]}", "more than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_neither_time_nor_memory(name: str) -> None:
    text, word = HOSTILE[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    message = refusal(read_document, text, "f.json" if name.startswith("json") else "f.yaml")
    assert time.process_time() - start < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    assert word in message


# Files


def test_wrong_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle.yaml").symlink_to(tmp_path / "circle.yaml")
    with (tmp_path / "huge.yaml").open("wb") as stream:
        stream.truncate(5_000_000_000)
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, words in {
        "pipe.yaml": "a pipe, not a config",
        "folder.yaml": "a folder, not a config",
        "dangling.yaml": "no such config file",
        "circle.yaml": "cannot be read",
        "huge.yaml": "5,000,000,000 bytes",
        "large.yaml": "at most 1,000,000",
        "nothing.yaml": "no such config file",
        "x" * 300 + ".yaml": "cannot be read",
        "folder.yaml/x.yaml": "no such config file",
    }.items():
        message = refusal(read_text, tmp_path / name)
        assert words in message, message
        assert name in message
    assert "a device" in refusal(read_text, Path("/dev/zero"))
    assert "cannot be the name of a file" in refusal(read_text, tmp_path / "a\0b.yaml")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s.yaml")
        assert "a socket" in refusal(read_text, Path("s.yaml"))


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1\n")

    def refuse(*_args: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    assert "Permission denied" in refusal(read_text, path)


def test_a_file_of_proc_is_bounded_although_it_says_zero_bytes() -> None:
    with pytest.raises(ConfigError):
        read_file(Path("/proc/self/environ"))  # separated by NULs


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a: 1\nb: \xe9\n", ["not UTF-8", "0xe9", ":2", "iconv"]),
        (b"a: 1\nb: x\0y\n", ["binary", ":2"]),
        ("a: 1\n".encode("utf-16"), ["UTF-16"]),
        ("a: 1\n".encode("utf-16-le"), ["UTF-16"]),
        ("a: 1\n".encode("utf-16-be"), ["UTF-16"]),
        ("a: 1\n".encode("utf-32"), ["UTF-32"]),
        (b"\x80\x02}q\x00.", ["binary"]),
        (b"PK\x03\x04\x00\x00", ["binary"]),
        (b"\xed\xa0\x80", ["not UTF-8"]),
    ],
)
def test_other_encodings_and_binaries_are_named(raw: bytes, words: list[str]) -> None:
    message = refusal(decode, raw, "f")
    for word in words:
        assert word in message, message


def test_the_format_follows_the_extension_then_the_content() -> None:
    assert read_document('{"a": 1}', "f.json").format == "json"
    assert read_document('{"a": 1}', "f").format == "json"
    assert read_document("{a: 1}", "f").format == "yaml"
    assert read_document("a: 1", "f").format == "yaml"
    assert read_document("a: 1", "f.YML").format == "yaml"
    assert read_document('{"a": yes}', "f.yaml").tree == {"a": "yes"}
    assert read_document('{\n\t"a": 1e5\n}', "f.yaml").tree == {"a": 1e5}
    assert read_document('{"a": 1, // why\n}', "f.jsonc").tree == {"a": 1}
    assert "call the file .yaml" in refusal(read_document, "a: 1", "f.json")


# Notes


@pytest.mark.parametrize(
    ("written", "ours", "theirs", "fix"),
    [
        ("3e-5", "the number 3.0e-05", "text", "3.0e-05"),
        ("1.0e5", "the number 100000.0", "text", "100000.0"),
        ("no", "text", "false", '"no"'),
        ("On", "text", "true", '"On"'),
        ("010", "the number 10", "the number 8", "10"),
        ("0o10", "the number 8", "text", "8"),
        ("0b11", "text", "the number 3", '"0b11"'),
        ("12:30", "text", "the number 750", '"12:30"'),
        ("1_000", "the number 1000", "YAML 1.2 strictly", "1000"),
        ("2026-11-20", "text", "a date", '"2026-11-20"'),
        ("2026-13-45", "text", "an error", '"2026-13-45"'),
        ("=", "text", "an error", '"="'),
    ],
)
def test_values_that_readers_disagree_about_are_noted(
    written: str, ours: str, theirs: str, fix: str
) -> None:
    document = read_yaml(f"a:\n  b: {written}\n", "f.yaml")
    (note,) = document.notes
    assert (note.rule, note.severity, note.path) == ("yaml-1.1", "hint", "a.b")
    assert note.origin is not None
    assert note.origin.place() == "f.yaml:2"
    assert ours in note.message
    assert theirs in note.message
    assert note.fixes[0].title == f"write {fix}"
    edit = note.fixes[0].edits[0]
    assert same(edit.value, document.tree["a"]["b"])


@pytest.mark.parametrize("key", ["on", "8", "2026-01-01", "null", "1e3"])
def test_keys_that_readers_disagree_about_are_noted(key: str) -> None:
    document = read_yaml(f"{key}: x\n", "f")
    assert list(document.tree) == [key]
    if isinstance(resolve_1_1(key), str):
        assert document.notes == []
    else:
        assert [note.rule for note in document.notes] == ["yaml-1.1"]
    assert read_yaml(f"'{key}': x\n", "f").notes == []


def test_ordinary_values_get_no_note() -> None:
    text = (
        "a: 3.0e-05\nb: true\nc: 10\nd: 'no'\ne: \"010\"\nf: word\ng: 0.5\nh: null\ni:\nj: 0x1F\n"
    )
    assert read_yaml(text, "f").notes == []
    assert read_document('{"a": 3e-5, "b": 1}', "f.json").notes == []


def test_curly_quotes_are_noted() -> None:
    document = read_yaml("a: “gpu/tiny”\nb: \u20183e-5\u2019\nc: l\u2019été\n", "f")
    first, second = document.notes
    assert (first.rule, first.severity, first.path) == ("curly-quotes", "warning", "a")
    assert first.fixes[0].edits[0].value == "gpu/tiny"
    assert [fix.edits[0].value for fix in second.fixes] == [3e-5, "3e-5"]


def test_invisible_characters_in_values_are_noted() -> None:
    document = read_yaml("a: \u00a03\nb: x\u200by\nc: 'x\u00a0y'\n", "f")
    assert [(note.rule, note.path) for note in document.notes] == [
        ("invisible-character", "a"),
        ("invisible-character", "b"),
    ]
    assert [note.fixes[0].edits[0].value for note in document.notes] == [3, "xy"]


def test_every_note_has_a_documentation_line() -> None:
    text = "a: 3e-5\nb: “x”\nc: \u00a03\nd: é # √©t√© â€”\ne: \ufffd\n"
    assert {note.rule for note in read_yaml(text, "f").notes} == set(notes.RULES)
    assert all(line.endswith(".") for line in notes.RULES.values())


# Layers


@pytest.mark.parametrize("reference", ["~nobody-here/x.yaml", "x" * 300, "a\0b", "", "/", "\ud800"])
def test_a_reference_that_cannot_be_a_file_is_refused(reference: str) -> None:
    assert refusal(load, reference)


def test_a_layer_that_extends_nothing_real_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: {}\nextends: nowhere\n")
    message = refusal(load, str(tmp_path / "a.yaml"))
    assert "'nowhere'" in message
    assert "a.yaml:2" in message


def test_layers_that_extend_each_other_twice_do_not_grow_without_end(tmp_path: Path) -> None:
    for number in range(40):
        inner = f"b{number + 1}.yaml"
        (tmp_path / f"b{number}.yaml").write_text(f"extends: [{inner}, {inner}]\n")
    (tmp_path / "b40.yaml").write_text("model: {}\n")
    start = time.process_time()
    assert "more than 64 layers" in refusal(load, str(tmp_path / "b0.yaml"))
    assert time.process_time() - start < 1.0


def test_a_layer_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"training": {\n  "batch_size": 3}}\n')
    (tmp_path / "b.yaml").write_text("extends: a.json\n")
    composed = compose(load(str(tmp_path / "b.yaml")))
    assert composed.tree == {"training": {"batch_size": 3}}
    assert composed.origins["training.batch_size"].place() == f"{tmp_path / 'a.json'}:2"

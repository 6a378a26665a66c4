"""Small files: atomic, durable on a full disk when space was set aside, and safe to show."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs.fakes import everything_in, fill_disk
from workbench.runs.files import (
    atomic_write_json,
    atomic_write_text,
    encode,
    printable,
    read_json,
    release,
    reserve,
    tail_text,
    to_json,
)


class Scalar:
    """Like a 0-d tensor."""

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value


def test_json_has_no_bare_nan() -> None:
    data = {"a": [math.nan, math.inf, {"b": -math.inf}], "c": 1.5, "d": Scalar(math.nan)}
    assert json.loads(to_json(data, indent=2)) == {
        "a": ["nan", "inf", {"b": "-inf"}],
        "c": 1.5,
        "d": "nan",
    }
    assert to_json({"x": Scalar(2.5), "p": Path("/a")}) == '{"x":2.5,"p":"/a"}'


@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert json.loads(encode(to_json({"x": text}))) == {"x": text}


def test_replacing_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write_json(path, {"x": 1})
    atomic_write_json(path, {"x": 2})
    assert read_json(path) == {"x": 2}
    assert everything_in(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "a.txt"
    atomic_write_text(path, "old")
    fill_disk(small_disk)
    with pytest.raises(OSError, match="No space"):
        atomic_write_text(path, "new" * 5000)
    assert path.read_text() == "old"
    assert everything_in(small_disk) == ["a.txt", "ballast"]


def test_reserved_space_holds_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "exit.json"
    reserve(path, 4096)
    fill_disk(small_disk)
    with pytest.raises(OSError, match="No space"):
        atomic_write_json(path, {"x": "y" * 5000})
    atomic_write_json(path, {"code": 1})
    assert read_json(path) == {"code": 1}
    assert everything_in(small_disk) == ["ballast", "exit.json"]


def test_reserved_space_is_given_back(tmp_path: Path) -> None:
    reserve(tmp_path / "exit.json", 4096)
    atomic_write_json(tmp_path / "exit.json", {})
    release(tmp_path / "exit.json")
    release(tmp_path / "exit.json")
    assert everything_in(tmp_path) == ["exit.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_reading_what_is_no_object(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_json(tmp_path / "a") == {}


def test_reading_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_json(tmp_path / "fifo") == {}, "and it did not wait for a writer"
    assert read_json(tmp_path) == {}
    assert read_json(tmp_path / "nothere") == {}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;aGk=\x1b\\text", "text"),
        ("\x1b(Btext\x1bM", "text"),
        (" 10%\r 20%\r 30%", " 30%"),
        ("done\r\n", "done"),
        ("a\tb", "a\tb"),
        ("\u202eabc\u2066\x00\x9b1m", "abc1m"),
        ("日本語 ümlaut", "日本語 ümlaut"),
    ],
)
def test_log_lines_are_shown_without_surprises(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@given(st.text())
def test_nothing_shown_can_drive_a_terminal(text: str) -> None:
    assert all(char >= " " or char == "\t" for char in printable(text))


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(100_000)) + b"torn")
    assert tail_text(path, 3) == ["line 99998", "line 99999", "torn"]
    path.write_bytes(b"x" * 10_000_000)
    (line,) = tail_text(path, 3)
    assert len(line) <= 2000
    path.write_bytes(b"\xff\xfe caf\xe9\n")
    assert len(tail_text(path, 3)) == 1
    assert tail_text(tmp_path / "nothere", 3) == []

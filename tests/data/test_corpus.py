"""What is read, what is skipped and named, and what ends in one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.config.schema import Config, DataConfig
from workbench.data.corpus import load_corpus, standard_library
from workbench.data.dataset import load_dataset
from workbench.data.opening import open_source
from workbench.data.tokens import ByteTokenizer
from workbench.errors import DataError

TEXT = "".join(f"line {n} of a text\n" for n in range(200))


def load(path: Path, **options: str) -> tuple[list[str], dict[str, str]]:
    """The texts, and why each skipped thing was skipped (by its last path part)."""
    corpus = load_corpus(DataConfig(path=str(path), **options))
    return [each.text for each in corpus.documents], {
        each.path.rpartition("/")[2]: each.why for each in corpus.skipped
    }


def refuse(path: Path | str, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(path=str(path), **options))
    error = caught.value
    assert error.exit_code == 2
    assert error.fix
    assert error.where
    return error


def test_the_standard_library_is_there_and_reads_like_python() -> None:
    first, second = standard_library(), standard_library()
    assert [each.name for each in first.documents] == [each.name for each in second.documents]
    names = {each.name for each in first.documents}
    assert {"argparse.py", "json/decoder.py"} <= names
    for part in ("test", "tests", "idle_test", "site-packages", "__pycache__", "encodings"):
        assert not [name for name in names if part in Path(name).parts]
    assert len(first.documents) > 300
    assert "Python standard library" in first.description
    assert len({each.text for each in first.documents}) == len(first.documents)


def test_data_needs_no_torch() -> None:
    code = (
        "import sys; from workbench.data.dataset import load_dataset;"
        "from workbench.config.schema import DataConfig; load_dataset(DataConfig());"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})


def test_a_single_file_of_any_name(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "c.py", "notes.rst", "README"):
        (tmp_path / name).write_text(TEXT)
        assert load(tmp_path / name) == ([TEXT], {})


def test_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert load(tmp_path / "a.txt")[0] == ["one\ntwo\nthree\n"]


def test_a_folder(tmp_path: Path) -> None:
    files = {
        "b.txt": "b\n" + TEXT,
        "a.md": "a\n" + TEXT,
        "deep/er/c.py": "c\n" + TEXT,
        "copy.txt": "a\n" + TEXT,
        "picture.png": "x",
        "empty.txt": "",
        "blank.txt": " \n\n",
        ".hidden.txt": TEXT,
        ".git/config.txt": TEXT,
        "__pycache__/x.py": TEXT,
        "venv/lib.py": TEXT,
        "mine/pyvenv.cfg": "",
        "mine/lib.py": TEXT,
        "runs/r1/run.json": "{}",
        "runs/r1/config.resolved.json": "{}",
        "runs/r1/validation.txt": "run\n" + TEXT,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (tmp_path / "binary.py").write_bytes(b"ab\0cd")
    (tmp_path / "UPPER.TXT").write_text("upper\n" + TEXT)
    texts, skipped = load(tmp_path)
    assert [text.partition("\n")[0] for text in texts] == ["upper", "a", "b", "c"]
    assert skipped == {
        "copy.txt": f"has the same text as {tmp_path / 'a.md'}",
        "picture.png": "is not one of .txt, .md, .py, .jsonl, .parquet, .arrow",
        "empty.txt": "is empty",
        "blank.txt": "is empty",
        ".hidden.txt": "is a hidden file",
        ".git": "is a hidden folder",
        "__pycache__": "is a folder of programs, not of your text",
        "venv": "is a folder of programs, not of your text",
        "mine": "is a folder of programs, not of your text",
        "r1": "is the directory of a run",
        "latin.txt": "is not UTF-8 text (byte 0xe9 in line 1)",
        "binary.py": "is binary, not text (a zero byte at offset 2)",
    }


def test_links_and_loops(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text(TEXT)
    (tmp_path / "text" / "loop").symlink_to(tmp_path / "text")
    (tmp_path / "text" / "nothing.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "elsewhere.txt").write_text("elsewhere\n" + TEXT)
    (tmp_path / "text" / "z.txt").symlink_to(tmp_path / "elsewhere.txt")
    texts, skipped = load(tmp_path / "text")
    assert texts == [TEXT, "elsewhere\n" + TEXT]
    assert skipped == {
        "loop": "is a link to a folder that was read already",
        "nothing.txt": "is a link to nothing",
    }


def test_strange_names_survive(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text(TEXT)
    corpus = load_corpus(DataConfig(path=str(tmp_path)))
    json.dumps(corpus.description).encode()
    corpus.documents[0].name.encode()


def test_a_name_stays_on_its_line_and_sends_nothing_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "new\nline\x1b[31m.txt").write_text(TEXT)
    (name,) = [each.name for each in load_corpus(DataConfig(path=str(tmp_path))).documents]
    assert name == str(tmp_path / "new\\nline\\x1b[31m.txt")


def test_files_that_repeat_another_are_not_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(TEXT)
    assert load_corpus(DataConfig(path=str(tmp_path))).description.startswith("1 file of ")
    (tmp_path / "c.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert load_corpus(DataConfig(path=str(tmp_path))).description.startswith("2 files of ")


def test_json_lines(tmp_path: Path) -> None:
    good = [json.dumps({"text": f"{n} {TEXT}", "id": n}) for n in range(200)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*good[:50], "{broken", "", *good[50:]]) + "\n")
    texts, skipped = load(path)
    assert len(texts) == 200
    assert skipped == {"a.jsonl:51": "is not JSON (Expecting property name enclosed in double "
                       "quotes at column 2)"}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1, 2]", "is JSON but no object"),
        ('{"body": "x", "n": 1}', "has no field 'text'; fields with text: body"),
        ('{"text": 5}', "has no text in field 'text'"),
        ('{"text": "  "}', "has no text in field 'text'"),
        ('{"text": "a\\u0000b"}', "holds a zero byte"),
        ('{"text": "\\ud800"}', "half a surrogate pair"),
        ('{"text": "x"', "is not JSON"),
        ("[" * 100_000, "is not JSON that can be read"),
        ("1" * 5000, "is not JSON that can be read"),
    ],
)
def test_a_bad_json_line_is_named_by_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")
    error = refuse(path)
    assert words in error.what
    assert error.where == f"{path}:2"
    assert "--data.text_field" in str(error.fix)


def test_another_text_field(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one\\r\\ntwo"}\n')
    assert load(path, text_field="body")[0] == ["one\ntwo"]


def test_missing(tmp_path: Path) -> None:
    (tmp_path / "books.txt").write_text(TEXT)
    error = refuse(tmp_path / "boks.txt")
    assert "there is no file or folder" in error.what
    assert "did you mean" in str(error.fix)
    assert "books.txt" in str(error.fix)
    assert "--data.path" in str(error.fix)


@pytest.mark.parametrize(
    "path", ["", " ", "a\0b", "x" * 5000, "~nobody-of-that-name/x", "/dev/null"]
)
def test_hopeless_paths(path: str) -> None:
    error = refuse(path)
    assert "'.'" not in error.what


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"abc\0def", "is binary"),
        ("caf\xe9".encode("latin-1") * 99, "is not UTF-8 text (byte 0xe9 in line 1)"),
        ("hello".encode("utf-16"), "is UTF-16 text"),
        ("hello".encode("utf-32"), "is UTF-32 text"),
        (b"hello", "too short"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    error = refuse(path)
    assert words in error.what
    assert str(path) in str(error.where)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert "named pipe" in refuse(tmp_path / "a.txt").what
    (tmp_path / "b.txt").write_text(TEXT)
    assert load(tmp_path)[1] == {"a.txt": "is a named pipe"}


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)

    def denied(*_args: object, **_kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("workbench.data.reading.os.open", denied)
    assert "cannot be read (Permission denied)" in refuse(path).what


def test_folders_without_text(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert refuse(tmp_path / "none").why == "the folder is empty"
    for n in range(9):
        (tmp_path / "none" / f"{n}.png").write_bytes(b"")
    error = refuse(tmp_path / "none")
    assert "0.png is not one of .txt" in str(error.why)
    assert "and 4 more" in str(error.why)


def test_just_enough_text_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("x" * 66, "ab\n" * 22, "\N{SNOWMAN}" * 23):
        path.write_text(text)
        dataset = load_dataset(DataConfig(path=str(path), max_length=32))
        assert len(dataset.train) >= 33
        assert len(dataset.validation) >= 33
    path.write_text("x" * 60)
    error = refuse(path, max_length=32)
    assert "2 x 33" in str(error.why)
    assert "--data.max_length" in str(error.fix)


def test_the_proposed_length_works(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for size in range(8, 80, 3):
        path.write_text("x" * size)
        fix = str(refuse(path, max_length=256).fix)
        longest = int(fix.partition("up to ")[2].partition(")")[0])
        load_dataset(DataConfig(path=str(path), max_length=longest))


def test_the_fingerprint_notices_one_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    config = Config(data=DataConfig(path=str(path), max_length=32))
    first = open_source(config)
    open_source(config).check_unchanged(first.fingerprint, config.data.path)
    path.write_text(TEXT.replace("line 77 ", "Line 77 "))
    with pytest.raises(DataError, match="has changed"):
        open_source(config).check_unchanged(first.fingerprint, config.data.path)


def test_every_text_survives_the_tokenizer() -> None:
    text = "a\u00e9\u2603\U0001f40d\n"
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.stream([text, "b"]).tolist() == [*tokenizer.encode(text), 0, 98, 0]

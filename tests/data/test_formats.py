"""Every kind of file and dataset gives the same texts, and what cannot be read is one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.making import article, jsonl, opened, same, steps
from workbench.config.schema import DataConfig
from workbench.data.corpus import load_corpus
from workbench.errors import DataError
from workbench.plan import plan_from

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [article(n, 1 + n % 5) for n in range(60)]


def texts(path: Path | None = None, **options: Any) -> list[str]:
    given = {} if path is None else {"path": str(path)}
    return [each.text for each in load_corpus(DataConfig(**given, **options)).documents]


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path, row_group_size=7)
    return path


def test_parquet_and_both_kinds_of_arrow(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"text": TEXTS, "n": list(range(60))})
    for name, new in (("a", pa.ipc.new_file), ("b", pa.ipc.new_stream)):
        with (
            pa.OSFile(str(tmp_path / f"{name}.arrow"), "wb") as sink,
            new(sink, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=11)
    parquet(tmp_path / "c.parquet", {"text": TEXTS})
    for name in ("a.arrow", "b.arrow", "c.parquet"):
        assert texts(tmp_path / name) == TEXTS
    corpus = load_corpus(DataConfig(path=str(tmp_path)))
    assert len(corpus.documents) == 60
    assert len(corpus.skipped) == 120  # the others repeat the first
    assert corpus.documents[4].name == f"{tmp_path / 'a.arrow'}:5"


def test_rows_without_text_are_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": [None, *TEXTS * 3]})
    with pytest.raises(DataError) as caught:
        texts(parquet(tmp_path / "b.parquet", {"body": TEXTS}))
    assert "has no field 'text'; fields with text: body" in caught.value.what
    corpus = load_corpus(DataConfig(path=str(path)))
    assert [(s.path, s.why) for s in corpus.skipped[:1]] == [
        (f"{path}:1", "has no text in field 'text'")
    ]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"junk" * 100])
def test_a_damaged_table(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read|is empty"):
        texts(tmp_path / name)


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": TEXTS})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read") as caught:
        texts(path)
    assert caught.value.fix


def test_saved_datasets(tmp_path: Path) -> None:
    import datasets

    saved = datasets.Dataset.from_dict({"text": TEXTS})
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": saved, "test": saved.select(range(3))}).save_to_disk(
        tmp_path / "parts"
    )
    datasets.DatasetDict({"left": saved, "right": saved}).save_to_disk(tmp_path / "sides")
    assert texts(tmp_path / "one") == texts(tmp_path / "parts") == TEXTS
    with pytest.raises(DataError, match="no part called train") as caught:
        texts(tmp_path / "sides")
    assert "left, right" in str(caught.value.why)
    for file in (tmp_path / "one").glob("*.arrow"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="damaged dataset"):
        texts(tmp_path / "one")


def test_a_dataset_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    options = {"dataset_name": str(folder), "cache_dir": str(tmp_path / "cache")}
    assert texts(**options) == TEXTS
    assert (tmp_path / "cache").is_dir()
    whole, streamed = (opened(options | {"streaming": s}) for s in (False, True))
    assert whole.source.batch(1, 0).ids[0].startswith(f"{folder}:")
    assert streamed.source.batch(1, 0).ids[0].startswith(f"{folder}:")


def test_a_dataset_that_is_not_here_is_one_message(tmp_path: Path) -> None:
    code = (
        "from tests.data.making import opened\n"
        "from workbench.errors import DataError\n"
        "for streaming in (False, True):\n"
        "    try:\n"
        "        opened({'dataset_name': 'nobody/has-this', 'streaming': streaming})\n"
        "    except DataError as error:\n"
        "        print(error.render())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "HF_HUB_OFFLINE": "1",
             "HF_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.count("error: the dataset 'nobody/has-this' is not on this machine") == 2
    assert done.stdout.count("unset HF_HUB_OFFLINE") == 2
    assert "Traceback" not in done.stderr


def test_patterns_choose_files(tmp_path: Path) -> None:
    for name in ("a_clean.jsonl", "b_raw.jsonl", "deep/c_clean.jsonl", "deep/d_test.jsonl"):
        jsonl(tmp_path / name, 3, first=100 * ord(name[-7]))
    everything = texts(tmp_path)
    clean = texts(tmp_path, file_pattern="*_clean.jsonl")
    rest = texts(tmp_path, exclude_pattern="*_clean.jsonl")
    assert sorted(clean + rest) == sorted(everything)
    assert texts(tmp_path, file_pattern="deep/*") != clean
    corpus = load_corpus(
        DataConfig(path=str(tmp_path), file_pattern="*.jsonl", exclude_pattern="d_*")
    )
    assert [s.why for s in corpus.skipped] == ["matches d_*"] + [s.why for s in corpus.skipped[1:]]
    with pytest.raises(DataError, match="no usable text") as caught:
        texts(tmp_path, file_pattern="*.nothing")
    assert "does not match *.nothing" in str(caught.value.why)


def test_fallbacks_are_tried_in_order(tmp_path: Path) -> None:
    here = jsonl(tmp_path / "here.jsonl", 5)
    gone, also = str(tmp_path / "gone"), str(tmp_path / "also")
    assert len(texts(Path(gone), fallback_paths=[also, str(here)])) == 5
    with pytest.raises(DataError, match="gone"):
        texts(Path(gone), fallback_paths=[also])
    plan = plan_from(
        None,
        overrides={"data.path": gone, "data.fallback_paths": f"[{also}, {here}]"},
    )
    assert not [each for each in plan.findings if each.rule == "missing-path"]
    plan = plan_from(None, overrides={"data.path": gone, "data.fallback_paths": f"[{also}]"})
    assert [each for each in plan.findings if each.rule == "missing-path"]


@pytest.mark.parametrize("streaming", [False, True])
def test_text_to_evaluate_on_is_never_trained_on(tmp_path: Path, *, streaming: bool) -> None:
    path, held = jsonl(tmp_path / "a.jsonl", 60), jsonl(tmp_path / "e.jsonl", 30, 40)
    data = {"path": str(path), "eval_path": str(held), "packing": "none", "max_length": 700}
    source = opened(data | {"streaming": streaming})
    assert source.held_out.count == 30
    evaluated = {i.split(",")[0] for b in source.held_out.batches() for i in b.ids}
    assert evaluated == {f"{held}:{n}" for n in range(1, 31)}
    trained = {i.split(",")[0] for b in steps(source, range(1, 30)) for i in b.ids}
    assert trained == {f"{path}:{n}" for n in range(1, 41)}


def test_a_large_text_is_sent_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "a.jsonl")
    monkeypatch.setattr("workbench.machine.available_memory", lambda: 10_000)
    with pytest.raises(DataError, match="do not fit into memory") as caught:
        opened({"path": str(path)})
    assert "ava data prepare" in str(caught.value.fix)
    opened({"path": str(path), "streaming": True})


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, pkgutil, importlib, workbench.data as d\n"
        "for each in pkgutil.iter_modules(d.__path__, 'workbench.data.'):\n"
        "    if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
        "heavy = {'torch', 'numpy', 'datasets', 'pyarrow', 'tokenizers', 'huggingface_hub'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from tests.data.making import opened\n"
        "opened().source.batch(1, 0)\n"
        "heavy.discard('numpy')\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=300, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
    )  # fmt: skip


def test_every_form_of_one_text_trains_alike(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"text": TEXTS})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    one, other = (opened({"path": str(tmp_path / f"a.{kind}")}) for kind in ("parquet", "jsonl"))
    assert one.fingerprint == other.fingerprint
    for a, b in zip(steps(one, range(1, 9)), steps(other, range(1, 9)), strict=True):
        assert same(a._replace(ids=()), b._replace(ids=()))

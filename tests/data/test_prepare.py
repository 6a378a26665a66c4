"""Prepared text: a folder that opens at once, is whole or absent, and notices a changed byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench.data.prepare as preparing
from tests.conftest import Ava, mini
from tests.data.making import article, jsonl, opened, steps
from workbench.cli import main
from workbench.config.schema import DataConfig
from workbench.data.prepare import prepare
from workbench.data.shards import open_shards
from workbench.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "a.jsonl", 300)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """`ava data` in this process; the work is still done in one of its own."""
    code = main(["data", *args])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'kernels'}")
    return tmp_path


def test_the_command(here: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "prepare", str(text), "--out", "made", "--vocab_size", "400", "--json"
    )
    assert code == 0
    told = json.loads(out)
    assert told["path"] == str(here / "made")
    assert told["tokenizer"]["vocab_size"] == 400
    assert told["train"]["documents"] + told["validation"]["documents"] == 300
    code, out, _ = run(capsys, "show", "made")
    assert code == 0
    assert "trained, 400 tokens" in out
    assert "train on it: ava train tiny_cpu --data.path made" in out
    assert json.loads(run(capsys, "show", "made", "--json")[1]) == told
    code, out, err = run(capsys, "prepare", str(text), "--out", "bytes", "--text-field", "text")
    assert (code, "bytes, 256 tokens" in out) == (0, True), err


@pytest.mark.slow
def test_a_training_on_what_the_command_made(ava: Ava, text: Path, tmp_path: Path) -> None:
    done = ava("data", "prepare", str(text), "--out", "made", "--vocab_size", "400")
    assert done.returncode == 0, done.stderr
    command = done.stdout.rpartition("train on it: ")[2].split()
    assert command[:3] == ["ava", "train", "tiny_cpu"]
    small = ava("train", *command[2:7], "--vocab_size", "300", *mini(max_steps=3), timeout=300)
    assert small.returncode == 2
    assert "--model.vocab_size 400" in small.stderr
    trained = ava(*command[1:], *mini(max_steps=3), "--name", "good", "--json", timeout=300)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["step"] == 3
    environment = json.loads((tmp_path / "runs" / "good" / "environment.json").read_text())
    assert environment["data_fingerprint"] == open_shards(tmp_path / "made").fingerprint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare", "a.jsonl"], "--out"),
        (["prepare", "nowhere.txt", "--out", "x"], "nowhere.txt"),
        (["prepare", "a.jsonl", "--out", "x", "--vocab_size", "9"], "256 bytes"),
        (["prepare", "a.jsonl", "--out", "x", "--vocab_size", "many"], "many"),
        (["prepare", "a.jsonl", "--out", "x", "--validation_fraction", "2"], "validation"),
        (["prepare", "a.jsonl", "--dataset_name", "b", "--out", "x"], "one text at a time"),
        (["prepare", "--tokenizer", "b", "--vocab_size", "500", "--out", "x"], "keep one"),
        (["prepare", "a.jsonl", "--out", "."], "is there already"),
        (["show", "."], "no folder of prepared text"),
        ([], "ava data prepare"),
    ],
)
def test_every_mistake_is_one_message(
    here: Path, text: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not (here / "x").exists()


def test_prepared_bytes_train_like_the_text_itself(text: Path, tmp_path: Path) -> None:
    prepare(DataConfig(path=str(text), max_length=32), tmp_path / "made")
    prepared, plain = opened({"path": str(tmp_path / "made")}), opened({"path": str(text)})
    assert prepared.train_tokens == plain.train_tokens
    for a, b in zip(steps(prepared, range(1, 9)), steps(plain, range(1, 9)), strict=True):
        assert np.array_equal(a.tokens_BT, b.tokens_BT)
        assert np.array_equal(a.targets_BT, b.targets_BT)
    one, other = (list(each.held_out.batches()) for each in (prepared, plain))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


def test_tokens_are_mapped_and_not_read(text: Path, tmp_path: Path) -> None:
    prepare(DataConfig(path=str(text)), tmp_path / "made", vocab_size=300)
    shards = open_shards(tmp_path / "made")
    assert isinstance(shards.train.ids, np.memmap)
    assert shards.train.ids.dtype == np.uint16
    assert shards.train.documents == len(shards.train.starts)
    ends = shards.train.ids[shards.train.starts[1:] - 1]
    assert (ends == 0).all()
    source = opened({"path": str(tmp_path / "made")}, model={"vocab_size": 300})
    assert source.tokenizer.vocab_size == 300
    text_of = source.tokenizer.decode(source.source.batch(1, 0).tokens_BT[0].tolist())
    assert "says" in text_of


def test_a_large_text_is_never_held_whole(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = prepare(DataConfig(path=str(text)), tmp_path / "small")
    monkeypatch.setattr(preparing, "_IN_MEMORY", 2000)
    told: list[tuple[str, float]] = []
    large = prepare(
        DataConfig(path=str(text)),
        tmp_path / "large",
        progress=lambda phase, fraction, _: told.append((phase, fraction)),
    )
    total = [sum(index[s]["tokens"] for s in ("train", "validation")) for index in (small, large)]
    assert total[0] == total[1]
    assert 0.01 < large["validation"]["tokens"] / total[1] < 0.12
    fractions = [fraction for phase, fraction in told if phase == "tokenise" and fraction >= 0]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    # A text that is in it twice is on one side, once.
    text.write_text(text.read_text() * 2)
    again = prepare(DataConfig(path=str(text)), tmp_path / "again")
    assert again["repeats"] == 300
    assert again["train"] == large["train"]


def test_a_changed_byte_is_noticed(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    prepare(DataConfig(path=str(text)), out)
    data = {"path": str(out)}
    first = opened(data).fingerprint
    opened(data).check_unchanged(first, str(out))
    file = out / "train.bin"
    (out / "index.json").touch()
    content = bytearray(file.read_bytes())
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # a copy is no change
    opened(data).check_unchanged(first, str(out))
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="has changed"):
        opened(data).check_unchanged(first, str(out))
    file.write_bytes(content[:-1])
    with pytest.raises(DataError, match="damaged"):
        opened(data)


def test_masks_survive(tmp_path: Path) -> None:
    path = tmp_path / "i.jsonl"
    lines = [{"prompt": f"{n}? ", "completion": f"{n}!"} for n in range(80)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = DataConfig(path=str(path), format="instruction", max_length=32)
    prepare(config, tmp_path / "made")
    plain = opened({"path": str(path), "format": "instruction"})
    made = opened({"path": str(tmp_path / "made")})
    for a, b in zip(steps(made, range(1, 9)), steps(plain, range(1, 9)), strict=True):
        assert np.array_equal(a.targets_BT, b.targets_BT)
    assert made.source.batch(1, 0).targets < 64


def test_filters_apply_and_are_counted(text: Path, tmp_path: Path) -> None:
    config = DataConfig(path=str(text), min_sequence_length=150)
    index = prepare(config, tmp_path / "made")
    assert index["skipped"][0]["path"] == "data.min_sequence_length 150"
    assert index["train"]["documents"] < 280
    assert any(
        "min_sequence_length" in s.path for s in opened({"path": str(tmp_path / "made")}).skipped
    )


def test_a_killed_preparation_leaves_nothing_that_counts(text: Path, tmp_path: Path) -> None:
    text.write_text("".join(json.dumps({"text": article(n, 40)}) + "\n" for n in range(6000)))
    spec: dict[str, Any] = {"data": {"path": str(text)}, "out": str(tmp_path / "made"),
                            "vocab_size": 500}  # fmt: skip
    command = [sys.executable, "-m", "workbench.data", json.dumps(spec)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        assert "phase" in process.stdout.readline()  # it is at work
    finally:
        process.kill()
        process.communicate(timeout=120)
    assert not (tmp_path / "made").exists()
    (left,) = tmp_path.glob("made.partial-*")
    text.write_text("".join(json.dumps({"text": article(n)}) + "\n" for n in range(100)))
    prepare(DataConfig(path=str(text)), tmp_path / "made")
    assert not left.exists()
    assert opened({"path": str(tmp_path / "made")}).train_tokens


def test_what_is_in_the_way_stays(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    prepare(DataConfig(path=str(text)), out)
    before = (out / "index.json").read_bytes()
    with pytest.raises(DataError, match="is there already"):
        prepare(DataConfig(path=str(text)), out)
    assert (out / "index.json").read_bytes() == before
    prepare(DataConfig(path=str(text), validation_fraction=0.3), out, replace=True)
    assert (out / "index.json").read_bytes() != before
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="is there already"):
        prepare(DataConfig(path=str(text)), tmp_path / "mine", replace=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "made", "mine"]


def test_another_tokenizer_than_it_was_prepared_with(text: Path, tmp_path: Path) -> None:
    prepare(DataConfig(path=str(text)), tmp_path / "one", vocab_size=300)
    prepare(DataConfig(path=str(text)), tmp_path / "two", vocab_size=350)
    with pytest.raises(DataError, match="prepared with another tokenizer"):
        opened({"path": str(tmp_path / "one"), "tokenizer_name": str(tmp_path / "two")})
    opened({"path": str(tmp_path / "one"), "tokenizer_name": str(tmp_path / "one")})
    with pytest.raises(DataError, match="another tokenizer"):
        opened({"mixture": {str(tmp_path / "one"): 1.0, str(tmp_path / "two"): 1.0}})
    both = opened({"mixture": {str(tmp_path / "one"): 1.0, str(text): 1.0}})
    assert both.tokenizer.vocab_size == 300


def test_too_little_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="too short"):
        prepare(DataConfig(path=str(tmp_path / "a.txt")), tmp_path / "made")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]

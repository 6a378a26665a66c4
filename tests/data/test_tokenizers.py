"""Trained tokenizers: from a file, a folder or the hub; learned here; and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, jsonl, opened, steps
from workbench.config.schema import DataConfig
from workbench.data.library_tokenizer import LibraryTokenizer, open_tokenizer, train_tokenizer
from workbench.errors import ConfigError, DataError
from workbench.plan import plan_from

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def learned() -> LibraryTokenizer:
    inner = train_tokenizer((article(n) for n in range(200)), 400)
    return LibraryTokenizer(inner, "learned", 0)


@pytest.fixture
def folder(learned: LibraryTokenizer, tmp_path: Path) -> Path:
    place = tmp_path / "tokenizer"
    place.mkdir()
    learned.inner.save(str(place / "tokenizer.json"))
    return place


@given(text=st.text(st.characters(codec="utf-8")))
@settings(max_examples=200, deadline=None)
def test_every_text_survives(learned: LibraryTokenizer, text: str) -> None:
    assert learned.decode(learned.encode(text)) == text
    assert learned.encode_all([text, "b"]) == [learned.encode(text), learned.encode("b")]


def test_text_that_spells_a_special_token_is_text(learned: LibraryTokenizer) -> None:
    text = "one<|endoftext|>two"
    assert learned.separator not in learned.encode(text)
    assert learned.decode(learned.encode(text)) == text


def test_learning_is_deterministic_and_shortens(learned: LibraryTokenizer) -> None:
    again = train_tokenizer((article(n) for n in range(200)), 400)
    assert again.to_str() == learned.inner.to_str()
    assert learned.vocab_size == 400
    assert len(learned.encode(article(7))) < 0.5 * len(article(7))
    text = "<|endoftext|>"
    assert learned.inner.token_to_id(text) == 0


@pytest.mark.honours("data.tokenizer_name")
def test_a_folder_and_its_file(folder: Path, tmp_path: Path) -> None:
    data = {"path": str(jsonl(tmp_path / "a.jsonl"))}
    plain = opened(data)
    for name in (folder, folder / "tokenizer.json"):
        source = opened(data | {"tokenizer_name": str(name)}, model={"vocab_size": 400})
        assert source.tokenizer.vocab_size == 400
        assert source.train_tokens < 0.5 * plain.train_tokens
        (batch, *_) = steps(source, range(1, 2))
        assert "Text" in source.tokenizer.decode(batch.tokens_BT[0].tolist()) or batch.targets
        assert source.fingerprint != plain.fingerprint


@pytest.mark.honours("data.eos_token_id")
def test_which_token_ends_a_text(folder: Path) -> None:
    def separator(**options: object) -> int:
        return open_tokenizer(DataConfig(tokenizer_name=str(folder), **options)).separator

    assert separator() == 0
    assert separator(eos_token_id=65) == 65
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "!"}}))
    mark = open_tokenizer(DataConfig(tokenizer_name=str(folder))).encode("!")
    assert [separator()] == mark
    with pytest.raises(DataError, match="has no token 5000"):
        separator(eos_token_id=5000)


def test_a_vocabulary_of_bert_and_of_t5(tmp_path: Path) -> None:
    import tokenizers
    from tokenizers import models, pre_tokenizers

    words = ["[UNK]", "[MASK]", "[SEP]", "[PAD]", "a", "b", "<extra_id_0>", "<extra_id_1>"]
    inner = tokenizers.Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(tmp_path / "tokenizer.json"))
    bert = open_tokenizer(DataConfig(tokenizer_name=str(tmp_path)))
    assert (bert.separator, bert.mask, bert.padding) == (2, 1, 3)
    assert bert.sentinels == (6, 7)
    assert bert.encode("a b c") == [4, 5, 0]


def test_a_tokenizer_without_an_end(tmp_path: Path) -> None:
    import tokenizers
    from tokenizers import models

    inner = tokenizers.Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    inner.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="which token ends a text") as caught:
        open_tokenizer(DataConfig(tokenizer_name=str(tmp_path)))
    assert "--data.eos_token_id" in str(caught.value.fix)
    path = str(jsonl(tmp_path / "a.jsonl"))
    data = {"path": path, "tokenizer_name": str(tmp_path), "eos_token_id": 1}
    with pytest.raises(ConfigError, match="no token that hides another"):
        opened(data, model={"model_type": "bert"})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"type": "Nothing"}}'])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DataError, match="cannot read the tokenizer"):
        open_tokenizer(DataConfig(tokenizer_name=str(tmp_path)))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere", "no.json", "a/b/c", "~nobody/x"])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(DataError, match="there is no tokenizer"):
        open_tokenizer(DataConfig(tokenizer_name=name))


def test_a_lost_tokenizer_or_part_is_found_before_any_process_starts(tmp_path: Path) -> None:
    for options in (
        {"data.tokenizer_name": "./nowhere"},
        {"data.mixture": "{nowhere.jsonl: 1.0}"},
    ):
        found = [each.rule for each in plan_from("tiny_cpu", overrides=options).findings]
        assert "missing-path" in found
    here = str(jsonl(tmp_path / "a.jsonl"))
    for options in (
        {"data.tokenizer_name": str(tmp_path)},
        {"data.tokenizer_name": "owner/name"},
        {"data.mixture": f"{{{here}: 1.0}}"},
    ):
        found = [each.rule for each in plan_from("tiny_cpu", overrides=options).findings]
        assert "missing-path" not in found


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_tokenizer(DataConfig(tokenizer_name=str(tmp_path)))
    assert caught.value.why == "there is no such file"
    assert "ava data prepare" in str(caught.value.fix)


def test_offline_is_one_message(tmp_path: Path) -> None:
    code = (
        "from workbench.config.schema import DataConfig\n"
        "from workbench.data.library_tokenizer import open_tokenizer\n"
        "from workbench.errors import DataError\n"
        "try:\n"
        "    open_tokenizer(DataConfig(tokenizer_name='nobody/has-this'))\n"
        "except DataError as error:\n"
        "    print(error.render())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "HF_HUB_OFFLINE": "1",
             "HF_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(
        "error: the tokenizer 'nobody/has-this' is not on this machine, and HF_HUB_OFFLINE keeps"
    )

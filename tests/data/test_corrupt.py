"""Holes in a text: how many, where, and the same ones for everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, jsonl, opened, same, steps
from workbench.config.schema import DataConfig
from workbench.data.batches import IGNORE
from workbench.data.corrupt import (
    Masking,
    Spans,
    leave_out,
    mask,
    noise_counts,
    noise_mask,
    raw_length,
    uniform,
)
from workbench.data.examples import Example
from workbench.data.prepare import prepare
from workbench.errors import ConfigError, DataError


def text(length: int, seed: int = 0) -> Example:
    tokens = np.random.default_rng(seed).integers(1, 200, length)
    return Example(tokens, tokens)


HOW = Masking(0.15, 255, 256, (0, 255), seed=5)


@pytest.mark.honours("data.mlm_probability")
@pytest.mark.parametrize("probability", [0.05, 0.15, 0.6])
def test_masking_is_80_10_10(probability: float) -> None:
    how = HOW._replace(probability=probability)
    hidden = replaced = stayed = total = 0
    for n in range(400):
        before = text(256, n)
        after = mask(before, n, how)
        chosen = after.targets_T != IGNORE
        assert (after.targets_T[chosen] == before.tokens_T[chosen]).all()
        assert (after.tokens_T[~chosen] == before.tokens_T[~chosen]).all()
        hidden += int((after.tokens_T[chosen] == 255).sum())
        stayed += int((after.tokens_T[chosen] == before.tokens_T[chosen]).sum())
        total += int(chosen.sum())
    replaced = total - hidden - stayed
    count = 400 * 256
    assert abs(total / count - probability) < 4 * (probability / count) ** 0.5
    assert abs(hidden / total - 0.8) < 4 * (0.16 / total) ** 0.5
    assert abs(replaced / total - 0.1) < 4 * (0.09 / total) ** 0.5


def test_separators_are_never_hidden_and_something_always_is() -> None:
    tokens = np.array([0, 0, 7, 0])
    for n in range(200):
        after = mask(Example(tokens, tokens), n, HOW._replace(probability=0.01))
        assert (after.targets_T != IGNORE).tolist() == [False, False, True, False]
    nothing = mask(Example(tokens[:2], tokens[:2]), 0, HOW)
    assert (nothing.targets_T == IGNORE).all()


def test_holes_depend_on_seed_and_place_alone() -> None:
    first, again = mask(text(64), 3, HOW), mask(text(64), 3, HOW)
    assert (first.tokens_T == again.tokens_T).all()
    assert (mask(text(64), 4, HOW).targets_T != first.targets_T).any()
    assert (mask(text(64), 3, HOW._replace(seed=6)).targets_T != first.targets_T).any()


def spans(density: float = 0.15, mean: float = 3.0) -> Spans:
    return Spans(density, mean, range(999, 0, -1), end=1, start=0, seed=5)


@given(
    length=st.integers(1, 300),
    density=st.floats(0.05, 0.9),
    mean=st.floats(1, 10),
    n=st.integers(0, 2**40),
)
@settings(max_examples=300, deadline=None)
def test_both_texts_together_are_the_text(length: int, density: float, mean: float, n: int) -> None:
    before = text(length, n)
    after = leave_out(before, n, spans(density, mean))
    assert after.encoder_tokens_S is not None
    read, written = after.encoder_tokens_S.tolist(), after.targets_T.tolist()
    assert after.tokens_T.tolist() == [0, *written[:-1]]
    assert read[-1] == written[-1] == 1
    pieces: dict[int, list[int]] = {}
    mark = -1
    for token in written[:-1]:
        if token >= 700:
            mark = token
            pieces[mark] = []
        else:
            pieces[mark].append(token)
    joined = [t for token in read[:-1] for t in (pieces[token] if token >= 700 else [token])]
    assert joined[:length] == before.tokens_T.tolist()
    marks = [token for token in read if token >= 700]
    assert marks == list(range(999, 999 - len(marks), -1)) == list(pieces)[: len(marks)]


@pytest.mark.honours("data.noise_density", "data.mean_noise_span_length")
def test_how_much_is_left_out() -> None:
    for length, density, mean in ((512, 0.15, 3.0), (512, 0.5, 3.0), (512, 0.15, 10.0)):
        noise, count = noise_counts(length, density, mean)
        assert noise == round(length * density)
        assert count == round(noise / mean)
        gone = np.zeros(length)
        for n in range(600):
            mask_T = noise_mask(length, density, mean, uniform(1, n, 2 * length))
            assert mask_T.sum() == noise
            assert not mask_T[0]
            assert mask_T[-1]
            starts = mask_T & ~np.concatenate([[False], mask_T[:-1]])
            assert starts.sum() == count
            gone += mask_T
        # Away from its ends every token of the text is left out as often.
        middle = gone[64:-64] / 600
        assert abs(middle.mean() - density) < 0.02
        assert middle.std() < 0.035


def test_the_length_that_fills_an_encoder() -> None:
    # T5's own figures: arXiv 1910.10683 section 3.1.4 as computed by its code for 512 positions.
    assert raw_length(512, 0.15, 3.0) == 568
    noise, count = noise_counts(568, 0.15, 3.0)
    assert (568 - noise + count + 1, noise + count + 1) == (512, 114)
    for length in range(4, 200):
        raw = raw_length(length, 0.15, 3.0)
        noise, count = noise_counts(raw, 0.15, 3.0)
        assert raw - noise + count + 1 <= length


@pytest.mark.honours("data.mlm_probability")
def test_a_bert_sees_holes_and_a_decoder_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(article(n) for n in range(60)))
    data = {"path": str(tmp_path / "a.txt")}
    decoder, bert = opened(data), opened(data, model={"model_type": "bert"})
    plain, holes = decoder.source.batch(2, 1), bert.source.batch(2, 1)
    hidden = holes.tokens_BT == 255
    assert hidden.any()
    assert (holes.targets_BT[hidden] == plain.tokens_BT[hidden]).all()
    assert 0 < holes.targets < plain.targets / 3
    more = opened(data | {"mlm_probability": 0.5}, model={"model_type": "bert"})
    assert more.source.batch(2, 1).targets > holes.targets
    one, two = (list(bert.held_out.batches()) for _ in range(2))
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.honours("data.noise_density", "data.mean_noise_span_length")
def test_a_t5_reads_and_writes(tmp_path: Path) -> None:
    data = {"path": str(jsonl(tmp_path / "a.jsonl")), "max_length": 64}
    model = {"model_type": "t5", "vocab_size": 320}
    batch = opened(data, model=model).source.batch(1, 0)
    assert batch.encoder_tokens_BS is not None
    assert batch.encoder_tokens_BS.shape == (2, 64)
    assert batch.encoder_tokens_BS.max() == 319
    assert (batch.tokens_BT[:, 0] == 0).all()
    assert (batch.targets_BT[:, 0] == 319).all()
    more = opened(data | {"noise_density": 0.4}, model=model).source.batch(1, 0)
    assert more.targets > 1.5 * batch.targets
    few = opened(data | {"mean_noise_span_length": 8.0}, model=model).source.batch(1, 0)
    assert (few.targets_BT > 255).sum() < (batch.targets_BT > 255).sum()


def test_a_t5_learns_to_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"prompt": "ask {n}", "completion": "say {n}!"}}\n'
                            for n in range(60)))  # fmt: skip
    data = opened(
        {"path": str(path), "format": "instruction", "packing": "none"},
        model={"model_type": "t5"},
    )
    decode = data.tokenizer.decode
    for batch in steps(data, range(1, 9)):
        assert batch.encoder_tokens_BS is not None
        for read, shown, written in zip(
            batch.encoder_tokens_BS, batch.tokens_BT, batch.targets_BT, strict=True
        ):
            asked = decode(read.tolist()).rstrip("\0")
            said = decode(written[written != IGNORE].tolist())
            assert asked.startswith("ask ")
            assert said == asked.replace("ask", "say") + "!\0"
            assert shown[0] == 0
            assert (shown[1:] == written[:-1])[written[1:] != IGNORE].all()


def classes(path: Path, *, pairs: bool = False) -> dict[str, object]:
    records = [{"text": f"this is number {n}", "label": n % 3} for n in range(90)]
    for record in records if pairs else ():
        record["second"] = "and so on"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return {"path": str(path), "format": "classification"}


@pytest.mark.honours("data.format")
@pytest.mark.parametrize("prepared", [False, True])
def test_a_bert_learns_classes(tmp_path: Path, *, prepared: bool) -> None:
    made = classes(tmp_path / "a.jsonl", pairs=True) | {"pair_field": "second"}
    model = {"model_type": "bert", "head": "classification", "num_labels": 3}
    if prepared:
        prepare(DataConfig(**made), tmp_path / "made")
        made["path"] = str(tmp_path / "made")
    source = opened(made, model=model)
    seen = set()
    for batch in [*steps(source, range(1, 20)), *source.held_out.batches()]:
        assert (batch.targets_BT[:, 1:] == IGNORE).all()
        for row, label in zip(batch.tokens_BT, batch.targets_BT[:, 0], strict=True):
            assert row[0] == 254
            first, second, *_ = bytes(row[1:].tolist()).split(b"\0")
            assert second == b"and so on"[: len(second)]
            number = int(first.rsplit(b" ", 1)[1])
            assert label == number % 3
            seen.add(number)
    assert len(seen) == 90
    with pytest.raises(ConfigError, match="class of number 2") as caught:
        opened(made, model=model | {"num_labels": 2})
    assert "--model.num_labels 3" in str(caught.value.fix)
    with pytest.raises((ConfigError, DataError), match=r"classif|classes"):
        opened(made | {"format": "text"}, model=model)


WORDS = {"model_type": "bert", "head": "token_classification", "num_labels": 3}


def tagged(path: Path) -> dict[str, Any]:
    records = [
        {"tokens": ["item", str(n), "är", "here"], "ner_tags": [0, n % 3, -100, 1]}
        for n in range(90)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return {
        "path": str(path), "format": "token_classification", "text_field": "tokens",
        "label_field": "ner_tags",
    }  # fmt: skip


@pytest.mark.honours("data.format", "model.head")
@pytest.mark.parametrize("prepared", [False, True])
def test_a_bert_learns_classes_of_words(tmp_path: Path, *, prepared: bool) -> None:
    made = tagged(tmp_path / "a.jsonl")
    if prepared:
        prepare(DataConfig(**made), tmp_path / "made")
        made["path"] = str(tmp_path / "made")
    source = opened(made, model=WORDS)
    seen = set()
    for batch in [*steps(source, range(1, 20)), *source.held_out.batches()]:
        for row, targets in zip(batch.tokens_BT, batch.targets_BT, strict=True):
            text, after, _ = bytes(row[1:].tolist()).partition(b"\0")
            assert row[0] == 254
            words = text.decode("utf-8", "ignore").split(" ")
            number = int(words[1])
            # The first byte of a word, which is the blank before all but the first, has its class.
            wanted = [IGNORE] * len(row)
            wanted[1] = 0
            wanted[1 + len("item")] = number % 3
            if (last := 1 + len(f"item {number} är".encode())) < 1 + len(text):
                wanted[last] = 1
            assert targets.tolist() == wanted
            assert not after or words[-1] == "here"
            seen.add(number)
    assert len(seen) == 90
    with pytest.raises(ConfigError, match="class of number 2") as caught:
        opened(made, model=WORDS | {"num_labels": 2})
    assert "--model.num_labels 3" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": "a text"}, "no list of words"),
        ({"ner_tags": [0]}, "no class for each word"),
        ({"ner_tags": [0, -1, 0, 0]}, "they count from 0"),
        ({"ner_tags": [0, "B-PER", 0, 0]}, "which is no number"),
    ],
)
def test_words_without_classes(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "a.jsonl"
    made = tagged(path)
    path.write_text(json.dumps({"tokens": list("abcd"), "ner_tags": [0] * 4} | change) + "\n")
    with pytest.raises(DataError, match=words):
        opened(made, model=WORDS)


@pytest.mark.parametrize("label", [None, "spam", True, -1, 1.5])
def test_a_label_that_is_none(tmp_path: Path, label: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x", "label": label}) + "\n")
    with pytest.raises(DataError, match="has no number of a class in field 'label'"):
        opened(
            {"path": str(path), "format": "classification"},
            model={"model_type": "bert", "head": "classification"},
        )


CLASSES = {"model_type": "bert", "head": "classification"}


@pytest.mark.parametrize(
    ("data", "model", "words", "fix"),
    [
        ({"format": "classification"}, {}, "cannot tell them apart", "--model.head classification"),
        ({}, CLASSES, "the records have none", "--data.format classification"),
        (
            {},
            {"model_type": "bert", "head": "token_classification"},
            "the records have none",
            "--data.format token_classification",
        ),
        (
            {"format": "classification"},
            {"model_type": "bert", "head": "token_classification"},
            "classes of words apart, and the records have classes of texts",
            "--model.head classification",
        ),
        (
            {"format": "classification", "streaming": True},
            CLASSES,
            "not streamed",
            "ava data prepare",
        ),
        (
            {"format": "instruction", "streaming": True},
            {"model_type": "t5"},
            "not streamed",
            "ava data prepare",
        ),
        ({}, {"model_type": "t5"}, "no room for the marks", "--model.vocab_size 320"),
        (
            {"packing": "documents"},
            {"model_type": "t5", "vocab_size": 320},
            "cannot keep texts apart",
            "--data.packing none",
        ),
        ({"format": "chat"}, {"model_type": "bert"}, "cannot learn to answer", "--data.format"),
    ],
)
def test_what_a_family_cannot_learn_from(
    tmp_path: Path, data: dict[str, str], model: dict[str, object], words: str, fix: str
) -> None:
    path = str(jsonl(tmp_path / "a.jsonl"))
    with pytest.raises(ConfigError, match=words) as caught:
        opened({"path": path, **data}, model=model)
    assert fix in str(caught.value.fix)

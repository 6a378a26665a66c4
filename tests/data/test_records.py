"""Records become texts, the loss counts the answers, and bad records are named and counted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import article, opened, steps
from workbench.config.schema.data import DataConfig
from workbench.data.batches import IGNORE
from workbench.data.opening import Opened
from workbench.data.reading import Unusable
from workbench.data.records import Maker
from workbench.data.tables import LONGEST_LINE, JsonLines, TextPieces
from workbench.errors import DataError, WorkbenchError


def write(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def learned(data: Opened) -> set[str]:
    """What the loss counts, row by row; texts as the tokenizer writes them."""
    found = set()
    for batch in steps(data, range(1, 30)):
        for targets in batch.targets_BT:
            found.add(data.tokenizer.decode(targets[targets != IGNORE].tolist()))
    return found


def shown(data: Opened) -> set[str]:
    """The whole texts."""
    found = set()
    for batch in steps(data, range(1, 30)):
        for row, targets in zip(batch.tokens_BT, batch.targets_BT, strict=True):
            end = np.flatnonzero(targets != IGNORE)[-1]
            found.add(data.tokenizer.decode([*row[: end + 1].tolist()]))
    return found


CONVERSATION = (
    "<|system|>\nBe {n}.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello {n}<|end|>\n"
    "<|user|>\nBye<|end|>\n<|assistant|>\nSo long<|end|>"
)
ONE_EACH = {"packing": "none", "max_length": 400}


@pytest.mark.honours("data.format")
@pytest.mark.parametrize(
    ("form", "record", "text", "answers"),
    [
        ("instruction", {"prompt": "Q{n}: ", "completion": "A{n}"}, "Q{n}: A{n}", "A{n}\0"),
        (
            "instruction",
            {"instruction": "Add {n}.", "input": "", "output": "Done {n}"},
            "### Instruction:\nAdd {n}.\n\n### Response:\nDone {n}",
            "Done {n}\0",
        ),
        (
            "instruction",
            {"instruction": "Add.", "input": "to {n}", "output": "Done {n}"},
            "### Instruction:\nAdd.\n\n### Input:\nto {n}\n\n### Response:\nDone {n}",
            "Done {n}\0",
        ),
        (
            "chat",
            {
                "messages": [
                    {"role": "system", "content": "Be {n}."},
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Hello {n}"},
                    {"role": "user", "content": "Bye"},
                    {"role": "assistant", "content": "So long"},
                ]
            },
            CONVERSATION,
            "Hello {n}<|end|>So long<|end|>\0",
        ),
    ],
)
def test_the_loss_counts_answers_only(
    tmp_path: Path, form: str, record: dict[str, Any], text: str, answers: str
) -> None:
    records = [json.loads(json.dumps(record).replace("{n}", str(n))) for n in range(40)]
    data = opened({"path": write(tmp_path / "a.jsonl", records), "format": form, **ONE_EACH})
    all_answers = {answers.replace("{n}", str(n)) for n in range(40)}
    all_texts = {text.replace("{n}", str(n)) for n in range(40)}
    assert learned(data) <= all_answers
    assert shown(data) <= all_texts
    assert 36 <= len(shown(data)) <= 38  # two or three are held out
    plain = opened({"path": write(tmp_path / "b.jsonl", [{"text": t} for t in all_texts]),
                    **ONE_EACH})  # fmt: skip
    assert not learned(plain) & all_answers


def test_instructions_can_share_a_sequence(tmp_path: Path) -> None:
    records = [{"prompt": f"what is {n}? ", "completion": f"it is {n}"} for n in range(90)]
    path = write(tmp_path / "a.jsonl", records)
    for packing in ("stream", "documents"):
        data = opened({"path": path, "format": "instruction", "packing": packing})
        for batch in steps(data, range(1, 9)):
            for row, targets in zip(batch.tokens_BT, batch.targets_BT, strict=True):
                counted = targets != IGNORE
                assert 0 < counted.sum() < len(row)
                assert (targets[:-1] == row[1:])[counted[:-1]].all()
                assert b"what" not in bytes(targets[counted].tolist())


def test_few_instructions_are_held_out_whole(tmp_path: Path) -> None:
    records = [{"prompt": f"what is {n}? ", "completion": f"it is {n}"} for n in range(5)]
    data = opened(
        {"path": write(tmp_path / "a.jsonl", records), "format": "instruction", **ONE_EACH}
    )
    (held,) = [row for b in data.held_out.batches() for row in b.tokens_BT]
    assert held.tobytes() not in {
        row[: len(held)].tobytes() for b in steps(data, range(1, 9)) for row in b.tokens_BT
    }


@pytest.mark.honours(
    "data.multi_column.enabled",
    "data.multi_column.combine_strategy",
    "data.multi_column.column_names",
    "data.multi_column.column_types",
    "data.multi_column.column_roles",
    "data.multi_column.column_template",
)
@pytest.mark.parametrize(
    ("options", "text", "answers"),
    [
        ({"column_names": ["q", "a"]}, "why {n}\nbecause {n}", None),
        (
            {"column_names": ["q", "a"], "column_roles": ["input", "target"]},
            "why {n}\nbecause {n}",
            "\nbecause {n}\0",
        ),
        (
            {"column_names": ["a", "n"], "column_types": ["text", "numeric"]},
            "because {n}\n{n}",
            None,
        ),
        (
            {"column_names": ["q", "a", "n"], "column_roles": ["input", "target", "auxiliary"]},
            "why {n}\nbecause {n}",
            "\nbecause {n}\0",
        ),
        (
            {"combine_strategy": "template", "column_template": "Q: {{q}} A: {{a}}!"},
            "Q: why {n} A: because {n}!",
            None,
        ),
        (
            {
                "combine_strategy": "template",
                "column_template": "Q: {{q}} A: {{a}}",
                "column_names": ["q", "a"],
                "column_roles": ["input", "target"],
            },
            "Q: why {n} A: because {n}",
            "because {n}\0",
        ),
    ],
)
def test_columns_become_one_text(
    tmp_path: Path, options: dict[str, Any], text: str, answers: str | None
) -> None:
    records = [{"q": f"why {n}", "a": f"because {n}", "n": n} for n in range(40)]
    options = json.loads(json.dumps(options).replace("{{", "{").replace("}}", "}"))
    path = write(tmp_path / "a.jsonl", records)
    data = opened({"path": path, "multi_column": {"enabled": True, **options}, **ONE_EACH})
    assert shown(data) <= {text.replace("{n}", str(n)) for n in range(40)}
    assert len(shown(data)) > 30
    if answers is not None:
        assert learned(data) <= {answers.replace("{n}", str(n)) for n in range(40)}


def test_columns_may_be_texts_of_their_own(tmp_path: Path) -> None:
    records = [{"q": f"why {n}", "a": f"because {n}"} for n in range(40)]
    columns = {"enabled": True, "combine_strategy": "separate"}
    data = opened({"path": write(tmp_path / "a.jsonl", records), "multi_column": columns,
                   **ONE_EACH})  # fmt: skip
    texts = {f"why {n}" for n in range(40)} | {f"because {n}" for n in range(40)}
    assert shown(data) <= texts
    assert len(shown(data)) > 70


@pytest.mark.parametrize("template", ["", "no field", "{", "{q!r}", "{q:>9}", "{}", "{q.upper}"])
def test_a_template_that_is_none(tmp_path: Path, template: str) -> None:
    columns = {"enabled": True, "combine_strategy": "template", "column_template": template}
    path = write(tmp_path / "a.jsonl", [{"q": "x"}])
    with pytest.raises(DataError, match="template"):
        opened({"path": path, "multi_column": columns})


TEXT_BAD: dict[str, bytes] = {
    "no json": b"{broken",
    "cut off": b'{"text": "abc',
    "an array": b'["text"]',
    "a number": b"17",
    "no field": b'{"body": "abc"}',
    "no text": b'{"text": null}',
    "blank": b'{"text": "  \\n"}',
    "a zero byte": b'{"text": "a\\u0000b"}',
    "a raw zero byte": b'{"text": "a\0b"}',
    "half a pair": b'{"text": "\\ud800"}',
    "latin-1": b'{"text": "caf\xe9"}',
    "too deep": b"[" * 100_000,
    "a number too long": b"1" * 5000,
    "10 MB": b'{"text": "' + b"x" * LONGEST_LINE + b'"}',
}


@pytest.mark.honours("data.skip_malformed_sequences")
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("bad", TEXT_BAD)
def test_a_bad_line_among_many_is_counted_and_named(
    tmp_path: Path, bad: str, *, streaming: bool
) -> None:
    good = [json.dumps({"text": article(n, 2)}).encode() for n in range(200)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([*good[:50], TEXT_BAD[bad], b"", *good[50:]]) + b"\n")
    data = {"path": str(path), "streaming": streaming, "max_eval_examples": 500}
    source = opened(data)
    (skip,) = source.skipped
    assert skip.path == f"{path}:51"
    assert skip.why.startswith(("is ", "has ", "holds "))
    steps(source, range(1, 9))
    with pytest.raises(DataError) as caught:
        steps(opened(data | {"skip_malformed_sequences": False}), range(1, 30))
    assert str(caught.value.where) == f"{path}:51"
    assert caught.value.fix
    # One in a hundred is a scratch; more is another kind of file.
    path.write_bytes(b"\n".join([*good, *[TEXT_BAD[bad][:90_000]] * 3]) + b"\n")
    if bad != "10 MB":
        with pytest.raises(DataError, match="3 ") as caught:
            steps(opened(data), range(1, 80))
        assert str(caught.value.where) == f"{path}:201"


def test_what_is_wrong_with_instructions_and_conversations(tmp_path: Path) -> None:
    cases = [
        ("instruction", {"text": "x"}, "has no field 'prompt', 'instruction' or 'messages'"),
        ("instruction", {"prompt": "x"}, "has no text in field 'completion'"),
        ("instruction", {"prompt": " ", "completion": "y"}, "has no text in field 'prompt'"),
        ("instruction", {"instruction": "x", "output": 3}, "has no text in field 'output'"),
        ("chat", {"text": "x"}, "has no list in field 'messages'"),
        ("chat", {"messages": []}, "has no list in field 'messages'"),
        ("chat", {"messages": ["x"]}, "has a message that is no object"),
        ("chat", {"messages": [{"role": "robot", "content": "x"}]}, "of role 'robot'"),
        ("chat", {"messages": [{"role": "user", "content": "x"}]}, "no message of the assistant"),
        ("chat", {"messages": [{"role": "user", "content": "a<|end|>"}]}, "the mark <|end|>"),
    ]
    for form, record, why in cases:
        path = write(tmp_path / "a.jsonl", [record])
        with pytest.raises(DataError) as caught:
            opened({"path": path, "format": form})
        assert why in caught.value.what
        assert str(caught.value.where) == f"{path}:1"
        assert "every record should be like" in str(caught.value.fix)
    (tmp_path / "a.txt").write_text(article(1))
    with pytest.raises(DataError, match="holds plain text, not records"):
        opened({"path": str(tmp_path / "a.txt"), "format": "chat"})


def _read_all(table: JsonLines | TextPieces, count: int) -> Iterator[Any]:
    cursor: list[int] | None = table.start
    while cursor is not None:
        items, cursor = table.read(json.loads(json.dumps(cursor)), count)
        yield from items


junk = st.lists(
    st.one_of(st.binary(max_size=30), st.sampled_from(list(TEXT_BAD.values())[:11])), max_size=12
)


@given(lines=junk, count=st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_records_or_named(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], count: int
) -> None:
    path = tmp_path_factory.mktemp("junk") / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    maker = Maker(DataConfig())
    with contextlib.suppress(WorkbenchError, Unusable):  # one of our messages, nothing else
        once = list(_read_all(JsonLines(path, maker), 10**6))
        assert once == list(_read_all(JsonLines(path, maker), count))
        opened({"path": str(path), "max_length": 4})


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1))
@settings(max_examples=200, deadline=None)
def test_pieces_of_a_text_are_the_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    from workbench.data import tables

    path = tmp_path_factory.mktemp("pieces") / "a.txt"
    path.write_text(text)
    before = tables.PIECE
    tables.PIECE = 7
    try:
        pieces = list(_read_all(TextPieces(path), 2))
    finally:
        tables.PIECE = before
    joined = "".join(each.text for each in pieces)
    # A piece of blank lines is no text; everything else is there, in order.
    assert "".join(joined.split()) == "".join(text.split())

"""What holds for every system and every real file: nothing is lost, and nothing raises."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from workbench.cli import main
from workbench.config.checking import validate
from workbench.config.keys import keys, mappings
from workbench.config.layers import Composed, compose
from workbench.config.reading import read_yaml
from workbench.config.schema import Config
from workbench.dialects.base import Foreign, Guess, Reading
from workbench.dialects.building import Builder, Keep, NoPlace, To
from workbench.dialects.fitting import fit
from workbench.dialects.joining import flat, join
from workbench.dialects.layer_file import layer_text
from workbench.dialects.opening import foreign_text, open_foreign
from workbench.dialects.parsing import leaves, parse
from workbench.dialects.registry import NAMES, dialect, guess, understand
from workbench.dialects.telling import Teller
from workbench.errors import ConfigError, UsageError

UPSTREAM = SHARED / "upstream"
NO_CONFIGS = (
    "README.md",
    "lr_finder_results.json",  # what Ava's search for a learning rate found
)
SYSTEMS = {"deepspeed_examples": "deepspeed"}
"""Folders whose name is not the system's."""


def _files() -> list[Path]:
    found = [path for path in UPSTREAM.rglob("*") if path.is_file()]
    return sorted(path for path in found if path.name not in NO_CONFIGS)


FILES = _files()
needs_files = pytest.mark.skipif(not FILES, reason="the upstream files are not here")
each_file = pytest.mark.parametrize(
    "path", FILES, ids=[path.relative_to(UPSTREAM).as_posix() for path in FILES]
)


@cache
def read(path: Path) -> tuple[Foreign, Reading, Guess]:
    foreign, remarks = open_foreign(path)
    return foreign, *understand(foreign, None, remarks)


def composed(reading: Reading) -> tuple[Config, Composed]:
    stack = compose([reading.layer])
    config, findings = validate(stack)
    assert config is not None, findings
    return config, stack


def said(reading: Reading) -> dict[str, Any]:
    """The layer's keys; the name of the file is none of its values."""
    return {key: value for key, value in flat(reading.layer.tree) if key != "imported.source"}


# ---------------------------------------------------------------- every real file


@each_file
def test_the_system_is_guessed_and_the_reason_is_given(path: Path) -> None:
    folder = path.relative_to(UPSTREAM).parts[0]
    system = "deepspeed" if "deepspeed_config" in path.name else SYSTEMS.get(folder, folder)
    foreign, reading, found = read(path)
    assert reading.system == system
    assert found.reason
    others = [each.score for name, each in guess(foreign) if name != system]
    assert found.score > max(others, default=0)


@each_file
def test_every_key_is_understood_kept_or_reported(path: Path) -> None:
    foreign, reading, _ = read(path)
    try:
        tree = parse(foreign, last_wins=True)[0].tree
    except ConfigError:
        pytest.skip("lists of flags and several documents: the system's own tests look at them")
    told = {*reading.places, *(".".join(each.path) for each in reading.residue)}
    told |= {remark.path for remark in reading.remarks if remark.path}

    def is_told(leaf: tuple[str, ...]) -> bool:
        return any(".".join(leaf[:depth]) in told for depth in range(1, len(leaf) + 1))

    assert [".".join(leaf) for leaf, _ in leaves(tree) if not is_told(leaf)] == []


@each_file
def test_the_layer_holds_keys_of_the_schema_that_a_plan_takes(path: Path) -> None:
    _, reading, _ = read(path)
    assert [key for key in said(reading) if key not in keys()] == []
    composed(reading)


@each_file
def test_marks_point_to_lines_of_the_file(path: Path) -> None:
    foreign, reading, _ = read(path)
    lines = foreign.text.count("\n") + 1
    places = [mark.line for mark in reading.layer.marks.values()]
    told = [each.line for each in reading.residue] + [each.line for each in reading.remarks]
    places += [line for line in told if line is not None]
    assert all(1 <= line <= lines for line in places)


@each_file
def test_what_is_written_is_read_as_it_was(path: Path) -> None:
    _, reading, _ = read(path)
    config, stack = composed(reading)
    writing = dialect(reading.system).write(config, chosen=frozenset(stack.origins))
    again = [
        dialect(reading.system).read(Foreign(Path(name), text))
        for name, text in writing.files.items()
        if dialect(reading.system).recognise(Foreign(Path(name), text)) is not None
    ]
    assert again, list(writing.files)
    layer = join(again).layer
    before = said(reading)
    after = {key: value for key, value in flat(layer.tree) if key != "imported.source"}
    assert after == before


@each_file
def test_the_layer_file_says_what_the_layer_says(path: Path) -> None:
    _, reading, _ = read(path)
    text = layer_text(reading.layer.tree, [reading], [dialect(reading.system).title])
    assert read_yaml(text, "layer.yaml").tree == reading.layer.tree
    assert max(map(len, text.splitlines())) <= 100 or "imported" in text


@each_file
def test_it_is_shown_to_people_and_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, reading, _ = read(path)
    refused = any(remark.verdict == "refused" for remark in reading.remarks)
    assert main(["lint", str(path)]) == int(refused)
    out, err = capsys.readouterr()
    assert reading.layer.name in out
    assert err == ""
    assert main(["lint", str(path), "--json"]) == int(refused)
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert set(file["understood"]) == set(reading.places)


@each_file
def test_it_is_exported_to_every_system_or_refused_in_one_message(path: Path) -> None:
    _, reading, _ = read(path)
    config, stack = composed(reading)
    for system in NAMES:
        try:
            writing = dialect(system).write(config, chosen=frozenset(stack.origins))
        except ConfigError:
            continue  # such a network, or such a division of it, the system has not
        assert writing.files


# ---------------------------------------------------------------- broken files


Accident = Callable[[str, int, int, random.Random], str]


def _shuffled(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    rng.shuffle(lines)
    return "".join(lines)


def _other_numbers(text: str, rng: random.Random) -> str:
    words = ["null", "[]", "{}", "-1", "1e400", '"auto"', "true", "9" * 50, "NaN", '"é"']
    return text.replace(str(rng.randrange(10)), rng.choice(words), 3)


_ODD = "{}[]\":,\t-#\x85\u2028é&*!|>'$`\\\0"
_DEEP = ("{" * 200, "[" * 200, '{"a":' * 100, "- " * 100)
ACCIDENTS: tuple[Accident, ...] = (
    lambda text, at, _end, _rng: text[:at],
    lambda text, at, end, _rng: text[:at] + text[end:],
    lambda text, at, end, _rng: text[:end] + text[at:],
    lambda text, at, _end, rng: text[:at] + rng.choice(_ODD) + text[at:],
    lambda text, at, _end, rng: text[:at] + rng.choice(_DEEP) + text[at:],
    lambda text, _at, _end, rng: _shuffled(text, rng),
    lambda text, _at, _end, rng: _other_numbers(text, rng),
    lambda text, _at, _end, rng: "".join(
        line for line in text.splitlines(keepends=True) if rng.random() > 0.2
    ),
)
"""What can happen to a file: cut, doubled, a character gone wrong, a line elsewhere."""


def _mutated(text: str, rng: random.Random) -> str:
    at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    return rng.choice(ACCIDENTS)(text, at, end, rng)


def _survives(foreign: Foreign, system: str | None = None) -> Reading | None:
    try:
        reading, _ = understand(foreign, system)
    except ConfigError:
        return None
    composed(reading)
    text = layer_text(reading.layer.tree, [reading], ["a system"])
    assert read_yaml(text, "layer.yaml").tree == reading.layer.tree
    return reading


@needs_files
@pytest.mark.parametrize("seed", range(150))
def test_no_accident_makes_a_traceback(seed: int) -> None:
    rng = random.Random(seed)
    path = rng.choice(FILES)
    text = read(path)[0].text
    for _ in range(rng.randrange(1, 4)):
        text = _mutated(text, rng)
    foreign = Foreign(path, text)
    reading = _survives(foreign)
    if reading is not None:
        config, stack = composed(reading)
        with contextlib.suppress(ConfigError):
            dialect(reading.system).write(config, chosen=frozenset(stack.origins))


@needs_files
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(150, 1500))
def test_no_accident_makes_a_traceback_at_length(seed: int) -> None:
    test_no_accident_makes_a_traceback(seed)


@needs_files
@pytest.mark.parametrize("system", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_another_systems_file_is_one_message_or_a_reading(system: str, seed: int) -> None:
    path = random.Random(f"{system}{seed}").choice(FILES)
    _survives(read(path)[0], system)


@pytest.mark.parametrize("system", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        "a",
        "a: b",
        "model:",
        "model: []",
        "{" * 500,
        "[[" * 300,
        "\x01\x02",
        "---",
    ],
)
def test_nearly_nothing_is_one_message_or_a_reading(system: str, text: str) -> None:
    for name in ("file.json", "file.yaml", "file.txt"):
        _survives(Foreign(Path(name), text), system)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"{\x00\x01\x02}", "binary"),
        (bytes(range(128, 256)) * 40, "not UTF-8"),
    ],
)
def test_what_is_no_text_is_one_message(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        foreign_text(raw, "file.json")


@pytest.mark.parametrize(
    ("raw", "repaired"),
    [
        ('\ufeff{"a": 1}'.encode(), None),
        ('{"a": "é"}'.encode("utf-16"), "UTF-16"),
        ('{"a": "é"}'.encode("utf-32"), "UTF-32"),
        ('{"a": "caf\xe9 au lait, 20 degrees"}'.encode("cp1252"), "Windows-1252"),
        ('{"a": "step — by — step"}'.encode().decode("cp1252").encode(), "garbled"),
    ],
)
def test_other_encodings_are_read_and_said(raw: bytes, repaired: str | None) -> None:
    text, remarks = foreign_text(raw, "file.json")
    assert parse(Foreign(Path("f.json"), text))[0].tree
    assert [repaired in remark.message for remark in remarks if repaired] == [True] * len(remarks)
    assert bool(remarks) == (repaired is not None)


def test_a_mechanical_fault_is_repaired_and_said() -> None:
    foreign = Foreign(Path("f.yaml"), "training:\n  a: falseperformance:\n  b: 1\n")
    document, remarks = parse(foreign)
    assert document.tree
    assert remarks[0].kind == "repaired"


def test_a_key_that_stands_twice_is_refused_or_said() -> None:
    foreign = Foreign(Path("f.json"), '{"a": {"b": 1,\n "b": 2}}')
    with pytest.raises(ConfigError, match="stands twice"):
        parse(foreign)
    document, remarks = parse(foreign, last_wins=True)
    assert document.tree == {"a": {"b": 2}}
    assert (remarks[0].path, remarks[0].verdict, remarks[0].line) == ("a.b", "ignored", 1)


def test_a_file_of_nobodys_is_one_message() -> None:
    with pytest.raises(ConfigError, match="none of the known systems"):
        understand(Foreign(Path("f.json"), '{"name": "left-pad", "version": "1.3.0"}'))
    with pytest.raises(UsageError, match="no system"):
        understand(Foreign(Path("f.json"), "{}"), "deepspeeed")


# ---------------------------------------------------------------- the parts


def builder(tree: dict[str, Any]) -> Builder:
    foreign = Foreign(Path("f.json"), json.dumps(tree))
    return Builder.of("deepspeed", foreign, *parse(foreign))


def test_a_builder_turns_what_it_is_not_told_into_residue() -> None:
    made = builder({"a": 4, "b": {"c": "x", "_comment": "y"}, "bad": -1})
    made.apply({"a": To("training.batch_size"), "bad": To("training.max_steps")})
    reading = made.reading(rest="nobody knows")
    assert reading.places == {"a": ("training.batch_size",)}
    assert reading.layer.tree["training"] == {"batch_size": 4}
    assert reading.layer.tree["imported"]["keys"] == {
        "bad": -1,
        "b": {"c": "x", "_comment": "y"},
    }
    reasons = {each.path: each.reason for each in reading.residue}
    assert reasons["b", "c"] == "nobody knows"
    assert reasons["b", "_comment"] == "a comment"
    assert "a whole number ≥ 1" in reasons["bad",]


def test_a_table_says_what_upstream_does_and_what_was_translated() -> None:
    made = builder({"a": 2, "b": 1})
    made.apply({"a": To("run.seed", note="their seed"), "b": Keep("nobody reads it", "ignored")})
    kinds = [(remark.path, remark.kind, remark.verdict) for remark in made.reading().remarks]
    assert kinds == [("a", "translated", None), ("b", "upstream", "ignored")]


@pytest.mark.parametrize(
    ("key", "given", "meant"),
    [
        ("training.batch_size", 8.0, 8),
        ("training.batch_size", "8", 8),
        ("training.learning_rate", "3e-5", 3e-5),
        ("training.amsgrad", "yes", True),
        ("training.amsgrad", 0, False),
        ("model.head_dim", None, None),
        ("model.hidden_act", "swiglu", "swiglu"),
        ("run.tags", ["a"], ["a"]),
    ],
)
def test_values_fit_their_keys(key: str, given: Any, meant: Any) -> None:
    assert fit(key, given) == meant


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("training.batch_size", 0),
        ("training.batch_size", 8.5),
        ("training.batch_size", True),
        ("training.batch_size", 10**20),
        ("training.learning_rate", float("nan")),
        ("training.amsgrad", "perhaps"),
        ("model.hidden_act", "tanh"),
        ("model.hidden_size", None),
        ("run.name", "x" * 81),
        ("run.name", ["a"]),
        ("run.tags", "a"),
        ("run.tags", [1]),
    ],
)
def test_values_that_do_not_fit_have_no_place(key: str, given: Any) -> None:
    with pytest.raises(NoPlace):
        fit(key, given)


def test_a_teller_names_what_it_was_not_told() -> None:
    made = builder({"a": 4, "rest": {"b": 1}})
    made.apply({"a": To("training.batch_size")})
    reading = made.reading()
    config, stack = composed(reading)
    teller = Teller("deepspeed", config, frozenset({*stack.origins, "run.seed"}))
    teller.apply({"a": To("training.batch_size")})
    writing = teller.writing({"f.json": json.dumps(teller.tree)}, rest="no such key")
    assert teller.tree == {"rest": {"b": 1}, "a": 4}
    assert [(lost.path, lost.reason) for lost in writing.lost] == [("run.seed", "no such key")]


def test_the_residue_of_every_system_survives_joining() -> None:
    first = builder({"a": 4, "only": 1})
    first.apply({"a": To("training.batch_size")})
    foreign = Foreign(Path("g.json"), '{"b": 8, "other": 2}')
    second = Builder.of("huggingface", foreign, *parse(foreign))
    second.apply({"b": To("training.batch_size")})
    joined = join([first.reading(), second.reading()])
    assert joined.layer.tree["training"] == {"batch_size": 8}
    assert joined.layer.tree["imported"] == {
        "system": "deepspeed",
        "source": "f.json, g.json",
        "keys": {"only": 1},
        "others": {"huggingface": {"other": 2}},
    }
    assert "4 in f.json and 8 in g.json" in joined.remarks[0].message
    assert "imported.others" in mappings()

"""Whatever is done to a file, it becomes a config, findings or one refusal: never anything else.

The seed of a case is its number, so a failure is repeated with ``judge(*case(NUMBER))``.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import resource
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, SHARED
from workbench.config.editing import edit_text
from workbench.config.findings import Edit, FindingsError
from workbench.config.keys import keys
from workbench.config.layers import Layer, compose
from workbench.config.reading import decode, read_document
from workbench.config.repairs import repair
from workbench.errors import ConfigError
from workbench.plan import Plan, plan_from

CASES = 20_000
CHUNK = 1_000
SAMPLE = 300
MAX_CPU_S = 1.0
MAX_GROWTH_KB = 500_000

TOKENS = """
    3e-5 1e400 -0 010 0x1F 1_000 12:30 2026-01-01 .nan .inf -.inf 1.0 99999999999999999999 -1 0
    true yes no on Off null ~ None nan = << <<: - -- --- ... ? ?? : :: , # % @ ` ! !! | > |+ >-
    &a *a &a&a *missing !!python/object/apply:os.system !!binary !!str !!int
    [ ] { } [] {} [[ ]] {{ }} " ' \\ "\\x41" '' "" // /* */ NaN Infinity
    \u00a0 \u2028 \u200b \u0085 \ufeff \u201cx\u201d \u2018 \u00e9 \u20ac
    \u00e2\u20ac\u201d \u221a\u00a9
    \ufffd \U0001f680 \x07 \x1b[31m \t model training data extends
    batch_size learning_rate hidden_size num_layers gpu/tiny {a: [1, {b: *a}]} [1,[2,[3]]]
""".split(" ")  # noqa: SIM905  a table of words; some of them are white space themselves
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2.5,
        1e30,
        "",
        "yes",
        "3e-5",
        "~nobody/x",
        "a/" * 200,
        "x" * 300,
        "../x",
    ),
    *("a\0b", "\n", "é", [], {}, [[]], [None], {"": 1}, 10**30, float("nan")),
)
BOMBS = (
    "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "x: " + "[" * 3000,
    "y: " + "{a: " * 3000,
    "".join(" " * n + "d:\n" for n in range(200)),
    "z: " + "9" * 5000 + "\n",
    "w: " + "a" * 50_000 + "\n",
    "".join(f"k{n}: {n}\n" for n in range(3000)),
)


@cache
def corpus() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """The shipped configs and, where they are at hand, the real files of other systems."""
    shipped, real = _files(ROOT / "configs"), _files(SHARED / "upstream")
    return shipped, real or shipped


def _files(folder: Path) -> list[tuple[str, bytes]]:
    paths = (path for path in sorted(folder.rglob("*.*")) if path.suffix in (".yaml", ".json"))
    return [(path.suffix, path.read_bytes()) for path in paths]


def _file(rng: random.Random) -> tuple[str, bytes]:
    return rng.choice(rng.choice(corpus()))


def case(number: int) -> tuple[str, bytes, random.Random]:
    """A file with one to four faults, always the same for a number."""
    rng = random.Random(number)
    suffix, raw = _file(rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        raw = rng.choice((_bytes, _tokens, _structure, _tree, _tree))(raw, rng)
    if rng.random() < 0.02:
        suffix = rng.choice((".yaml", ".json", ""))
    return suffix, raw, rng


def _bytes(raw: bytes, rng: random.Random) -> bytes:
    at, length = rng.randint(0, len(raw)), rng.choice((1, 1, 1, 2, 8, 64, 512))
    piece = raw[at : at + length]
    other = _file(rng)[1]
    start = rng.randint(0, len(other))
    middle = rng.choice(
        (
            b"",
            piece * 2,
            bytes(rng.randrange(256) for _ in range(length)),
            bytes([rng.choice(b"\0\t\r\n :#-[]{},'\"&*!|>%@`\\\x80\xa0\xc2\xff\xfe")]),
            bytes(byte ^ (1 << rng.randrange(8)) for byte in piece),
            other[start : start + length],
            piece[::-1],
            piece.upper(),
        )
    )
    if rng.random() < 0.05:
        return raw[:at]
    return raw[:at] + middle + raw[at + len(piece) :]


def _tokens(raw: bytes, rng: random.Random) -> bytes:
    words = re.split(r"(\s+|[:,\[\]{}])", raw.decode(errors="surrogateescape"))
    index = rng.randrange(len(words))
    token = rng.choice(TOKENS)
    action = rng.randrange(4)
    if action == 0:
        words[index] = token
    elif action == 1:
        words[index] += token
    elif action == 2:
        words[index] = f" {token} "
    else:
        other = rng.randrange(len(words))
        words[index], words[other] = words[other], words[index]
    return "".join(words).encode(
        errors="surrogatepass" if rng.random() < 0.01 else "surrogateescape"
    )


def _structure(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.split(b"\n")
    index = rng.randrange(len(lines))
    acts: list[Callable[[], list[bytes]]] = [
        lambda: lines[:index] + lines[index + 1 :],
        lambda: [*lines[:index], lines[index], *lines[index:]],
        lambda: [*lines[:index], lines[index] * rng.choice((2, 50)), *lines[index + 1 :]],
        lambda: [*lines[:index], lines[index].lstrip(), *lines[index + 1 :]],
        lambda: [*lines[:index], b" " * rng.randint(1, 9) + lines[index], *lines[index + 1 :]],
        lambda: [*lines[:index], b"\t" + lines[index], *lines[index + 1 :]],
        lambda: [*lines[:index], b"".join(lines[index : index + 2]), *lines[index + 2 :]],
        lambda: rng.sample(lines, len(lines)),
        lambda: [b"wrap:", *(b"  " + line for line in lines)],
        lambda: [b"[", *lines, b"]"],
        lambda: [*lines, b"---", *lines],
        lambda: [*lines[:index], b"extends: [nowhere]", *lines[index:]],
        lambda: [*lines[:index], rng.choice(BOMBS).encode(), *lines[index:]],
        lambda: [line + b"\r" for line in lines],
        lambda: lines[index:] + lines[:index],
        lambda: [
            raw.decode(errors="replace").encode(rng.choice(("utf-16", "cp500", "utf-7")), "replace")
        ],
        lambda: [raw.decode("latin-1").encode()],
    ]
    return b"\n".join(rng.choice(acts)())


def _tree(raw: bytes, rng: random.Random) -> bytes:
    """Wrong names, wrong types and misplaced keys in a file that stays readable."""
    try:
        tree: Any = read_document(raw.decode(), "").tree
    except (ConfigError, UnicodeDecodeError):
        return raw
    for _ in range(rng.randint(1, 5)):
        section = tree
        while rng.random() < 0.7:
            inner = [value for value in section.values() if isinstance(value, dict) and value]
            if not inner:
                break
            section = rng.choice(inner)
        if not section:
            break
        key = rng.choice(list(section))
        value = section[key]
        act = rng.randrange(6)
        if act == 0:  # a misspelt key
            at = rng.randint(0, len(key))
            section[key[:at] + rng.choice(("", "x", "_", "-", " ", "é", ".")) + key[at + 1 :]] = (
                value
            )
            section.pop(key)
        elif act == 1:
            section[key] = rng.choice(VALUES)
        elif act == 2:
            section[key] = rng.choice(([value], {key: value}, str(value), [value, value]))
        elif act == 3:
            tree[key] = section.pop(key)
        elif act == 4:
            section[rng.choice(list(tree))] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            section[key] = value * rng.choice((-1, 0, 0.5, 2, 1000, 10**12))
    return (json.dumps(tree) if rng.random() < 0.3 else yaml.safe_dump(tree)).encode()


def judge(suffix: str, raw: bytes, rng: random.Random) -> str:
    """Read, compose, check and edit; only the errors of a user may come out.

    Returns:
        What became of the file: refused, findings or config.
    """
    name = f"fuzz{suffix}"
    text = ""
    refused: ConfigError | None = None
    try:
        text = decode(raw, name)
        document = read_document(text, name)
    except ConfigError as error:
        refused = error
    if refused is not None:
        assert refused.what
        assert name in refused.render()
        repair(text, name)
        return "refused"
    for note in document.notes:
        assert note.render()
    _edit(document.tree, text, name, rng)
    outcome = _check(Plan(compose([Layer(name, document.tree, name, document.marks)])))
    json.dumps(document.tree)
    return outcome


def _check(plan: Plan) -> str:
    findings = plan.findings
    for finding in findings:
        assert finding.message
        assert finding.render()
        json.dumps(finding.to_dict(), default=str)
    errors = [finding for finding in findings if finding.severity == "error"]
    try:
        assert plan.equation
    except FindingsError:
        assert errors
        return "findings"
    return "findings" if errors else "config"


def _edit(tree: dict[str, Any], text: str, name: str, rng: random.Random) -> None:
    """A random edit is made exactly or refused; `edit_text` itself compares the trees."""
    path = []
    here: Any = tree
    while isinstance(here, dict) and here and rng.random() < 0.9:
        path.append(rng.choice(list(here)))
        here = here[path[-1]]
    value = rng.choice((1, 3e-5, "no", None, [1, 2], {"k": {"l": "é"}}, "a\nb", True))
    path += rng.choice(([], [], ["new"], ["new", "er"]))
    with contextlib.suppress(ConfigError):
        edit_text(text, [Edit(".".join(path), value, remove=rng.random() < 0.3)], name)


@contextlib.contextmanager
def _limited(what: str) -> Iterator[None]:
    """Name the case when it fails, and end it when it computes for longer than it may."""

    def stop(*_args: object) -> None:
        raise TimeoutError(f"more than {MAX_CPU_S} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_S)
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _run(first: int, count: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"refused": 0, "findings": 0, "config": 0}
    for number in range(first, first + count):
        suffix, raw, rng = case(number)
        with _limited(f"case {number}: {raw[:300]!r}"):
            outcomes[judge(suffix, raw, rng)] += 1
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < MAX_GROWTH_KB
    assert outcomes["refused"] > count / 20
    assert outcomes["findings"] > count / 20


def test_a_sample_of_broken_files() -> None:
    judge(*case(0))  # imports and caches are not the file's doing
    _run(0, SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_all_broken_files(first: int) -> None:
    judge(*case(first))
    _run(first, CHUNK)


def test_broken_files_on_disk(tmp_path: Path) -> None:
    refused = 0
    for number in range(CASES, CASES + 40):
        suffix, raw, _ = case(number)
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(raw)
        try:
            _check(plan_from(layers=[str(path)]))
        except ConfigError:
            refused += 1
    assert 0 < refused < 40


HOSTILE_VALUES = (*VALUES, -(10**30), 10**400, 1e308, float("inf"), "\ud800", "\x1b[31m", {"a": 1})


def _hostile(key: str, value: Any) -> None:
    """One key with a value that nobody expects: a config or findings, soon."""
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    with _limited(f"{key}: {repr(value)[:60]}"):
        _check(Plan(compose([Layer("fuzz", tree, "fuzz", {})])))


def test_every_key_survives_a_hostile_value() -> None:
    _hostile("model.vocab_size", 1)
    for number, key in enumerate(keys()):
        _hostile(key, HOSTILE_VALUES[number % len(HOSTILE_VALUES)])


@pytest.mark.slow
@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: repr(value)[:20])
def test_every_key_survives_every_hostile_value(value: object) -> None:
    _hostile("model.vocab_size", 1)
    for key in keys():
        _hostile(key, value)

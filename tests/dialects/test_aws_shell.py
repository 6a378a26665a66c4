"""Words as bash splits them: compared with bash itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from workbench.dialects.aws_fsdp.shell import assignments, is_placeholder, resolve, tokens
from workbench.errors import ConfigError

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")


def words(text: str) -> list[str]:
    return [token.text for token in tokens(text, "t") if token.sort == "word"]


@needs_bash
@pytest.mark.parametrize(
    "text",
    [
        "--a=1 --b=2",
        "--a='x y' --b=\"it's\"",
        "--a=x\\ y \\\n --b",
        "--a=1 # a comment, don't\n--b=2",
        "--a=a#b '#c'",
        '"a\\"b" \'c"d\' e\\\'f',
        '"two\nlines" three',
        '--sharding_strategy="full" \\ # https://x\n--b',
    ],
)
def test_words_are_bash_s_words(text: str) -> None:
    script = f"set -- \\\n{text}\n"
    array = f"declare -a A=(\n{text}\n)\nprintf '%s\\0' \"${{A[@]}}\""
    printed = subprocess.run(
        ["bash", "-c", array], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    assert words(text) == printed.split("\0")[:-1], script


def test_an_array_is_bracketed_and_lines_are_counted() -> None:
    found = tokens("A=8 # eight\ndeclare -a B=(\n  --x=$A\n)\n", "t")
    assert [(t.text, t.line) for t in found if t.sort == "word"] == [
        ("A=8", 1),
        ("declare", 2),
        ("-a", 2),
        ("B=", 2),
        ("--x=$A", 3),
    ]
    assert [t.sort for t in found if t.sort in ("open", "close")] == ["open", "close"]


def test_variables_are_put_in_where_the_script_sets_them() -> None:
    values = assignments(tokens("GPUS=8\nexport N=$GPUS\nP=${Q:-/x}\n", "t"))
    assert values == {"GPUS": "8", "N": "8", "P": "/x"}
    assert resolve("--n=${N} $M ${K:=3}", values) == "--n=8 $M 3"


def test_a_substitution_stays_as_it_is() -> None:
    assert words('--e=$(hostname -f "x") ${A[@]}') == ['--e=$(hostname -f "x")', "${A[@]}"]


@pytest.mark.parametrize("text", ["$A", "x${A}y", "$(a)", "{{ A }}", "`a`"])
def test_a_placeholder_is_known(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["", "a", "5$", "s3://b/$"])
def test_a_dollar_alone_is_none(text: str) -> None:
    assert not is_placeholder(text)


def test_an_open_quote_is_one_message() -> None:
    with pytest.raises(ConfigError, match="never closed") as caught:
        tokens("a\n'b c\n", "f.sh")
    assert caught.value.where == "f.sh:2"

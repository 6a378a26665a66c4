"""What the README shows is what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ava
from workbench.cli import COMMANDS
from workbench.config.keys import keys

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHOWN = [block for block in BLOCKS if block.startswith("$ ")]
# Everything after two spaces is a remark; training itself is tested elsewhere.
COMMAND_LINES = sorted(
    {
        re.split(r"\s{2,}", line.removeprefix("$ "))[0]
        for block in BLOCKS
        for line in block.splitlines()
        if line.removeprefix("$ ").startswith("ava config")
    }
)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_config_command_works(line: str, ava: Ava, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("training:\n  batch_size: 4\n")
    done = ava(*shlex.split(line)[1:])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", SHOWN)
def test_a_shown_answer_is_the_answer(block: str, ava: Ava) -> None:
    for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *lines = shown.strip().splitlines()
        if not lines:
            continue  # only the command is shown
        done = ava(*shlex.split(command)[1:], cwd=ROOT)
        told = (done.stdout + done.stderr).splitlines()
        assert [line for line in lines if line.strip() != "…" and line not in told] == []


def test_every_command_is_in_the_table() -> None:
    assert all(f"`ava {name}" in README for name in COMMANDS)


def test_the_figures_are_counted() -> None:
    assert f"{len(keys())} keys" in README
    reference = (ROOT / "configs" / "RULES.md").read_text()
    (rows,) = re.findall(r"(\d+) findings", reference)
    assert f"{rows} kinds of findings" in " ".join(README.split())
    assert reference.count("\n| `") == int(rows)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

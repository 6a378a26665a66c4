"""The linters are part of the suite: style, types, import contracts; see pyproject."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def tool(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.fail(f"{name} is not installed beside {sys.executable}: make test installs it")
    return str(path)


def test_style() -> None:
    run(tool("ruff"), "check", ".")


def test_format() -> None:
    run(tool("ruff"), "format", "--check", ".")


def test_types() -> None:
    run(tool("mypy"))


def test_import_contracts() -> None:
    run(tool("lint-imports"), "--no-cache")

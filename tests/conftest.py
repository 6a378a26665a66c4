"""What all tests share: a quiet machine, a private home, and one way to run the real command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# A model that trains in milliseconds; the shape is real, the size is not.
MINI = {
    "hidden_size": "16",
    "num_layers": "1",
    "num_attention_heads": "2",
    "intermediate_size": "32",
    "max_length": "32",
    "batch_size": "2",
    "max_eval_examples": "2",
    "max_new_tokens": "8",
}

Ava = Callable[..., subprocess.CompletedProcess[str]]


def mini(**changes: object) -> list[str]:
    """The mini model as command-line options."""
    options = MINI | {key: str(value) for key, value in changes.items()}
    return [word for key, value in options.items() for word in (f"--{key}", value)]


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests and their processes leave in the temporary folder goes with pytest's own."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("t"))
    tempfile.tempdir = None
    yield
    tempfile.tempdir = None
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before


@pytest.fixture(autouse=True)
def environment_of_one_test() -> Iterator[None]:
    """What a test, or a library in it, leaves in the environment is gone after it.

    DeepSpeed writes LOCAL_RANK and its like when it starts without a launcher.
    """
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A small text file, so that no test reads the whole standard library."""
    path = tmp_path / "text.txt"
    path.write_text("".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(400)))
    return path


@pytest.fixture
def ava(tmp_path: Path) -> Ava:
    """Run the real `ava` in a private folder and return what it printed."""

    def run(
        *args: str, cwd: Path | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *args],
            cwd=cwd or tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run

"""The tracer as a service: asked in a process of its own, its answers kept until the code changes.

Whoever asks never imports torch. A trace is a pure function of the trainer's code and of the plan,
so its answer is kept under the user's cache directory by a hash of both.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.config.schema import Config

# What a trace depends on, below `workbench`.
_CODE = ("models", "training", "config/schema", "data/corrupt.py")
_NOT_TRACED = ("run", "logging", "checkpointing", "evaluation", "rlhf", "rag")
_PATIENCE = 600
"""Seconds; a trace takes some, a large sharded one tens of them."""


class Trace(NamedTuple):
    """What a trace found.

    Attributes:
        peak: Bytes on one device at the largest moment of a step.
        moment: Which part of the step that is.
        moments: The largest moment of each part.
        traced: The depths that were traced, in words.
        seconds: Time it took when it was made.
        kept: Whether the answer was kept from before.
    """

    peak: int
    moment: str
    moments: dict[str, int]
    traced: str
    seconds: float
    kept: bool

    def to_dict(self) -> dict[str, Any]:
        """The trace as JSON-ready data."""
        return self._asdict()


def trace_plan(config: Config, hardware: str | None) -> Trace:
    """The peak of a plan, traced.

    Args:
        config: The plan.
        hardware: The name of its device's profile; None is a CPU.

    Raises:
        WorkbenchError: The tracer cannot run it.
    """
    tree = config.model_dump(mode="json", exclude=set(_NOT_TRACED))
    return _ask({"config": tree, "hardware": hardware})


def trace_huggingface(
    path: str,
    *,
    batch_size: int = 1,
    max_length: int = 512,
    mixed_precision: str = "bf16",
    gradient_checkpointing: bool = False,
) -> Trace:
    """The peak of a Hugging Face model in training, traced; AdamW in one kernel, a GPU's rounding.

    Args:
        path: Its folder, or its ``config.json``.
        batch_size: Sequences.
        max_length: Tokens of each.
        mixed_precision: ``no``, or ``bf16`` for autocast.
        gradient_checkpointing: Whether the backward pass computes blocks again.

    Raises:
        WorkbenchError: It cannot be read or run.
    """
    file = Path(path).expanduser()
    file = file / "config.json" if file.is_dir() else file
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(
            "the model cannot be read", where=str(file), why=getattr(error, "strerror", None)
        ) from None
    return _ask(
        {
            "huggingface": content,
            "batch_size": batch_size,
            "max_length": max_length,
            "mixed_precision": mixed_precision,
            "gradient_checkpointing": gradient_checkpointing,
        }
    )


def _ask(request: dict[str, Any]) -> Trace:
    text = json.dumps(request, sort_keys=True)
    place = folder() / f"{key_of(text)}.json"
    try:
        return Trace(**json.loads(place.read_text(encoding="utf-8")) | {"kept": True})
    except (OSError, ValueError, TypeError):
        pass  # not there, or of another make: it is traced again
    answer = _run(text)
    _keep(place, answer)
    return Trace(**answer, kept=False)


def _run(request: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "workbench.training.tracer"]
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise WorkbenchError(
            f"the tracer has not finished within {_PATIENCE // 60} minutes",
            fix="trace a smaller plan: --model.num_layers 8",
        ) from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise WorkbenchError("the tracer stopped", why=last) from None
    if "error" in answer:
        raise WorkbenchError.from_dict(answer["error"])
    return answer


def _keep(place: Path, answer: dict[str, Any]) -> None:
    """Keep an answer; whoever looks finds the whole of it or nothing."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:
            json.dump(answer, file)
        Path(file.name).replace(place)
    except OSError:
        return  # a full or read-only disk costs the next trace some seconds


def folder() -> Path:
    """Where answers are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(home) / "ava" / "traces"


def key_of(request: str) -> str:
    """What an answer is kept under."""
    return hashlib.blake2b(f"{code_hash()}\n{request}".encode(), digest_size=16).hexdigest()


@cache
def code_hash() -> str:
    """A hash of the code that a trace runs: models, trainer, kernels, and torch's version."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"torch {_version('torch')}, transformers {_version('transformers')}".encode())
    root = Path(__file__).parents[1]
    kernels = util.find_spec("ava_kernels")
    roots = [root / part for part in _CODE]
    if kernels is not None and kernels.origin is not None:
        roots.append(Path(kernels.origin).parent)
    for each in roots:
        for path in sorted(each.rglob("*.py")) if each.is_dir() else [each]:
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"

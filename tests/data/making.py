"""Small texts of every kind, and the whole way from a config to micro-batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config.schema import Config
from workbench.data.batches import MicroBatch
from workbench.data.opening import Opened, open_source


def article(n: int, sentences: int = 6) -> str:
    """A text that no other number gives."""
    return "".join(
        f"Text {n} says in its line {line} that {n * line} is {n} times {line}.\n"
        for line in range(1, sentences + 1)
    )


def jsonl(path: Path, count: int = 120, first: int = 0, **more: object) -> Path:
    """A file of texts of different length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            json.dumps({"text": article(n, 1 + n % 9), **more}) + "\n"
            for n in range(first, first + count)
        )
    )
    return path


def config(data: dict[str, Any] | None = None, **sections: Any) -> Config:
    """A config of tiny steps: 2 sequences of 32 tokens, 4 times."""
    training = {
        "batch_size": 2,
        "gradient_accumulation_steps": 4,
        **sections.pop("training", {}),
    }
    tree = {"training": training, "data": {"max_length": 32, **(data or {})}, **sections}
    return Config.model_validate(tree)


def opened(data: dict[str, Any] | None = None, *, ranks: int = 1, **sections: Any) -> Opened:
    return open_source(config(data, **sections), data_parallel=ranks)


def steps(source: Opened, numbers: range, micro: int = 4) -> list[MicroBatch]:
    return [source.source.batch(step, m) for step in numbers for m in range(micro)]


def same(one: MicroBatch, other: MicroBatch) -> bool:
    """Whether two micro-batches are bit for bit one."""
    if one.ids != other.ids:
        return False
    for a, b in zip(one[:5], other[:5], strict=True):
        if (a is None) != (b is None):
            return False
        if a is not None and not np.array_equal(a, b):
            return False
    return True

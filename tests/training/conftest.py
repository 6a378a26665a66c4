"""A run directory with a model that trains in milliseconds."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch

from workbench.config.schema import Config
from workbench.runs.directory import RunDir, create_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.training.helpers import MakeRun

TREE: dict[str, dict[str, Any]] = {
    "model": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_dropout": 0.1,  # so that a forgotten random state shows
    },
    "training": {
        "batch_size": 2,
        "max_steps": 6,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "eval_steps": 3,
        "save_steps": 2,
        "save_total_limit": 2,
    },
    "data": {"max_length": 16, "max_eval_examples": 4},
    "evaluation": {"max_new_tokens": 12},
}


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Make a run of the tiny model; keyword arguments are sections that override its tree."""
    home = tmp_path_factory.mktemp("training")
    (home / "text.txt").write_text(
        "".join(f"def f{n}(x):\n    return x * {n * n}\n" for n in range(300))
    )
    made = 0

    def make(runs_dir: Path | None = None, **sections: dict[str, Any]) -> RunDir:
        nonlocal made
        made += 1
        tree = {name: dict(section) for name, section in TREE.items()}
        tree["data"]["path"] = str(home / "text.txt")
        tree["run"] = {"threads": 1}
        for name, section in sections.items():
            tree[name] = tree.get(name, {}) | section
        return create_run(
            runs_dir or home / "runs",
            f"run-{made}",
            config=Config.model_validate(tree).model_dump(mode="json"),
            origins={},
            config_yaml="",
            meta={"recipe": "test"},
        )

    return make


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Training in this process: no pictures, and torch as it was afterwards."""
    monkeypatch.setattr("workbench.training.loop.draw_curves", lambda *_: None)
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(mode=False)
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(threads)
    torch.set_rng_state(random)

"""The trainer on every kind of source: interrupted and resumed, it ends as if nothing happened."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.making import jsonl
from workbench.config.schema import Config
from workbench.runs.directory import RunDir, create_run
from workbench.training import loop
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

DECODER = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
STREAM = {"streaming": True, "buffer_size": 16, "dataloader_num_workers": 2}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stream of two workers": (STREAM, {}),
    "documents apart": ({"packing": "documents"}, {}),
    "one text each, in buckets": ({"packing": "none", "enable_bucketing": True}, {}),
    "stream of single texts": ({"packing": "none", **STREAM}, {}),
    "bert": ({}, {"model_type": "bert"}),
    "t5": ({}, {"model_type": "t5", "vocab_size": 320}),
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pictures, and torch and the signals as they were."""
    monkeypatch.setattr("workbench.training.loop.draw_curves", lambda *_: None)
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(mode=False)
    torch.set_num_threads(threads)
    torch.set_rng_state(random)


def train(run: RunDir, attempt: int = 1) -> Session:
    session = open_session(run, attempt, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


QUICK = ("stream of two workers", "t5")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in KINDS],
)
def test_resumed_as_if_nothing_happened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = KINDS[kind]
    tree = {
        "model": DECODER | model,
        "training": {
            "batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 5, "warmup_steps": 1,
            "eval_steps": 5, "save_steps": 0, "mixed_precision": "no",
        },
        "data": {"path": str(jsonl(tmp_path / "a.jsonl")), "max_length": 32,
                 "max_eval_examples": 4, **data},
        "evaluation": {"max_new_tokens": 0},
        "run": {"threads": 1},
    }  # fmt: skip
    config = Config.model_validate(tree).model_dump(mode="json")
    runs = [
        create_run(tmp_path / "runs", name, config=config, origins={}, config_yaml="", meta={})
        for name in ("whole", "parts")
    ]
    whole = train(runs[0])
    take_step = loop.take_step
    with monkeypatch.context() as patch:

        def stopping(session: Session) -> None:
            take_step(session)
            session.stop.requested = session.progress.step == 3

        patch.setattr(loop, "take_step", stopping)
        assert train(runs[1]).progress.step == 3
    parts = train(runs[1], 2)
    assert parts.progress.step == 5
    pairs = zip(whole.engine.model.parameters(), parts.engine.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    summaries = [json.loads(run.summary_path.read_text()) for run in runs]
    assert summaries[0]["val_loss"] == summaries[1]["val_loss"] > 1

"""Keys that say how much and how often: two values, two runs, and what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events
from workbench.config.checking import validate
from workbench.config.layers import Layer, compose
from workbench.config.rules import Subject, check
from workbench.runs.directory import RunDir
from workbench.training import environment, loop
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")

QUIET: dict[str, Any] = {"evaluation": {"max_new_tokens": 0}}


def attempt(run: RunDir) -> Session:
    session = open_session(run, 1, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


def steps(name: str) -> Callable[[RunDir], Any]:
    return lambda run: [step for step, _ in curve(run)[name]]


def saved(run: RunDir) -> Any:
    return [event["step"] for event in events(run, 1, "saved")]


def kept(run: RunDir) -> Any:
    return sorted(path.name for path in run.checkpoints_dir.glob("step-*"))


def losses(run: RunDir) -> Any:
    return curve(run)["loss"]


@pytest.mark.honours(
    "training.batch_size",
    "training.gradient_accumulation_steps",
    "training.max_steps",
    "training.eval_steps",
    "training.save_steps",
    "training.save_total_limit",
    "training.logging_steps",
    "run.seed",
    "data.shuffle_seed",
    "data.max_length",
    "data.max_eval_examples",
)
@pytest.mark.parametrize(
    ("key", "value", "look", "expected"),
    [
        ("training.batch_size", 4, lambda run: curve(run)["tokens"][0][1], 64),
        ("training.gradient_accumulation_steps", 3, lambda run: curve(run)["tokens"][0][1], 96),
        ("training.max_steps", 4, steps("loss"), [1, 2, 3, 4]),
        ("training.eval_steps", 2, steps("val_loss"), [2, 4, 6]),
        ("training.save_steps", 5, saved, [5, 6]),
        ("training.save_total_limit", 3, kept, [f"step-0000000{n}" for n in (2, 4, 6)]),
        ("training.logging_steps", 4, steps("loss"), [1, 4, 6]),
        ("data.max_length", 8, lambda run: curve(run)["tokens"][0][1], 16),
        ("run.seed", 5, losses, None),
        ("data.shuffle_seed", 5, losses, None),
        ("data.max_eval_examples", 1, lambda run: curve(run)["val_loss"], None),
    ],
)
def test_the_key_does_what_it_says(
    make_run: MakeRun, key: str, value: Any, look: Callable[[RunDir], Any], expected: Any
) -> None:
    section, _, name = key.partition(".")
    also = {"threads": 1} if section == "run" else {}
    plain, changed = make_run(**QUIET), make_run(**(QUIET | {section: {name: value, **also}}))
    attempt(plain)
    attempt(changed)
    found = look(changed)
    assert found != look(plain)
    assert expected is None or found == expected


@pytest.mark.honours("run.threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_threads(make_run: MakeRun, threads: int) -> None:
    session = open_session(make_run(run={"threads": threads}), 1, StopSignals())
    assert torch.get_num_threads() == threads
    session.close()


@pytest.mark.honours("run.device")
def test_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.config.schema import RunConfig
    from workbench.errors import ConfigError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    assert environment.choose_device(RunConfig(device="auto")).type == "cuda"
    assert environment.choose_device(RunConfig(device="cuda")).type == "cuda"
    assert environment.choose_device(RunConfig(device="cpu")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert environment.choose_device(RunConfig(device="auto")).type == "cpu"
    with pytest.raises(ConfigError):
        environment.choose_device(RunConfig(device="cuda"))


@pytest.mark.honours("training.global_batch_size")
@pytest.mark.parametrize(("whole", "wrong"), [(4, False), (6, True)])
def test_the_global_batch_is_checked(whole: int, wrong: bool) -> None:  # noqa: FBT001
    tree = {
        "training": {
            "batch_size": 2,
            "gradient_accumulation_steps": 2,
            "global_batch_size": whole,
        }
    }
    composed = compose([Layer("my.yaml", tree, "my.yaml")])
    config, _ = validate(composed)
    assert config is not None
    found = check(Subject(config, composed.origins))
    said = [each for each in found if each.path == "training.global_batch_size"]
    assert [each.severity for each in said] == (["error"] if wrong else [])


@pytest.mark.honours("model.router_jitter_noise")
def test_jitter_moves_what_the_router_sees(make_run: MakeRun) -> None:
    experts = {"num_experts": 4, "num_experts_per_token": 2, "hidden_dropout": 0.0}
    plain = make_run(**QUIET, model=experts)
    noisy = make_run(**QUIET, model=experts | {"router_jitter_noise": 0.5})
    attempt(plain)
    attempt(noisy)
    assert losses(plain) != losses(noisy)


@pytest.mark.honours("model.model_type")
@pytest.mark.parametrize("family", ["decoder", "bert", "t5"])
def test_every_kind_of_network_trains_on_its_own_task(make_run: MakeRun, family: str) -> None:
    # The two that hide words need tokens to stand for them, beyond the 256 bytes.
    run = make_run(model={"model_type": family, "vocab_size": 512})
    session = attempt(run)
    assert type(session.engine.model).__name__.lower() == family
    assert [step for step, _ in losses(run)] == [1, 2, 3, 4, 5, 6]
    assert session.progress.val_loss is not None
    sample = session.sample[1] if session.sample else None
    assert (sample is None) == (family == "bert"), "a BERT fills in, it does not write"
    if sample is not None:
        assert sample.startswith(session.config.evaluation.prompt)
        assert len(sample) > len(session.config.evaluation.prompt)


@pytest.mark.honours("model.head")
def test_an_encoder_learns_the_classes_of_words(make_run: MakeRun, tmp_path: Path) -> None:
    records = [{"text": ["a", "bc", "a"], "label": [0, 1, 0]}, {"text": ["bc"], "label": [1]}]
    text = tmp_path / "words.jsonl"
    text.write_text(
        "".join(json.dumps(each | {"n": n}) + "\n" for n in range(40) for each in records)
    )
    run = make_run(
        **QUIET,
        data={"path": str(text), "format": "token_classification"},
        model={"model_type": "bert", "head": "token_classification", "num_labels": 3},
        training={"max_steps": 30, "learning_rate": 0.02},
    )
    attempt(run)
    first, *_, last = [value for _, value in losses(run)]
    assert first > 0.8
    assert last < 0.1

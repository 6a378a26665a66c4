"""reduce_on_plateau is PyTorch's ReduceLROnPlateau, over evaluations and over resumes."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events
from workbench.config.schema import TrainingConfig
from workbench.training import loop
from workbench.training.bad_batch import _calmer
from workbench.training.plateau import Plateau
from workbench.training.session import open_session
from workbench.training.stop import StopSignals


def config(**more: float) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"lr_scheduler_type": "reduce_on_plateau", "learning_rate": 1.0, **more}
    )


@pytest.mark.honours("training.lr_scheduler_type")
@pytest.mark.parametrize("least", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_pytorch_s(seed: int, least: float) -> None:
    draw = random.Random(seed)
    losses = [3 / (1 + step / 20) + draw.gauss(0, 0.2) for step in range(200)] + [math.nan] * 12
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=least, eps=0.0)
    ours = Plateau(config(lr_end=least))
    found, wanted = [], []
    for loss in losses:
        ours.evaluated(loss, 1.0)
        state = json.loads(json.dumps(ours.state()))
        ours = Plateau(config(lr_end=least))  # as after a resume
        ours.load_state(state)
        found.append(ours.rate(1.0))
        theirs.step(loss)
        wanted.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx(wanted)
    assert found[-1] < found[0]


def test_another_schedule_does_not_look() -> None:
    watch = Plateau(TrainingConfig(learning_rate=1.0))
    assert not [event for _ in range(30) for event in watch.evaluated(1.0, 1.0)]
    assert watch.rate(0.3) == 0.3


@pytest.mark.usefixtures("in_process")
def test_a_training_slows_down(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "validation_loss", lambda *_args: 1.0)
    run = make_run(evaluation={"max_new_tokens": 0}, training={
        "max_steps": 14, "eval_steps": 1, "save_steps": 0, "warmup_steps": 0,
        "learning_rate": 0.01, "lr_scheduler_type": "reduce_on_plateau", "logging_steps": 1,
    })  # fmt: skip
    session = open_session(run, 1, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    rates = [value for _, value in curve(run)["lr"]]
    assert rates == pytest.approx([0.01] * 12 + [0.001] * 2)
    assert [(each["step"], each["why"]) for each in events(run, 1, "lr_reduced")] == [
        (12, "plateau")
    ]


@pytest.mark.parametrize(
    ("rate", "optimizer", "advice"),
    [(10.0, "adamw", 3e-4), (0.3, "lion", 3e-4), (1e-3, "adamw", 1e-3 / 3), (10.0, "sgd", 1 / 3)],
)
def test_the_advice_after_nan_is_a_rate_that_trains(
    rate: float, optimizer: str, advice: float
) -> None:
    assert _calmer(rate, optimizer) == pytest.approx(advice)

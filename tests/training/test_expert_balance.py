"""The bias that balances experts moves once per step, and is part of every checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun
from workbench.models.moe_balance import Balance
from workbench.training import loop
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")

RATE = 0.01
MODEL: dict[str, Any] = {
    "hidden_dropout": 0.0,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "moe_balancing": {"method": "loss_free", "bias_update_rate": RATE},
}


def biases(session: Session) -> list[torch.Tensor]:
    found = [each.bias for each in session.engine.model.modules() if isinstance(each, Balance)]
    return [each.clone() for each in found if each is not None]


def trained(make_run: MakeRun, steps: int, **training: Any) -> tuple[Any, list[torch.Tensor]]:
    run = make_run(model=MODEL, training=training | {"max_steps": steps, "mixed_precision": "no"})
    session = open_session(run, 1, StopSignals())
    assert biases(session)
    assert not any(each.any() for each in biases(session))
    loop.train(session)
    session.report.close()
    return run, biases(session)


def test_once_per_step_however_it_is_computed(make_run: MakeRun) -> None:
    """Micro-batches and recomputed blocks count their tokens once."""
    shape = {"batch_size": 2, "gradient_accumulation_steps": 2}
    _, plain = trained(make_run, 1, **shape)
    for bias in plain:
        assert torch.isin(bias, torch.tensor([-RATE, 0.0, RATE])).all()
    assert any(bias.any() for bias in plain)
    _, again = trained(make_run, 1, **shape, gradient_checkpointing=True)
    _, whole = trained(make_run, 1, batch_size=4, gradient_accumulation_steps=1)
    for other in (again, whole):
        assert all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))


def test_it_comes_back_with_the_checkpoint(make_run: MakeRun) -> None:
    run, last = trained(make_run, 6)
    assert any(bias.abs().max() > RATE for bias in last)
    session = open_session(run, 2, StopSignals())
    assert session.progress.step == 6
    assert all(torch.equal(a, b) for a, b in zip(biases(session), last, strict=True))
    session.report.close()


@pytest.mark.honours("training.mtp.enabled")
def test_two_losses_in_the_metrics(make_run: MakeRun) -> None:
    from workbench.runs.follow import Follower

    run = make_run(training={"max_steps": 2, "mtp": {"enabled": True, "num_future_tokens": 2}})
    session = open_session(run, 1, StopSignals())
    loop.train(session)
    session.report.close()
    follower = Follower(run)
    follower.poll()
    for distance in (1, 2):
        values = follower.series(f"loss_ahead_{distance}").values
        assert len(values) == 2
        assert 4 < values[0] < 7, "about the logarithm of the vocabulary"

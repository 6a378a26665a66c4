"""training.gradient_checkpointing and its kind reach the model, and training stays the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.training.helpers import MakeRun, curve
from workbench.training import loop
from workbench.training.session import open_session
from workbench.training.stop import StopSignals

if TYPE_CHECKING:
    from workbench.models.base import Recompute

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.mark.honours("training.gradient_checkpointing", "training.gradient_checkpointing_kind")
def test_what_is_recomputed_changes_no_loss(make_run: MakeRun) -> None:
    cases: dict[Recompute, dict[str, Any]] = {
        "none": {"gradient_checkpointing_kind": "selective"},
        "block": {"gradient_checkpointing": True},
        "selective": {
            "gradient_checkpointing": True,
            "gradient_checkpointing_kind": "selective",
        },
    }
    losses = []
    for wanted, training in cases.items():
        run = make_run(training=training | {"max_steps": 3})
        session = open_session(run, 1, StopSignals())
        assert session.engine.model.recompute == wanted
        loop.train(session)
        session.report.close()
        losses.append(curve(run)["loss"])
    assert losses[0] == losses[1] == losses[2]

"""The message when memory runs out: measured, explained, and with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun
from workbench.config.schema import Config
from workbench.training import loop
from workbench.training.__main__ import main
from workbench.training.out_of_memory import changes, explain, fitting, is_out_of_memory

PLAN: dict[str, Any] = {"training": {"batch_size": 6}, "data": {"max_length": 512}}


def config(**sections: Any) -> Config:
    return Config.model_validate(PLAN | sections)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_what_counts(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_the_message_has_the_measure_the_lines_and_the_changes() -> None:
    told = explain(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB\nmore"), config())
    first, measured, ledger = str(told.why).splitlines()
    assert first == "CUDA out of memory. Tried 2 GiB"
    assert "of host memory at most" in measured
    assert ledger.startswith("the plan's peak is ")
    assert ledger.count(",") >= 3
    fixes = str(told.fix).splitlines()
    assert fixes[0].startswith(
        "--training.batch_size 3 --training.gradient_accumulation_steps 2: the same step"
    )
    assert fixes[1].startswith("or --training.gradient_checkpointing true ")
    assert all("at the peak" in fix for fix in fixes)


def test_what_is_proposed_takes_less_and_keeps_the_step() -> None:
    plan = config()
    found = fitting(plan)
    assert found
    assert all(": the same step, " in each for each in found)
    tight = config(training={"batch_size": 1, "gradient_checkpointing": True})
    fixes = str(explain(MemoryError(), tight).fix)
    assert "--data.max_length 256: shorter sequences" in fixes
    assert "gradient_accumulation_steps" not in fixes


def test_a_ledger_that_fails_does_not_hide_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr("workbench.estimate.memory.memory_of", fail)
    told = explain(MemoryError(), config())
    assert "at the peak" not in str(told.fix)
    assert "batch_size 3" in str(told.fix)
    assert "halve --training.batch_size" in str(explain(MemoryError(), None).fix)


def test_nothing_left_to_change() -> None:
    small = config(
        training={"batch_size": 1, "gradient_checkpointing": True}, data={"max_length": 64}
    )
    assert not list(changes(small))
    assert "smaller model" in str(explain(MemoryError(), small).fix)
    tuned = config(model={"pretrained_path": "x"})
    assert any("lora.enabled" in change.edits for change in changes(tuned))


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_step_keeps_its_sequences(accumulation: int) -> None:
    plan = config(training={"batch_size": 6, "gradient_accumulation_steps": accumulation})
    edits = next(changes(plan)).edits
    new = edits["training.batch_size"] * edits["training.gradient_accumulation_steps"]
    assert new == 6 * accumulation


@pytest.mark.usefixtures("in_process")
def test_in_a_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_session: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(loop, "take_step", full)
    run = make_run()
    assert main([str(run.path), "--attempt", "1"]) == 1
    told = json.loads((run.attempt_dir(1) / "failure.json").read_text())
    assert told["what"] == "memory ran out"
    assert "9 GiB" in told["why"]
    assert "batch_size 1" in told["fix"]
    assert told["unforeseen"] is False

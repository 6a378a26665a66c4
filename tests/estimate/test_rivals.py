"""Other calculators beside the ledger, on the same plans: ours is the nearest to the truth.

The whole table is printed by tests/benchmarks/bench_estimate_accuracy.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.bench_estimate_accuracy import OURS, SHAPES, Case, Row, cases, row, summary
from workbench.config.schema import Config
from workbench.estimate.rivals import answers
from workbench.estimate.rivals.formulas import deepspeed
from workbench.estimate.rivals.table import RIVALS
from workbench.estimate.rivals.told import told
from workbench.hardware.devices import device

H100 = device("h100_80gb")


def small_cases() -> Iterator[Case]:
    """Plans that are traced in a second or two each."""
    for strategy, devices, recomputes in (
        ("single", 1, False),
        ("ddp", 4, True),
        ("fsdp", 4, False),
    ):
        yield Case(
            f"{strategy}, {recomputes}",
            Config.model_validate(
                {
                    "model": SHAPES["GPT-2 124M"] | {"num_layers": 5},
                    "training": {
                        "batch_size": 4,
                        "mixed_precision": "bf16",
                        "gradient_checkpointing": recomputes,
                    },
                    "data": {"max_length": 512},
                    "parallel": {"strategy": strategy, "devices_per_node": devices},
                }
            ),
        )


def judge(rows: list[Row]) -> None:
    found = summary(rows)
    median, largest = found.pop(OURS)
    assert median <= 0.0005
    assert largest <= 0.005
    for name, (other_median, other_largest) in found.items():
        assert median < other_median, name
        assert largest < other_largest, name
    for each in rows:
        errors = {name: abs(error) for name, error in each.errors().items()}
        assert min(errors, key=lambda name: errors[name]) == OURS, each.name


def test_ours_is_the_nearest() -> None:
    judge([row(case) for case in small_cases()])


@pytest.mark.slow
def test_ours_is_the_nearest_on_known_shapes() -> None:
    judge([row(case) for case in cases() if "GPT-2" in case.name])


def llama(**sections: object) -> Config:
    return Config.model_validate(
        {
            "model": SHAPES["Llama 3 8B"],
            "training": {"batch_size": 1, "mixed_precision": "bf16"},
            "data": {"max_length": 4096},
            **sections,
        }
    )


def test_each_formula_by_hand() -> None:
    config = llama(parallel={"strategy": "fsdp", "devices_per_node": 8})
    said = {answer.name: answer.bytes for answer in answers(config, H100)}
    p = 8_030_261_248
    assert set(said) == set(RIVALS)
    assert said["accelerate"] == 8 * p
    assert said["LLaMA-Factory"] == 18 * p
    assert said["2-2-12 rule"] == 2 * p
    assert said["DeepSpeed"] == 4 * 128256 * 4096 + 18 * p // 8
    h, layers, tokens = 4096, 32, 4096
    counted = 2 * 128256 * h + h * tokens + 8 * h * layers + 2 * h
    counted += layers * (2.5 * h * h + 3 * h * 14336)
    blocks = tokens * h * layers * (34 + 5 * 32 * tokens / h)
    assert said["EleutherAI"] == round(counted * 18 / 8 + 1.5e9 * 2 + blocks)
    kept = tokens * h * 34 * layers + 8 * tokens + tokens * h
    kept += 2 * tokens * (128256 + h)
    assert said["Megatron-LM"] == pytest.approx(p * (6 + 12 / 8) + 1.05 * kept, rel=1e-3)


def test_deepspeeds_formula_is_its_own() -> None:
    """DeepSpeed's function, for the stages that it has one for."""
    pytest.importorskip("deepspeed")
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    for stage in (2, 3):
        sections = {"enabled": True, "zero_stage": stage}
        plan = told(llama(deepspeed=sections, parallel={"devices_per_node": 8}), H100)
        if stage == 2:
            truth = estimate_zero2_model_states_mem_needs(plan.parameters, 8, 1, cpu_offload=False)
            assert round(deepspeed(plan)) == truth[1]
        else:
            truth = estimate_zero3_model_states_mem_needs(
                plan.parameters, 128256 * 4096, 8, 1, cpu_offload=False, cpu_offload_params=False
            )
            assert round(deepspeed(plan)) == truth[1]

"""What if: one thing changed at a time, and each is what the same change by hand gives."""

from __future__ import annotations

import pytest

from tests.estimate.test_fit import plan
from workbench.config.schema import Config
from workbench.estimate.fit.edits import changed
from workbench.estimate.fit.judge import need_of
from workbench.estimate.memory import memory_of
from workbench.estimate.what_if import WhatIf, what_if
from workbench.hardware.devices import device, names

GPU = device("h100_80gb")


def by_name(config: Config) -> dict[str, WhatIf]:
    return {each.name: each for each in what_if(config, GPU, cards=[GPU, device("h200")])}


@pytest.mark.parametrize("devices", [1, 8])
def test_each_is_what_the_same_change_by_hand_gives(devices: int) -> None:
    config = plan(
        parallel={"devices_per_node": devices},
        training={"batch_size": 4, "gradient_accumulation_steps": 4},
    )
    found = what_if(config, GPU, cards=[device("h200")])
    first = found[0]
    assert first.group == "plan"
    for each in found:
        other = changed(config, each.edits)
        hardware = device("h200") if each.group == "card" else GPU
        assert each.need.bytes == need_of(memory_of(other, hardware)).bytes
        if each is not first:
            assert each.edits
            assert each.more_bytes == each.need.bytes - first.need.bytes


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_each_card_has_what_it_would_have_alone(precision: str) -> None:
    config = plan(training={"mixed_precision": precision, "batch_size": 2})
    cards = [device(name) for name in names()]
    found = [each for each in what_if(config, GPU, cards=cards) if each.group == "card"]
    assert len(found) == len(cards) - 1
    for each in found:
        card = device(each.name)
        assert each.need.bytes == need_of(memory_of(config, card)).bytes
        first = what_if(changed(config, each.edits), card)[0]
        assert (each.need.bytes, each.fits) == (first.need.bytes, first.fits)
        assert each.pace.seconds == first.pace.seconds


def test_there_is_one_of_each_kind() -> None:
    found = by_name(plan(training={"batch_size": 4}))
    groups = {each.group for each in found.values()}
    assert groups >= {"plan", "devices", "sequence", "micro-batch", "recompute", "precision"}
    assert "h200" in found
    assert "h100_80gb" not in found  # the plan's own


def test_twice_the_devices_share_the_same_step() -> None:
    found = by_name(plan(parallel={"devices_per_node": 4}, training={"batch_size": 4}))
    more, fewer = found["8 devices"], found["2 devices"]
    assert more.edits["training.batch_size"] == 2
    assert more.faster == pytest.approx(2, rel=0.1)
    assert fewer.edits["training.gradient_accumulation_steps"] == 2


def test_the_plan_s_own_setting_is_no_variant() -> None:
    names = list(by_name(plan()))
    assert "bf16" not in names
    assert "no recompute" not in names


def test_it_is_data_for_programs() -> None:
    data = [each.to_dict() for each in what_if(plan(), None)]
    assert data[0]["group"] == "plan"
    assert data[0]["fits"] is None
